/**
 * How far each design's litmus programs are looked at: the fixed budgets of a check, as data.
 */
import { kpopLogLitmus } from '../../litmus/kpop-log.ts';
import { kpopWindowLitmus } from '../../litmus/kpop-window.ts';
import { shadowLitmus } from '../../litmus/shadow.ts';
import { tdpLogLitmus } from '../../litmus/tdp-log.ts';
import type { MemoryOrder } from '../../machine/explored/acts.ts';
import { TDP_DEEP, TDP_GOALS } from './tdp-goals.ts';

/** What is exhausted: all with so many preemptions, or everything. */
export type Goal = number | 'all';

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
  'promote-write-unmap',
  'promote-write-invalidate',
  'intent-unmap-invalidate',
  'intent-map-map',
  'huge-write-unmap',
  'write-unmap-pieces',
];
/** Logs of writes: the others are looked at by tests, with --deep, and by name. */
const LOG_DEEP = [...tdpLogLitmus, ...kpopLogLitmus].map(({ id }) => id);
const LOGS = ['log-harvest-write', 'log-drop'];
/** Of windows the same. */
const WINDOW_DEEP = kpopWindowLitmus.map(({ id }) => id);
const WINDOWS = ['window-open-unmap', 'window-fill-unmap'];
const IN_PLAN = [...LOGS, ...WINDOWS];
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
const SHADOW = [...shadowLitmus.map(({ id }) => id), 'write-unmap', 'stay-unmap'].filter(
  (id) => id !== 'link-flood-write', // its third store needs more entries than a check gives
);
const WITHOUT_UNSYNC = ['pte-move-flush', 'pte-clear-write', 'zap-fast-write'];
/** Two kernels that both change tables, or one that does it three times. */
const LARGE_SHADOW = ['pte-move-move', 'link-clear-fault', 'root-switch-pte'];

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
      'write-write-unmap': ONCE,
      'write-remove-invalidate': ONCE,
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
      'write-unmap-unmap': { tso: 2 },
      'write-invalidate-invalidate': { tso: 2 },
      'write-write-unmap': ONCE,
      'write-invalidate-teardown': ONCE,
      'clear-remove-l1-tables': THREE,
      'write-remove-l1-teardown': THREE,
      'clear-teardown': THREE,
      'zero-table': { tso: 3 },
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
      'clear-invalidate-tables': ONCE,
      'zero-root': ONCE,
      'zero-root-fill': ONCE,
      'root-b-zero-root': ONCE,
      'shared-zero-table': ONCE,
    },
    covering: { choices: ['unsync=on', 'vmcs=trapped,storeflush=now'], litmus: OUT_OF_STEP },
  },
  // A guest below a removed table page faults until it is held: the third entry shows no more.
  kpop: {
    ...USUAL,
    deep: [...HUGE_DEEP, ...LOG_DEEP, ...WINDOW_DEEP].filter((id) => !IN_PLAN.includes(id)),
    goals: {
      'write-unmap-unmap': THREE_TWICE,
      'write-unmap-invalidate': THREE,
      'write-map-unmap': { tso: 2 },
      'write-write-unmap': ONCE,
      'write-invalidate-invalidate': ONCE,
      'write-protect-invalidate': ONCE,
      'write-invalidate-teardown': THREE,
      'write-remove-map': { tso: 2 },
      'write-remove-unmap': ONCE,
      'remove-write-twice': ONCE,
      'write-remove-move': { tso: 1, entries: 2 },
      'write-remove-invalidate': { tso: 2, entries: 2 },
      ...Object.fromEntries([...HUGE_DEEP, ...LOG_DEEP, ...WINDOW_DEEP].map((id) => [id, ONCE])),
      // What PROTECT and huge intents share with UNMAP is looked at there, under every lock.
      ...Object.fromEntries([...UNDER_DEFAULTS, ...WINDOWS].map((id) => [id, { tso: 'all' }])),
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
  'kpop-stack': {
    ...USUAL,
    two: 2,
    three: 1,
    goals: {
      'stack-ask-take': ONCE,
      'stack-fault-take': ONCE,
      'stack-write-take': ONCE,
      'stack-write-zap': ONCE,
    },
  },
};

export function budgetOf(design: string): Budget {
  return BUDGETS[design] ?? USUAL;
}
