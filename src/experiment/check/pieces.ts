/**
 * What a check consists of: pieces, each a design with its axes under one litmus program and one
 * memory order. Every choice of a pairwise covering of the design's axes runs the litmus programs
 * on two CPUs, the first choice (the defaults) those on three, and every cell of the axes runs the
 * smallest one. A budget may name litmus programs that stand for all under such choices.
 */
import { badInput } from '../../base/bad-input.ts';
import { suggestion } from '../../base/nearest.ts';
import { type Choice, chooseAxes } from '../../design/index.ts';
import type { Axes, Design, KnownBroken } from '../../design/system.ts';
import { cpusOf, litmusPrograms, needsOf, sizeOf } from '../../litmus/index.ts';
import type { Litmus } from '../../litmus/litmus.ts';
import type { MemoryOrder } from '../../machine/explored/acts.ts';
import type { Weakening } from '../../machine/explored/weakening.ts';
import { budgetOf, type Goal, type Goals } from './budgets.ts';
import { pairwise, product } from './covering.ts';

/** How far a piece is looked at. */
export interface Bounds {
  /** Moves in all, but for the minimising of what was found. */
  readonly steps: number;
  /** What must be exhausted for it to hold: so many preemptions, or everything. */
  readonly goal: Goal;
  /** Entries after which a vCPU is held. */
  readonly entries: number;
  readonly seed: number;
}

export interface Piece {
  /** A design with its axes, as `Choice.name`. */
  readonly choice: string;
  readonly litmus: string;
  readonly memory: MemoryOrder;
  readonly guard: Weakening | undefined;
  /**
   * The memory order under which this litmus program is looked at for livelocks and races: the
   * weakest of those asked for, which has all executions of the others. Its own unless given.
   */
  readonly alsoUnder?: MemoryOrder;
  readonly bounds: Bounds;
}

/** What `--deep` multiplies moves by, and adds to the preemptions on three CPUs. */
const DEEP = { steps: 20, preemptions: 1 };
export const ENTRIES = 3;
const DEEP_ENTRIES = 4;
const SEED = 1;

export interface PlanOptions {
  readonly memory: readonly MemoryOrder[];
  /** Litmus programs by name; all if undefined. */
  readonly litmus: readonly string[] | undefined;
  readonly deep: boolean;
  /** Preemptions that are to be exhausted, instead of the fixed budget's. */
  readonly preemptions?: number | undefined;
  /** Only what is needed to know what guards there are: one order, one axis at a time. */
  readonly guards?: boolean;
  /** Moves per piece instead of the fixed budget. */
  readonly steps: number | undefined;
}

/** A design as a plan needs it: code stays where it is. */
export interface Planned {
  readonly id: string;
  readonly axes: Design['axes'];
  /** Axes given by the user; undefined for all of a covering. */
  readonly given: string | undefined;
  /** Operations that it offers, what guests may ask for among them (`needsOf`). */
  readonly operations: readonly string[];
  /** What the modelled system itself breaks. */
  readonly breaks?: readonly KnownBroken[] | undefined;
}

/** Whether the modelled system itself breaks a promise there. */
export function isKnownBroken({ design, axes }: Choice, litmus: Litmus): boolean {
  return meets(design.explored?.breaks, axes, litmus);
}

function meets(breaks: readonly KnownBroken[] = [], axes: Axes, litmus: Litmus): boolean {
  const needs = needsOf(litmus);
  return breaks.some(
    (each) => axes[each.axis] === each.value && each.needs.every((need) => needs.includes(need)),
  );
}

export function findLitmus(id: string): Litmus {
  const found = litmusPrograms.find((litmus) => litmus.id === id);
  if (found !== undefined) return found;
  const known = litmusPrograms.map((litmus) => litmus.id);
  return badInput(`unknown litmus ${id === '' ? '(none given)' : id}${suggestion(id, known)}`);
}

/** Litmus programs that a design can run, the smallest first. */
export function litmusFor(operations: readonly string[]): readonly Litmus[] {
  const offered = new Set(operations);
  return litmusPrograms
    .filter((litmus) => needsOf(litmus).every((need) => offered.has(need)))
    .sort((a, b) => sizeOf(a) - sizeOf(b));
}

