/**
 * Pieces of a check as they travel to a thread and back, and what is done with them there. A
 * user's own code is watched: it must come back from every step, and see neither clock nor chance.
 */
import { Defect } from '../base/assert.ts';
import { BadInput } from '../base/bad-input.ts';
import { type Choice, explorable } from '../design/index.ts';
import type { Checked, Design, KnownBroken } from '../design/system.ts';
import { Uncontrolled } from '../experiment/check/hunt.ts';
import { choiceOf, type Piece } from '../experiment/check/pieces.ts';
import { type PieceOutcome, runPiece } from '../experiment/check/run-piece.ts';
import { checkedOf } from '../experiment/check/scene.ts';
import { GUESTS, pagesNeed } from '../litmus/index.ts';
import { UsageError } from './errors.ts';
import { type Failure, failureOf } from './failure.ts';
import { chooseDesign, type NamedDesign } from './piece.ts';
import { inDesign } from './user-design.ts';
import type { Watch } from './watch.ts';

/** What is asked of a thread: what a design offers, or one piece. */
export type CheckTask = DescribeTask | PieceTask;

export interface DescribeTask {
  readonly kind: 'describe';
  readonly design: NamedDesign;
}

export interface PieceTask {
  readonly kind: 'piece';
  readonly design: NamedDesign;
  readonly piece: Piece;
  /** Hash of what the outcome depends on. */
  readonly code: string;
  /** Milliseconds since 1970 after which the search ends. */
  readonly until: number;
}

/** A design as plans need it. */
export interface Described {
  readonly id: string;
  /** Axes that it looks at when it is built for a check. */
  readonly axes: Design['axes'];
  /** Axes given with the name, in the design's own order; undefined if none were. */
  readonly given: string | undefined;
  readonly operations: readonly string[];
  /** What the modelled system itself breaks. */
  readonly breaks?: readonly KnownBroken[] | undefined;
}

export type CheckAnswer =
  | { readonly described: Described }
  | { readonly outcome: PieceOutcome; readonly seconds: number };

export async function answerCheck(
  task: CheckTask,
  watch: Watch,
): Promise<CheckAnswer | { readonly failure: Failure }> {
  try {
    const choice = await chooseWatched(task.design, watch);
    if (task.kind === 'describe') return { described: describe(choice, task.design) };
    return runTask(task, choice, watch);
  } catch (error) {
    return { failure: failureIn(task.design, error, watch) };
  }
}

async function chooseWatched(named: NamedDesign, watch: Watch): Promise<Choice> {
  if (named.bundle === undefined) return chooseDesign(named, explorable);
  watch.isOn = true;
  const choice = await watch.during('load', () => chooseDesign(named));
  return { ...choice, design: watched(choice.design, watch) };
}

function watched(design: Design, watch: Watch): Design {
  return {
    ...design,
    build: (...args) => watch.during('build', () => design.build(...args)),
  };
}

function describe(choice: Choice, named: NamedDesign): Described {
  const { id, axes } = choice.design;
  const colon = choice.name.indexOf(':');
  const hasAxes = named.bundle === undefined ? colon >= 0 : named.axes !== undefined;
  const read = new Set<string>();
  const offers = checkedOf(choice, (axis) => read.add(axis));
  const operations = [
    ...Object.keys(offers?.operations ?? {}),
    ...(offers?.asked ?? []).map((what) => `ask:${what}`),
    ...(offers === undefined ? [] : (choice.design.pages ?? []).map(pagesNeed)),
    ...(hasGuests(offers) ? [GUESTS] : []),
  ];
  // What only some operations need is not built, and its axes not read, where nobody asks for them.
  const matters = ([name, { concerns = [] }]: [string, Design['axes'][string]]): boolean =>
    read.has(name) ||
    (concerns.length > 0 && concerns.every((operation) => operations.includes(operation)));
  return {
    id,
    axes: Object.fromEntries(Object.entries(axes).filter(matters)),
    given: hasAxes ? choice.name.slice(colon < 0 ? choice.name.length : colon + 1) : undefined,
    operations,
    breaks: choice.design.explored?.breaks,
  };
}

/** Under roots that are known from the start, or with page tables of their own. */
function hasGuests(offers: Checked | undefined): boolean {
  return offers !== undefined && (offers.roots.length > 0 || offers.kernel !== undefined);
}

function runTask(task: PieceTask, { design }: Choice, watch: Watch): CheckAnswer {
  const { piece, code, until } = task;
  const choice = choiceOf(design, piece.choice);
  const began = performance.now();
  const outcome = runPiece({
    piece,
    choice,
    origin: { design: originOf(task.design, piece.choice), code },
    isBuiltIn: task.design.bundle === undefined,
    isOver: () => {
      watch.progress();
      return Date.now() >= until;
    },
    ...(watch.isOn ? { watch: watch.hart } : {}),
  });
  return { outcome, seconds: (performance.now() - began) / 1000 };
}

/** The design as a command line names it: a file keeps its path. */
function originOf({ bundle }: NamedDesign, choice: string): string {
  if (bundle === undefined) return choice;
  const colon = choice.indexOf(':');
  return colon < 0 ? bundle.file : `${bundle.file}${choice.slice(colon)}`;
}

/** What a user's own code throws, or makes the explorer find, is the user's to mend. */
function failureIn({ bundle }: NamedDesign, error: unknown, watch: Watch): Failure {
  const failure = failureOf(error);
  if (bundle === undefined || error instanceof BadInput || failure.status === 2) return failure;
  if (error instanceof Uncontrolled) {
    return {
      ...failureOf(new UsageError(`${bundle.file}: ${error.message}`)),
      stack: failure.stack,
    };
  }
  if (isNondeterminism(error)) {
    const sentence =
      `${bundle.file}: ${watch.where}: run again on the same words, the code did something else: ` +
      'it depends on chance, on the clock, or on state that is not in words of memory';
    return { ...failureOf(new UsageError(sentence)), stack: failure.stack };
  }
  if (error instanceof Defect) return failure;
  return { ...failureOf(inDesign(bundle, error)), stack: failure.stack };
}

function isNondeterminism(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (error.name === 'Diverged') return true;
  return error instanceof Defect && error.message.startsWith('Automaton: ');
}
