/**
 * What a check consists of: pieces, each a design with its axes under one litmus program and one
 * memory order. Every choice of a pairwise covering of the design's axes runs the litmus programs
 * on two CPUs, the first choice (the defaults) those on three, and every cell of the axes runs the
 * smallest one. A budget may name litmus programs that stand for all under such choices.
 */
import { badInput } from '../../base/bad-input.ts';
import { suggestion } from '../../base/nearest.ts';
import { type Choice, chooseAxes } from '../../design/index.ts';
import type { Design, KnownBroken } from '../../design/system.ts';
import { cpusOf, litmusPrograms, needsOf, sizeOf } from '../../litmus/index.ts';
import type { Litmus } from '../../litmus/litmus.ts';
import { shadowLitmus } from '../../litmus/shadow.ts';
import type { MemoryOrder } from '../../machine/explored/acts.ts';
import type { Weakening } from '../../machine/explored/weakening.ts';
import { pairwise, product } from './covering.ts';
import { TDP_DEEP, TDP_GOALS } from './tdp-goals.ts';

/** What is exhausted: all with so many preemptions, or everything. */
type Goal = number | 'all';

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

/** How far a litmus program is looked at, by the memory orders it is run in. */
export interface Goals extends Readonly<Partial<Record<MemoryOrder, Goal>>> {
  /** An axis with a value under which the program is small, and exhausted. */
  readonly unless?: string;
  /** Entries after which a vCPU is held, where the usual number is one too many. */
  readonly entries?: number;
}

/** The fixed budget of a design. */
export interface Budget {
  /** Moves per piece on two CPUs, and on three. */
  readonly steps2: number;
  readonly steps3: number;
  /** Preemptions to which litmus programs on two CPUs and on three are exhausted. */
  readonly two: Goal;
  readonly three: number;
  /** Litmus programs that are exhausted to other numbers than these. */
  readonly goals: Readonly<Record<string, Goals>>;
  /**
   * Where there are too many choices for a pairwise covering under each litmus program: those that
   * are looked at beside the defaults, and the litmus programs that do it.
   */
  readonly covering?: { readonly choices: readonly string[]; readonly litmus: readonly string[] };
  /** Litmus programs that are looked at unless others are named; all unless given. */
  readonly only?: readonly string[];
  /** Those that are looked at with --deep only, unless they are named. */
  readonly deep?: readonly string[];
  /** Whether its litmus programs on three CPUs are small enough to show guards necessary. */
  readonly hasSmallThree?: boolean;
}

const USUAL = {
  steps2: 4_000_000,
  steps3: 30_000_000,
  two: 'all',
  three: 2,
  goals: {},
} as const satisfies Budget;
/** One preemption more multiplies the states: the stronger order gets it, the weaker does not. */
const FURTHER: Goals = { sc: 3, tso: 2 };
/** Three CPUs to three preemptions; the weaker order has the executions of the stronger, too. */
const THREE: Goals = { tso: 3 };
/** One program of a design is looked at under both, so that nothing rests on that alone. */
const THREE_TWICE: Goals = { sc: 3, tso: 3 };
/** Under the defaults only: other choices would take minutes. */
const DEFAULTS: Goals = { sc: 'all', tso: 'all' };
const UNDER_DEFAULTS = [
  'protect-map',
  'protect-fill',
  'protect-unmap',
  'protect-protect',
  'protect-allow',
  'protect-remove',
  'allow-fill',
  'write-protect',
  'stay-protect',
  'write-protect-a-while',
  'used-invalidate',
  'used-remove',
  'intent-fill-invalidate',
  'intent-write-unmap',
  'intent-map-unmap',
  'intent-small-fills',
];
/** Huge intents: the larger ones are looked at by tests, with --deep, and by name. */
const HUGE_DEEP = [
  'intent-unmap-unmap',
  'intent-unmap-protect',
  'intent-unmap-whole',
  'intent-write-protect',
  'intent-write-take',
  'intent-write-narrow-narrow',
  'promote-unmap',
  'promote-fill',
  'promote-invalidate',
  'promote-write',
  'promote-write-free',
  'intent-unmap-invalidate',
  'intent-map-map',
  'huge-write-unmap',
  'write-unmap-pieces',
];
const ONCE: Goals = { tso: 1 };
/** What a processor of another vendor may make different: flushes, and entries' bits. */
const OVER_NPT = ['write-unmap', 'stay-unmap', 'write-leave-unmap', 'fault-unmap'];
/** Where L1's tables out of step, or a flush at each store, may make a difference. */
const OUT_OF_STEP = [
  'write-unmap',
  'relink-flush',
  'root-nowhere',
  'root-flags',
  'garble-flush',
  'garble-link-flush',
  'recycle-table',
  'protect-flush',
  'clear-flush-one',
  'narrow-flush',
  'unlink-flush',
  'fill-invalidate-tables',
  'unmap-unmap',
  'unmap-teardown',
  'invalidate-teardown',
  'teardown-teardown',
  'fill-teardown',
  'write-teardown',
  'remove-l1-teardown',
];
/** KPOP's proof of concept has no intents, no fences and no labels of flushes. */
const POC = [
  'map-unmap',
  'map-invalidate',
  'unmap-invalidate-pair',
  'write-unmap',
  'stay-invalidate',
];
/** What is said of a guest with tables of its own, and two programs of any guest. */
const SHADOW = [...shadowLitmus.map(({ id }) => id), 'write-unmap', 'stay-unmap'];
const WITHOUT_UNSYNC = ['pte-move-flush', 'pte-clear-write', 'link-clear-flush', 'zap-fast-write'];
/** Two kernels that both change tables, or one that does it three times. */
const LARGE_SHADOW = ['pte-move-move', 'link-clear-fault', 'link-flood-write', 'root-switch-pte'];