/** The pieces of one design, small ones first. */
export function planDesign(design: Planned, options: PlanOptions): Piece[] {
  const able = litmusFor(design.operations);
  if (able.length === 0) return badInput(`no litmus program fits what ${design.id} offers`);
  const wanted = options.litmus?.map(findLitmus);
  const { covering } = budgetOf(design.id);
  const chosen = able.filter((litmus) => {
    if (wanted !== undefined) return wanted.includes(litmus);
    const { only, deep } = budgetOf(design.id);
    if (deep?.includes(litmus.id) === true && !options.deep && options.guards !== true)
      return false;
    return only === undefined || only.includes(litmus.id);
  });
  const { memory } = options;
  // With store buffers every sequentially consistent execution is possible too, as each store may
  // leave at once: where time is short, the weaker order stands for both.
  const weakest = memory.slice(-1);
  const pieces: Piece[] = [];
  const add = (choice: string, litmus: Litmus, orders: readonly MemoryOrder[]): void => {
    for (const order of orders) pieces.push(pieceOf(design.id, choice, litmus, order, options));
  };
  for (const litmus of chosen) {
    if (options.guards === true) {
      for (const { name, axes } of guardChoices(design, litmus)) {
        // Where the system breaks a promise as it is, weakening shows nothing.
        if (!meets(design.breaks, axes, litmus))
          pieces.push(plainPiece(design, name, litmus, options));
      }
      continue;
    }
    const [first, ...others] = coveringOf(concerning(design, litmus));
    if (isLarge(design.id, litmus, first!)) {
      const goals = budgetOf(design.id).goals[litmus.id];
      const isAsked = options.preemptions !== undefined;
      const orders = memory.filter((order) => isAsked || goals?.[order] !== undefined);
      add(first!, litmus, orders.length > 0 ? orders : weakest);
      const small = others.filter((choice) => !isLarge(design.id, litmus, choice));
      for (const choice of small) add(choice, litmus, weakest);
    } else {
      add(first!, litmus, memory);
      if (covering?.litmus.includes(litmus.id) === false) continue;
      for (const choice of others) add(choice, litmus, weakest);
    }
  }
  const isNarrow = design.given !== undefined || covering !== undefined;
  if (options.guards === true || isNarrow) return pieces;
  const [smallest] = chosen;
  if (smallest === undefined) return pieces;
  for (const cell of cellsOf(concerning(design, smallest))) {
    const isThere = pieces.some(({ choice, litmus }) => choice === cell && litmus === smallest.id);
    if (!isThere) add(cell, smallest, weakest);
  }
  return pieces;
}

/** What tells which labels a litmus program reaches; more than that if it is small. */
function plainPiece(design: Planned, choice: string, litmus: Litmus, options: PlanOptions): Piece {
  const isMuch = cpusOf(litmus) > 2 || budgetOf(design.id).deep?.includes(litmus.id) === true;
  const bounds = isMuch ? { ...options, preemptions: 1 } : options;
  return pieceOf(design.id, choice, litmus, options.memory[0]!, bounds);
}

/**
 * Choices whose labels are looked for: the defaults; one other value of an axis that concerns some
 * litmus programs only; what a budget names.
 */
function guardChoices(design: Planned, litmus: Litmus): { name: string; axes: Axes }[] {
  if (design.given !== undefined) {
    return [{ name: nameOf(design, design.given), axes: defaultsOf(design) }];
  }
  const { covering } = budgetOf(design.id);
  const named = covering?.litmus.includes(litmus.id) === true ? covering.choices : [];
  const others = Object.entries(concerning(design, litmus).axes).flatMap(
    ([axis, { values, default: usual, concerns }]) =>
      concerns === undefined
        ? []
        : values.filter((value) => value !== usual).map((value) => `${axis}=${value}`),
  );
  return ['', ...others, ...named].map((text) => ({
    name: nameOf(design, text),
    axes: { ...defaultsOf(design), ...Object.fromEntries(text.split(',').map(pairOf)) },
  }));
}

