/** What tidy.ts enforces, as data: limits, words, entry points, and exceptions with a reason. */

export const limits = { fileLines: 500, functionLines: 70, columns: 100 };

/** Rooms whose code is simulated: no clock and no randomness but the seeded one. */
export const simulatedRooms = [
  'base',
  'runtime',
  'machine',
  'sync',
  'abi',
  'hypervisor',
  'guest',
  'check',
  'design',
  'workload',
  'schedule',
  'measure',
  'litmus',
];

/** Rooms with hot code, where a BigInt costs ten times what two numbers cost. */
export const hotRooms = ['runtime', 'machine', 'sync', 'hypervisor', 'guest', 'schedule'];

export interface Exception {
  /** A file, or every file whose path begins like this. */
  readonly path: string;
  readonly why: string;
}

export const clockExceptions: readonly Exception[] = [
  { path: 'src/schedule/threads', why: 'real threads run in real time' },
];

export const bigIntExceptions: readonly Exception[] = [
  { path: 'src/schedule/threads', why: 'Atomics on 64-bit words take and give BigInts only' },
];

/** Files that nobody needs to import. */
export const entryPoints: readonly Exception[] = [
  { path: 'src/index.ts', why: 'the public API' },
  { path: 'src/cli/main.ts', why: 'started by bin/kpop.js' },
  { path: 'src/cli/worker.ts', why: 'started by src/cli/pool.ts on a thread' },
  { path: 'src/cli/check-worker.ts', why: 'started by src/cli/check-crew.ts on a thread' },
  { path: 'src/experiment/check/stress-worker.ts', why: 'started by stress.ts on a thread' },
  { path: 'src/web/main.ts', why: 'started by the page' },
  { path: 'src/design/skeleton.ts', why: 'copied by whoever adds a design' },
  { path: 'scripts/', why: 'run by name' },
  { path: 'test/', why: 'run by the test runner' },
  { path: 'bench/', why: 'run by name' },
];

/** Marks of unfinished work, written in pieces so that this file may hold them. */
export const marks = ['TO' + 'DO', 'FIX' + 'ME', 'X' + 'XX'];

export interface BannedWord {
  readonly word: RegExp;
  readonly instead: string;
}

const banned = (word: string, instead: string): BannedWord => ({
  word: new RegExp(`\\b${word}\\b`, 'i'),
  instead,
});

/** One word, one meaning; whole words, any case. */
export const bannedWords: readonly BannedWord[] = [
  banned('hypervi[zs]or(?<!hypervisor)s?', 'hypervisor'),
  banned('hypervsiors?', 'hypervisor'),
  banned('sanity[- ]checks?', 'check'),
  banned('white-?list(ed|s)?', 'allow-list'),
  banned('black-?list(ed|s)?', 'deny-list'),
  banned('tlb[- ]shoot-?downs?', 'shootdown (its object is always the TLB)'),
  banned('virtual[- ]frames?', 'page (a frame is physical, a page virtual)'),
  banned('hyper-calls?', 'hypercall'),
  banned('hacks?', 'what it does and why'),
  banned('magic numbers?', 'a named constant'),
  banned('utils?', 'the noun it is about'),
  banned('etc\\.?', 'the whole list, or one example'),
];
