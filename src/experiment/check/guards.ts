/**
 * Which labels guard something, how each can be weakened, and the order in which that is tried
 * until a promise breaks: few preemptions before many, what is closest to the guard's own meaning
 * before its absence, sequential consistency before store buffers, small litmus programs first.
 */
import type { MemoryOrder } from '../../machine/explored/acts.ts';
import type { How, Weakening } from '../../machine/explored/weakening.ts';
import { Instruction } from '../../machine/instruction.ts';
import type { CheckResult, GuardResult } from '../../measure/check.ts';
import { Op } from '../../runtime/act.ts';
import { whyArgued } from './argued.ts';
import { type Bounds, ENTRIES, type Piece } from './pieces.ts';
import type { Offered } from './run-piece.ts';

const LOCKED: readonly number[] = [Op.exchange, Op.add, Op.or, Op.and];
const FLUSHES: readonly number[] = [
  Instruction.invept,
  Instruction.invvpid,
  Instruction.invlpg,
  Instruction.sendIpi,
];

/** Acts of the litmus programs themselves. */
const OF_LITMUS = /^(guest|exam|host)\./;

/** Whether a label is that of taking a lock; other labels name what they do. */
export function isLock(label: string): boolean {
  return /(^|[.-])(re)?lock$/.test(label);
}

/** Ways to weaken the acts of a label; none if it guards nothing. */
export function howsOf(label: string, ops: readonly number[]): How[] {
  const has = (some: readonly number[]): boolean => some.some((op) => ops.includes(op));
  if (isLock(label)) return ['drop'];
  // Before the load that a compare-and-swap goes by, and the wait after one that failed: they may
  // have its label, and stay what they are.
  if (has([Op.cas])) return ['blind', 'split', 'drop'];
  if (has(LOCKED)) return ['split', 'unordered', 'drop'];
  if (has([Op.fence])) return ['unordered'];
  if (has([Op.wait]) || has(FLUSHES)) return ['drop'];
  if (has([Instruction.vmcall])) return /flush$/.test(label) ? ['drop'] : [];
  return has([Op.load]) && /recheck$/.test(label) ? ['stale'] : [];
}

/** One weakening to be tried. */
export interface Attempt {
  readonly piece: Piece;
  /** As a report names it. */
  readonly says: string;
}

/** What is known of a litmus program before anything is weakened. */
export interface Plain {
  readonly choice: string;
  /** Whether it is the choice that a guard is to be shown under if it can be. */
  readonly isDefault: boolean;
  readonly litmus: string;
  readonly cpus: number;
  readonly states: number;
  readonly offered: readonly Offered[];
}

export interface GuardOptions {
  readonly memory: readonly MemoryOrder[];
  readonly deep: boolean;
  /** Moves of one attempt. */
  readonly steps: number;
}

/** Preemptions of the rounds; each tries every weakening under every litmus program. */
type Goal = Bounds['goal'];
const ROUNDS: readonly Goal[] = [1, 2];
/** Where nothing else was found. */
const LAST: readonly Goal[] = [3];
const DEEP_ROUNDS: readonly Goal[] = [1, 2, 3, 'all'];
export const GUARD_STEPS = 1_000_000;

/** Labels that guard something, with the ways in which they can be weakened. */
export function guardsIn(plain: readonly Plain[]): Map<string, How[]> {
  const ops = new Map<string, Set<number>>();
  for (const { offered } of plain) {
    for (const [label, codes] of offered) {
      if (OF_LITMUS.test(label)) continue;
      const known = ops.get(label) ?? new Set();
      ops.set(label, new Set([...known, ...codes]));
    }
  }
  const guards = [...ops].map(([label, codes]) => [label, howsOf(label, [...codes])] as const);
  return new Map(guards.filter(([, hows]) => hows.length > 0).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/**
 * What to try for a label, in order. Programs on three CPUs come last, and not for a label whose
 * argument says why nothing will be found.
 */
export function attemptsFor(
  label: string,
  hows: readonly How[],
  plain: readonly Plain[],
  options: GuardOptions & { readonly isArgued?: boolean },
): Attempt[] {
  const able = plain
    .filter(({ offered }) => offered.some(([other]) => other === label))
    .sort((a, b) => Number(b.isDefault) - Number(a.isDefault) || a.states - b.states);
  const two = able.filter(({ cpus }) => cpus <= 2);
  const three = able.filter(({ cpus }) => cpus > 2);
  const { deep, isArgued = false } = options;
  const under = (programs: readonly Plain[], goals: readonly Goal[]): Attempt[] =>
    attemptsUnder(programs, goals, label, hows, options);
  const first = under(two, deep ? DEEP_ROUNDS : ROUNDS);
  if (isArgued) return first;
  return [
    ...first,
    ...under(three, ROUNDS),
    ...under(deep ? [] : two, LAST),
    ...under(three, LAST),
  ];
}

function attemptsUnder(
  able: readonly Plain[],
  goals: readonly Goal[],
  label: string,
  hows: readonly How[],
  { memory, steps }: GuardOptions,
): Attempt[] {
  const attempts: Attempt[] = [];
  for (const goal of goals) {
    for (const how of hows) {
      for (const order of memory) {
        if (how === 'unordered' && order === 'sc') continue; // no store waits there
        for (const { choice, isDefault, litmus } of able) {
          const piece = weakenedPiece(choice, litmus, order, { label, how }, goal, steps);
          const where = isDefault ? litmus : `${litmus} of ${choice}`;
          attempts.push({ piece, says: `${how} under ${where}, ${order}, ${goalText(goal)}` });
        }
      }
    }
  }
  return attempts;
}

/** A design under a litmus program with one label weakened; `goal`: preemptions. */
export function weakenedPiece(
  choice: string,
  litmus: string,
  memory: MemoryOrder,
  guard: Weakening,
  goal: Goal = ROUNDS[0]!,
  steps = GUARD_STEPS,
): Piece {
  return { choice, litmus, memory, guard, bounds: { steps, goal, entries: ENTRIES, seed: 1 } };
}

function goalText(goal: Goal): string {
  if (goal === 'all') return 'everything';
  return goal === 1 ? '1 preemption' : `${goal} preemptions`;
}

/** Whether a counterexample shows a guard necessary; that something never happens shows less. */
export function isShown({ verdict, schedule }: CheckResult): boolean {
  return verdict === 'violated' && schedule !== '';
}

/** What became of a label: `last` is the counterexample, or what was looked at last. */
export function verdictOn(
  design: string,
  label: string,
  results: readonly CheckResult[],
  tried: readonly string[],
): GuardResult {
  const broken = results.find(isShown) ?? results.find(({ verdict }) => verdict === 'violated');
  const isUnfinished = results.some((result) => result.verdict === 'unfinished');
  const why = whyArgued(design, label);
  const verdict = broken !== undefined ? 'necessary' : isUnfinished ? 'unfinished' : 'not shown';
  return {
    design,
    label,
    verdict,
    argued: broken === undefined ? why : '',
    result: broken ?? results.at(-1) ?? null,
    tried,
  };
}

/** Labels of the source that no litmus program offered. */
export function notReached(
  design: string,
  source: readonly string[],
  plain: readonly Plain[],
): GuardResult[] {
  const reached = new Set(plain.flatMap(({ offered }) => offered.map(([label]) => label)));
  return source
    .filter((label) => !reached.has(label))
    .map((label) => {
      const why = whyArgued(design, label);
      return { design, label, verdict: 'not reached', argued: why, result: null, tried: [] };
    });
}