/** The weaker order stands for both. */
function shadowGoals(id: string): Goals {
  if (LARGE_SHADOW.includes(id)) return ONCE;
  return WITHOUT_UNSYNC.includes(id) ? { tso: 2, unless: 'unsync=off' } : { tso: 2 };
}

const POLICY = ['policy-answer', 'post-run', 'post-leave', 'post-halt'];
const BUDGETS: Readonly<Record<string, Budget>> = {
  'tdp-npt': { ...USUAL, only: OVER_NPT },
  'kpop-npt': { ...USUAL, only: OVER_NPT },
  tdp: {
    ...USUAL,
    goals: {
      'write-remove-unmap': THREE,
      'write-invalidate-teardown': THREE_TWICE,
      'yield-fault': { tso: 'all' },
      'yield-unmap': { tso: 1 },
      'yield-remove': { tso: 'all' },
      'remove-write-twice': { tso: 2 },
      'huge-collapse-twice': { tso: 2 },
      'huge-promote-twice': { tso: 2 },
      'huge-collapse-unmap-2': { tso: 'all' },
      'huge-unmap-refault': { tso: 'all' },
      'log-start-remove': { tso: 2 },
      'huge-write-unmap': { tso: 'all' },
      'huge-collapse-write': { tso: 'all' },
      ...TDP_GOALS,
    },
    deep: TDP_DEEP,
  },
  shadow: {
    ...USUAL,
    only: SHADOW,
    goals: Object.fromEntries(SHADOW.map((id) => [id, shadowGoals(id)])),
    covering: { choices: ['unsync=off'], litmus: WITHOUT_UNSYNC },
  },
  'nested-npt': { ...USUAL, two: 2, only: ['write-unmap', 'write-leave-unmap', 'move-flush'] },
  nested: {
    ...USUAL,
    goals: {
      'write-unmap-invalidate': THREE_TWICE,
      'write-unmap-unmap': THREE,
      'write-invalidate-invalidate': THREE,
      'clear-remove-l1-tables': THREE,
      'write-remove-l1-teardown': THREE,
      'clear-teardown': THREE,
      'zero-table': { tso: 'all' },
      'shared-narrow': { tso: 'all' },
      'fill-move': DEFAULTS,
      'narrow-fill': DEFAULTS,
      'root-b-move': DEFAULTS,
      'move-flush': DEFAULTS,
      'clean-flush': DEFAULTS,
      'write-leave-unmap': DEFAULTS,
      'stay-unmap-teardown': DEFAULTS,
      'zero-table-teardown': ONCE,
      'zero-table-invalidate-tables': ONCE,
      'zero-root-clear': ONCE,
      'zero-root': { tso: 2 },
      'zero-root-fill': { tso: 2 },
      'root-b-zero-root': { tso: 2 },
      'shared-zero-table': { tso: 2 },
    },
    covering: { choices: ['unsync=on', 'vmcs=trapped,storeflush=now'], litmus: OUT_OF_STEP },
  },
  // A guest below a removed table page faults until it is held: the third entry shows no more.
  kpop: {
    ...USUAL,
    deep: HUGE_DEEP,
    goals: {
      'write-unmap-unmap': THREE_TWICE,
      'write-unmap-invalidate': THREE,
      'write-map-unmap': THREE,
      'write-invalidate-teardown': THREE,
      'write-remove-map': { tso: 2 },
      'remove-write-twice': ONCE,
      'write-remove-move': { tso: 1, entries: 2 },
      'write-remove-invalidate': { tso: 2, entries: 2 },
      // What PROTECT and huge intents share with UNMAP is looked at there, under every lock.
      ...Object.fromEntries(UNDER_DEFAULTS.map((id) => [id, { tso: 'all' }])),
      ...Object.fromEntries(HUGE_DEEP.map((id) => [id, ONCE])),
    },
  },
  'kpop-l1': {
    ...USUAL,
    goals: {
      'touch-drop-drop': FURTHER,
      'touch-collect': { tso: 'all' },
      'collect-drop-touch': { tso: 'all' },
      'collect-touch-collect': { tso: 'all' },
    },
    covering: {
      litmus: ['touch-invalidate'],
      choices: [
        'run=separate,batch=2',
        'flush=request',
        'book=rbtree',
        'book=interval,flush=request',
        'book=flat,batch=2',
        'run=separate,book=none',
      ],
    },
    hasSmallThree: true,
  },
  'kpop-poc': { ...USUAL, only: POC },
  // The run loop and its handshakes are looked at under both orders for tdp.
  'kpop-policy': {
    ...USUAL,
    goals: {
      ...Object.fromEntries(POLICY.map((id) => [id, { tso: 'all' }])),
      'policy-replace': { tso: 2 },
    },
  },
  'kpop-stack': { ...USUAL, two: 2, three: 1, goals: { 'stack-ask-take': { sc: 1, tso: 1 } } },
};
/** What `--deep` multiplies moves by, and adds to the preemptions on three CPUs. */
const DEEP = { steps: 20, preemptions: 1 };
export const ENTRIES = 3;
const DEEP_ENTRIES = 4;
const SEED = 1;

