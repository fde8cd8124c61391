/** What became of each guard when it was weakened, as plain text for a terminal. */
import type { GuardResult } from '../measure/check.ts';
import { percent, several } from './number.ts';
import { type Column, table } from './table.ts';

const COLUMNS: readonly Column[] = [
  { title: 'guard' },
  { title: 'weakened', align: 'left' },
  { title: 'under', align: 'left' },
  { title: 'memory', align: 'left' },
  { title: 'breaks', align: 'left' },
  { title: 'preemptions' },
  { title: 'moves' },
];

export function renderGuards(guards: readonly GuardResult[]): string {
  const parts: string[] = [];
  const designs = [...new Set(guards.map((guard) => guard.design))];
  for (const design of designs) {
    const own = guards.filter((guard) => guard.design === design);
    parts.push(`Guards of ${design}, each weakened in turn`, table(COLUMNS, own.map(rowOf)));
    const examples = own.filter(({ verdict }) => verdict === 'necessary').map(exampleOf);
    if (examples.length > 0) parts.push(`Counterexamples of ${design}:\n${examples.join('\n')}`);
    parts.push(shareOf(design, own));
  }
  if (designs.length > 1) parts.push(unionOf(guards));
  return parts.join('\n\n');
}

const SAYS = {
  'not shown': 'not shown necessary here',
  unfinished: 'unfinished',
  'not reached': 'no litmus reaches it',
} as const;

function rowOf({ label, verdict, result, argued, tried }: GuardResult): string[] {
  if (verdict !== 'necessary') {
    const after = verdict === 'not shown' ? ` (${several(tried.length, 'attempt')})` : '';
    return [label, '', '', '', argued === '' ? `${SAYS[verdict]}${after}` : 'argued', '', ''];
  }
  const { how, litmus, memory, promise, length, minimal } = result!;
  const colon = result!.design.indexOf(':');
  const under = colon < 0 ? litmus : `${litmus} (${result!.design.slice(colon + 1)})`;
  const preemptions = /\((\d+) preemption/.exec(minimal)?.[1] ?? '';
  const moves = length === 0 ? '' : String(length);
  return [label, how, under, memory, promise, preemptions, moves];
}

function exampleOf({ label, result }: GuardResult): string {
  const { message, minimal, schedule } = result!;
  if (schedule === '') return `  ${label}: ${message}`;
  const kind = minimal.startsWith('minimal') ? 'minimal' : 'not known to be minimal';
  return `  ${label}: ${message} (${kind})\n    kpop replay '${schedule}'`;
}

/** Of labels that several designs reach, one counterexample is enough. */
function unionOf(guards: readonly GuardResult[]): string {
  const labels = (some: readonly GuardResult[]): number => new Set(some.map((g) => g.label)).size;
  const shown = labels(guards.filter(({ verdict }) => verdict === 'necessary'));
  const reached = labels(guards.filter(({ verdict }) => verdict !== 'not reached'));
  return (
    `Together: ${shown} of ${reached} guards are shown necessary under one of them ` +
    `(${percent(reached === 0 ? 0 : shown / reached)}).`
  );
}

function shareOf(design: string, guards: readonly GuardResult[]): string {
  const shown = guards.filter(({ verdict }) => verdict === 'necessary').length;
  const reached = guards.filter(({ verdict }) => verdict !== 'not reached').length;
  const lines = [
    `${design}: ${shown} of ${reached} guards that are reached are shown necessary ` +
      `(${percent(reached === 0 ? 0 : shown / reached)}); ` +
      `${guards.length - reached} are not reached by its litmus programs.`,
    ...guards.filter(({ argued }) => argued !== '').map((g) => `  ${g.label}: ${g.argued}`),
  ];
  return lines.join('\n');
}
