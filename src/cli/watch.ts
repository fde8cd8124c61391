/**
 * Watching code that a user brought: a thread writes into shared memory where it is, so that the
 * main thread can tell code that never comes back from a search that takes long; and while that
 * code runs, clocks and unseeded randomness refuse to answer.
 */
import type { HartView, LiveHart, Tape } from '../runtime/hart.ts';

/** Words of the shared memory. */
const At = { phase: 0, beats: 1, progress: 2, hart: 3, length: 4, text: 5 } as const;
const MOST_LETTERS = 80;
const WORDS = At.text + MOST_LETTERS;

const PHASES = ['search', 'load', 'build', 'step'] as const;
export type Phase = (typeof PHASES)[number];

export function sharedWatch(): Int32Array {
  return new Int32Array(new SharedArrayBuffer(WORDS * 4));
}

/** What the main thread reads. */
export interface Seen {
  readonly phase: Phase;
  readonly beats: number;
  /** How often the search has asked whether time is over. */
  readonly progress: number;
  readonly where: string;
}

export function seenIn(shared: Int32Array): Seen {
  return {
    phase: PHASES[Atomics.load(shared, At.phase)]!,
    beats: Atomics.load(shared, At.beats),
    progress: Atomics.load(shared, At.progress),
    where: whereIn(shared),
  };
}

/** Where the code last was, as words for a sentence. */
function whereIn(shared: Int32Array): string {
  const phase = PHASES[Atomics.load(shared, At.phase)];
  if (phase === 'load') return 'while it is loaded';
  if (phase === 'build') return 'while it builds its system';
  const length = Atomics.load(shared, At.length);
  const label = String.fromCharCode(...shared.subarray(At.text, At.text + length));
  const last = length === 0 ? 'before its first act' : `after ${label}`;
  return `on cpu${Atomics.load(shared, At.hart)} ${last}`;
}

export class Watch {
  /** Whether a user's code runs here. */
  isOn = false;
  readonly #shared: Int32Array;
  #depth = 0;

  constructor(shared: Int32Array) {
    this.#shared = shared;
    forbidChance(() => this.#depth > 0);
  }

  get where(): string {
    return whereIn(this.#shared);
  }

  progress(): void {
    this.#shared[At.progress] = this.#shared[At.progress]! + 1;
  }

  /** Runs code of the user's, which must come back. */
  during<T>(phase: Phase, code: () => T): T {
    const before = this.#shared[At.phase]!;
    Atomics.store(this.#shared, At.phase, PHASES.indexOf(phase));
    Atomics.add(this.#shared, At.beats, 1);
    this.#depth++;
    const leave = (): void => {
      this.#depth--;
      Atomics.add(this.#shared, At.beats, 1);
      Atomics.store(this.#shared, At.phase, before);
    };
    let isLate = false;
    try {
      const result = code();
      isLate = result instanceof Promise;
      if (isLate) return (result as Promise<unknown>).finally(leave) as T;
      return result;
    } finally {
      if (!isLate) leave();
    }
  }

  /** A live hart whose steps are watched. */
  readonly hart = (live: LiveHart, hart: number): LiveHart => new WatchedHart(this, live, hart);

  /** Notes what a hart is about to do. */
  note(hart: number, label: string): void {
    const length = Math.min(label.length, MOST_LETTERS);
    this.#shared[At.hart] = hart;
    this.#shared[At.length] = length;
    for (let i = 0; i < length; i++) this.#shared[At.text + i] = label.charCodeAt(i);
  }
}

class WatchedHart implements LiveHart {
  readonly tape: Tape;
  readonly #watch: Watch;
  readonly #live: LiveHart;
  readonly #hart: number;
  #label = '';

  constructor(watch: Watch, live: LiveHart, hart: number) {
    this.#watch = watch;
    this.#live = live;
    this.#hart = hart;
    this.tape = live.tape;
  }

  perform(input: number, argument: number): number {
    this.#watch.note(this.#hart, this.#label);
    return this.#watch.during('step', () => this.#live.perform(input, argument));
  }

  view(): HartView {
    const view = this.#live.view();
    this.#label = view.label;
    return view;
  }
}

/** While `isForbidden`, clocks and chance throw: what a design does follows from words alone. */
function forbidChance(isForbidden: () => boolean): void {
  const refuse = (what: string): void => {
    if (!isForbidden()) return;
    throw new Impure(`uses ${what}: explored code may depend on nothing but words of memory`);
  };
  const guard = <F extends (...args: never[]) => unknown>(code: F, what: string): F =>
    ((...args: never[]) => {
      refuse(what);
      return code(...args);
    }) as F;
  Math.random = guard(Math.random, 'chance (Math.random)');
  const { performance: clock, crypto: chance } = globalThis;
  clock.now = guard(clock.now.bind(clock), 'the clock (performance.now)');
  process.hrtime = Object.assign(guard(process.hrtime, 'the clock (process.hrtime)'), {
    bigint: guard(process.hrtime.bigint, 'the clock (process.hrtime)'),
  });
  chance.getRandomValues = guard(chance.getRandomValues.bind(chance), 'chance (crypto)');
  chance.randomUUID = guard(chance.randomUUID.bind(chance), 'chance (crypto)');
  globalThis.Date = new Proxy(Date, {
    apply(date, self, args: unknown[]): unknown {
      refuse('the clock (Date)');
      return Reflect.apply(date, self, args);
    },
    construct(date, args: unknown[]): object {
      if (args.length === 0) refuse('the clock (new Date)');
      return Reflect.construct(date, args) as object;
    },
    get(date, name): unknown {
      if (name === 'now') refuse('the clock (Date.now)');
      return Reflect.get(date, name) as unknown;
    },
  });
}

/** Thrown into the user's code, so that the stack says which line it was. */
class Impure extends Error {}
