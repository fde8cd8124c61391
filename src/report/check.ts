/** What a check found, as plain text for a terminal. */
import type { Check, CheckResult, Replay } from '../measure/check.ts';
import { renderGuards } from './guards.ts';
import { renderInterleaving } from './interleaving.ts';
import { duration, several, whole } from './number.ts';
import { type Column, table } from './table.ts';

const COLUMNS: readonly Column[] = [
  { title: 'design' },
  { title: 'litmus', align: 'left' },
  { title: 'memory', align: 'left' },
  { title: 'result', align: 'left' },
  { title: 'looked at', align: 'left' },
  { title: 'states' },
  { title: 'moves' },
  { title: 'time' },
];

export function renderCheck(check: Check): string {
  const { results } = check;
  const parts = [
    table(COLUMNS, results.map(rowOf)),
    ...results.filter((result) => result.verdict === 'violated').map(renderViolation),
    ...results.filter((result) => isStrange(result)).map(renderStrange),
    ...(check.guards.length === 0 ? [] : [renderGuards(check.guards)]),
    summary(check),
  ];
  return `${parts.join('\n\n')}\n`;
}

function rowOf(result: CheckResult): string[] {
  const { design, litmus, memory, states, steps, secondsWall, cached } = result;
  const time = `${duration(secondsWall)}${cached ? ' *' : ''}`;
  const numbers = [whole(states), whole(steps), time];
  return [design, litmus, memory, wordOf(result), coverage(result), ...numbers];
}

function wordOf({ verdict, expected, asExpected, promise }: CheckResult): string {
  if (verdict === 'violated') {
    return `${expected === 'violated' ? 'broken, as it was' : 'BROKEN'}: ${promise}`;
  }
  if (verdict === 'unfinished') return 'unfinished';
  return asExpected ? 'holds' : 'TOO EASY';
}

function coverage({ exhausted, preemptions, verdict }: CheckResult): string {
  if (verdict === 'violated') return 'until then';
  if (exhausted) return 'everything';
  if (preemptions === null || preemptions < 0) return 'a part';
  return `${preemptions} preemptions`;
}

function isStrange({ verdict, asExpected }: CheckResult): boolean {
  return verdict !== 'violated' && !asExpected;
}

function renderStrange(result: CheckResult): string {
  const what = result.message === '' ? result.limits.join('; ') : result.message;
  return `${placeOf(result)}: ${what}`;
}

/** A broken promise with its shortest known interleaving. */
export function renderViolation(result: CheckResult): string {
  const { promise, promised, message, minimal, schedule, interleaving } = result;
  return [
    `${placeOf(result)} breaks ${promise}: ${promised}.`,
    `  ${message}`,
    '',
    renderInterleaving(interleaving, loopOf(schedule)),
    '',
    `  ${minimal}`,
    `  kpop replay '${schedule}'`,
  ].join('\n');
}

export function renderReplay(replay: Replay): string {
  const { design, litmus, memory, guard, how, loop, interleaving, parting, remark } = replay;
  const { promise, promised, message } = replay;
  const verdict =
    promise === ''
      ? `no promise is broken after ${several(interleaving.length, 'move')}`
      : `${promise} is broken: ${promised}.\n  ${message}`;
  const parts = [
    placeOf({ design, litmus, memory, guard, how }),
    ...(interleaving.length === 0 ? [] : [renderInterleaving(interleaving, loop)]),
    ...(parting === '' ? [] : [`Here it leaves the schedule: ${parting}.`]),
    ...(remark === '' ? [] : [`Note: ${remark}.`]),
    verdict,
  ];
  return `${parts.join('\n\n')}\n`;
}

function loopOf(schedule: string): number {
  return Number(/^[^!]*!(?:[^!]*,)?loop=(\d+)/.exec(schedule)?.[1] ?? -1);
}

type Place = Pick<CheckResult, 'design' | 'litmus' | 'memory' | 'guard' | 'how'>;

function placeOf({ design, litmus, memory, guard, how }: Place): string {
  const weakened = guard === '' ? '' : `, ${guard} weakened (${how})`;
  return `${design} under ${litmus}, ${memory.toUpperCase()}${weakened}`;
}

function summary({ results, ended }: Check): string {
  const count = (verdict: CheckResult['verdict']): number =>
    results.filter((result) => result.verdict === verdict).length;
  const exhausted = results.filter((result) => result.exhausted).length;
  const lines = [
    `${several(results.length, 'piece')}: ${count('holds')} hold, ` +
      `${count('violated')} are broken, ${count('unfinished')} are unfinished; ` +
      `${exhausted} exhausted without any bound on preemptions.`,
  ];
  const collision = Math.max(0, ...results.map((result) => result.collision));
  if (collision > 0) {
    const chance = collision.toExponential(0);
    lines.push(`64-bit hashes took two states for one with probability below ${chance} each.`);
  }
  if (results.some((result) => result.cached)) {
    lines.push('* looked up: nothing that the result depends on has changed since.');
  }
  if (ended !== 'complete') lines.push(`Ended by ${ENDED[ended]} before everything was looked at.`);
  return lines.join('\n');
}

const ENDED = { budget: 'the budget', interrupted: 'an interrupt' } as const;