export function budgetOf(design: string): Budget {
  return BUDGETS[design] ?? USUAL;
}

export interface PlanOptions {
  readonly memory: readonly MemoryOrder[];
  /** Litmus programs by name; all if undefined. */
  readonly litmus: readonly string[] | undefined;
  readonly deep: boolean;
  /** Preemptions that are to be exhausted, instead of the fixed budget's. */
  readonly preemptions?: number | undefined;
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
  /** Operations that it offers, what guests may ask for among them (`needsOf`). */
  readonly operations: readonly string[];
  /** What the modelled system itself breaks. */
  readonly breaks?: readonly KnownBroken[] | undefined;
}

/** Whether the modelled system itself breaks a promise there. */
export function isKnownBroken({ design, axes }: Choice, litmus: Litmus): boolean {
  return meets(design.explored?.breaks, axes, litmus);
}

function meets(
  breaks: readonly KnownBroken[] = [],
  axes: Readonly<Record<string, string>>,
  litmus: Litmus,
): boolean {
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
  const { hasSmallThree = false, covering } = budgetOf(design.id);
  const chosen = able.filter((litmus) => {
    if (options.guards === true && cpusOf(litmus) > 2 && !hasSmallThree) return false;
    if (wanted !== undefined) return wanted.includes(litmus);
    const { only, deep } = budgetOf(design.id);
    if (deep?.includes(litmus.id) === true && !options.deep) return false;
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
    const [first, ...others] = coveringOf(concerning(design, litmus));
    if (options.guards === true) {
      // Where the system breaks a promise as it is, weakening shows nothing.
      if (!isBrokenByDefault(design, litmus)) add(first!, litmus, memory.slice(0, 1));
      continue;
    }
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

function isBrokenByDefault({ axes, breaks }: Planned, litmus: Litmus): boolean {
  const defaults = Object.entries(axes).map(([name, axis]) => [name, axis.default]);
  return meets(breaks, Object.fromEntries(defaults), litmus);
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