function pairOf(text: string): [string, string] {
  const equals = text.indexOf('=');
  return [text.slice(0, equals), text.slice(equals + 1)];
}

function defaultsOf({ axes }: Planned): Axes {
  return Object.fromEntries(Object.entries(axes).map(([name, axis]) => [name, axis.default]));
}

/** The design with those of its axes that matter to a litmus program. */
function concerning(design: Planned, litmus: Litmus): Planned {
  const needs = needsOf(litmus);
  const axes = Object.entries(design.axes).filter(([, { concerns = [] }]) =>
    concerns.every((need) => needs.includes(need)),
  );
  return { ...design, axes: Object.fromEntries(axes) };
}

/** Too large to be looked at under every order and choice: on three CPUs, or by the budget. */
function isLarge(design: string, litmus: Litmus, choice: string): boolean {
  const { two } = budgetOf(design);
  return cpusOf(litmus) > 2 || two !== 'all' || goalsOf(design, litmus, choice) !== undefined;
}

/** The goals of a litmus program that is large under a choice. */
function goalsOf(design: string, { id }: Litmus, choice: string): Goals | undefined {
  const own = budgetOf(design).goals[id];
  return own?.unless !== undefined && choice.includes(own.unless) ? undefined : own;
}

function goalOf(design: string, litmus: Litmus, choice: string, memory: MemoryOrder): Goal {
  const { two, three } = budgetOf(design);
  const own = goalsOf(design, litmus, choice);
  if (own !== undefined) return own[memory] ?? own.tso ?? three;
  return cpusOf(litmus) > 2 ? three : two;
}

/** One piece within the fixed budget. */
export function pieceOf(
  id: string,
  choice: string,
  litmus: Litmus,
  memory: MemoryOrder,
  options: PlanOptions,
): Piece {
  const { deep, preemptions, steps } = options;
  const budget = budgetOf(id);
  const goal = preemptions ?? goalOf(id, litmus, choice, memory);
  const fixed = goal === 'all' ? budget.steps2 : budget.steps3;
  const isMore = deep || preemptions !== undefined;
  const { entries = ENTRIES } = goalsOf(id, litmus, choice) ?? {};
  return {
    choice,
    litmus: litmus.id,
    memory,
    guard: undefined,
    alsoUnder: options.memory.at(-1) ?? memory,
    bounds: {
      steps: steps ?? fixed * (isMore ? DEEP.steps : 1),
      goal: goal === 'all' || !deep ? goal : goal + DEEP.preemptions,
      entries: deep ? DEEP_ENTRIES : entries,
      seed: SEED,
    },
  };
}

/** Choices that a design runs all litmus programs with, its defaults first. */
function coveringOf(design: Planned): string[] {
  if (design.given !== undefined) return [nameOf(design, design.given)];
  const { covering } = budgetOf(design.id);
  if (covering !== undefined) return ['', ...covering.choices].map((axes) => nameOf(design, axes));
  return [...new Set(pairwise(valuesOf(design)).map((row) => nameOf(design, textOf(design, row))))];
}

function cellsOf(design: Planned): string[] {
  return product(valuesOf(design)).map((row) => nameOf(design, textOf(design, row)));
}

/** Values by axis, the default first; of values that build the same, one. */
function valuesOf({ axes }: Planned): string[][] {
  return Object.values(axes).map(({ values, default: first, alike = {} }) => [
    first,
    ...values.filter((value) => value !== first && !Object.hasOwn(alike, value)),
  ]);
}

/** Axes as a command line gives them; those at their default are left out. */
function textOf({ axes }: Planned, row: readonly string[]): string {
  return Object.entries(axes)
    .map(([name, axis], i) => (row[i] === axis.default ? '' : `${name}=${row[i]}`))
    .filter((part) => part !== '')
    .join(',');
}

function nameOf({ id }: Planned, axes: string): string {
  return axes === '' ? id : `${id}:${axes}`;
}

/** The choice that a piece's name stands for. */
export function choiceOf(design: Design, name: string): Choice {
  const colon = name.indexOf(':');
  return chooseAxes(design, colon < 0 ? undefined : name.slice(colon + 1));
}
