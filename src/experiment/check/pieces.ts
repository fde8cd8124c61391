/**
 * What a check consists of: pieces, each a design with its axes under one litmus program and one
 * memory order. Every choice of a pairwise covering of the design's axes runs the litmus programs on
 * two CPUs, the first choice (the defaults) those on three, and every cell of the axes runs the
 * smallest one.
 */
import { badInput } from '../../base/bad-input.ts';
import { suggestion } from '../../base/nearest.ts';
import { type Choice, chooseAxes } from '../../design/index.ts';
import type { Design } from '../../design/system.ts';
import { cpusOf, litmusPrograms, sizeOf } from '../../litmus/index.ts';
import type { Litmus } from '../../litmus/litmus.ts';
import type { MemoryOrder } from '../../machine/explored/acts.ts';
import type { Weakening } from '../../machine/explored/weakening.ts';
import { pairwise, product } from './covering.ts';

/** How far a piece is looked at. */
export interface Bounds {
  /** Moves in all, but for the minimising of what was found. */
  readonly steps: number;
  /** What must be exhausted for it to hold: so many preemptions, or everything. */
  readonly goal: number | 'all';
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
  readonly bounds: Bounds;
}

/** The fixed budget of a design: moves per piece, by the number of CPUs. */
export interface Budget {
  readonly steps2: number;
  readonly steps3: number;
  /** Preemptions to which litmus programs on three CPUs are exhausted. */
  readonly preemptions3: number;
}

const BUDGETS: Readonly<Record<string, Budget>> = {
  tdp: { steps2: 3_000_000, steps3: 6_000_000, preemptions3: 3 },
};
const OTHERS: Budget = { steps2: 4_000_000, steps3: 8_000_000, preemptions3: 3 };
/** What `--deep` multiplies the budget by, and the preemptions on three CPUs. */
const DEEP = { steps: 20, preemptions3: 5 };
export const ENTRIES = 3;
const DEEP_ENTRIES = 4;
const SEED = 1;

export function budgetOf(design: string): Budget {
  return BUDGETS[design] ?? OTHERS;
}

export interface PlanOptions {
  readonly memory: readonly MemoryOrder[];
  /** Litmus programs by name; all if undefined. */
  readonly litmus: readonly string[] | undefined;
  readonly deep: boolean;
  /** Only what is needed to know what guards there are: the defaults, one order, two CPUs. */
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
  /** Operations that it offers. */
  readonly operations: readonly string[];
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
    .filter(({ hosts }) => hosts.every((steps) => steps.every((step) => offered.has(step.do))))
    .sort((a, b) => sizeOf(a) - sizeOf(b));
}

/** The pieces of one design, small ones first. */
export function planDesign(design: Planned, options: PlanOptions): Piece[] {
  const able = litmusFor(design.operations);
  if (able.length === 0) return badInput(`no litmus program fits what ${design.id} offers`);
  const wanted = options.litmus?.map(findLitmus);
  const chosen = able.filter((litmus) => {
    if (options.guards === true && cpusOf(litmus) > 2) return false;
    return wanted === undefined || wanted.includes(litmus);
  });
  const covering = options.guards === true ? coveringOf(design).slice(0, 1) : coveringOf(design);
  const all = chosen.flatMap((litmus) => {
    // Three CPUs cost as much as everything else: only the first choice pays for them.
    const choices = cpusOf(litmus) > 2 ? covering.slice(0, 1) : covering;
    return choices.map((choice): [string, Litmus] => [choice, litmus]);
  });
  const smallest = chosen[0];
  const wantsCells = design.given === undefined && options.guards !== true;
  const cells = wantsCells && smallest !== undefined ? cellsOf(design) : [];
  for (const cell of cells) {
    if (!all.some(([choice, litmus]) => choice === cell && litmus === smallest)) {
      all.push([cell, smallest!]);
    }
  }
  const orders = options.guards === true ? options.memory.slice(0, 1) : options.memory;
  return all.flatMap(([choice, litmus]) =>
    orders.map((memory) => pieceOf(design.id, choice, litmus, memory, options)),
  );
}

function pieceOf(
  id: string,
  choice: string,
  litmus: Litmus,
  memory: MemoryOrder,
  { deep, steps }: PlanOptions,
): Piece {
  const budget = budgetOf(id);
  const isThree = cpusOf(litmus) > 2;
  const fixed = (isThree ? budget.steps3 : budget.steps2) * (deep ? DEEP.steps : 1);
  const preemptions = deep ? DEEP.preemptions3 : budget.preemptions3;
  return {
    choice,
    litmus: litmus.id,
    memory,
    guard: undefined,
    bounds: {
      steps: steps ?? fixed,
      goal: isThree ? preemptions : 'all',
      entries: deep ? DEEP_ENTRIES : ENTRIES,
      seed: SEED,
    },
  };
}

/** Choices that a design runs all litmus programs with, its defaults first. */
function coveringOf(design: Planned): string[] {
  if (design.given !== undefined) return [nameOf(design, design.given)];
  return [...new Set(pairwise(valuesOf(design)).map((row) => nameOf(design, textOf(design, row))))];
}

function cellsOf(design: Planned): string[] {
  return product(valuesOf(design)).map((row) => nameOf(design, textOf(design, row)));
}

/** Values by axis, the default first. */
function valuesOf({ axes }: Planned): string[][] {
  return Object.values(axes).map((axis) => [
    axis.default,
    ...axis.values.filter((value) => value !== axis.default),
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
