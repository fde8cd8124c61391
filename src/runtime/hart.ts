/**
 * The contract between one CPU's code and a scheduler that explores. A *hart* is a CPU with the
 * host thread on it, the guests which that thread runs, and the registers of all of them. Two harts
 * share nothing but words of memory and signals, so that a hart is a transducer: in a local state
 * it takes an input (perform the offered act, take an interrupt, …), reads and writes words, emits
 * effects and is in another local state. That is what lets an explorer remember what a hart did
 * instead of running its code again.
 */
import type { Order } from './act.ts';
import { Touches } from './touches.ts';

/** What a hart can be asked to do. `argument` is the meaning of the second number. */
export const Input = {
  /** Performs the offered act; argument 0, or a cached translation (an adversary's number). */
  act: 0,
  /** Takes an interrupt; argument: the signal as it was emitted. */
  interrupt: 1,
  /** Lets the oldest store leave the store buffer. */
  drain: 2,
  /** Asks whether the offered wait may go ahead; changes nothing. */
  probe: 3,
  /** Answers the offered free choice; argument: the answer. */
  choose: 5,
  /** Lets the code run up to its first act: once, before anything else. */
  start: 6,
} as const;

export const Effect = {
  /** a = half-word index, b = value. */
  write: 0,
  /** a = frame whose words all become zero. */
  zero: 1,
  /** a = hart, b = signal: an interrupt is in flight to it. */
  signal: 2,
  /** a = space or -1 for all, b = page or -1 for all: cached translations are dropped here. */
  invalidate: 4,
  /** a = hart: everything cached there is dropped, by a broadcast from here. */
  invalidateAt: 6,
  /** An invalidation by a guest of what its tables say has retired here; a = page or -1 for all. */
  guestFlush: 5,
} as const;

/**
 * What code says about itself to whoever follows it (`Context.began`, `Context.ended`): no effect
 * on anything, and a function of the same local state, input and words as the effects are.
 */
export interface Mark {
  /** Name of the context whose code it is. */
  readonly context: string;
  readonly operation: string;
  readonly args: readonly number[];
  /** What the operation ended with; undefined where it begins. */
  readonly result: string | undefined;
}

/** What the code of a hart can do next, and what else its local state decides. */
export const Offer = {
  act: 0,
  wait: 1,
  choose: 2,
  /** All code here has ended. */
  none: 3,
  /** The code stopped at an assertion of its own: `message` says which. */
  crashed: 4,
} as const;

/** A guest access that the offered act makes: which page of which space, and with what right. */
export interface Translation {
  readonly space: number;
  readonly page: number;
  readonly right: number;
}

/** A hart in one local state; a value. */
export interface HartView {
  /** Hash of the local state: equal lanes are taken for equal states. */
  readonly keyLow: number;
  readonly keyHigh: number;
  readonly offer: number;
  /** Alternatives of an offered choice. */
  readonly choices: number;
  /** Label of the offered act, its operation code, and the name of the context that offers it. */
  readonly label: string;
  readonly op: number;
  readonly context: string;
  /** What the offered act orders, as it will be performed. */
  readonly order: Order;
  /** Words that an offered wait depends on are known only to its predicate: ask with `probe`. */
  readonly translation: Translation | undefined;
  /** Space whose translations hardware may cache here at any moment; -1 outside guest mode. */
  readonly space: number;
  /** Whether guests of guests may run here. */
  readonly nests: boolean;
  /** Locks held by the code here. */
  readonly locks: number;
  /** Stores in the store buffer. */
  readonly buffered: number;
  /** A promise about this hart alone that its last move broke, or why it crashed; else ''. */
  readonly message: string;
}

/** One live copy of a hart's code, at some local state. */
export interface LiveHart {
  readonly tape: Tape;
  /** Takes an input; words and effects go through the tape. A probe answers 0 or 1, others 0. */
  perform(input: number, argument: number): number;
  view(): HartView;
}

/**
 * What hardware may have cached, and which entries an access may use. Sets are numbers that this
 * object interns, so that a state holds one number per hart.
 */
export interface Adversary {
  /** The empty set. */
  readonly nothing: number;
  /** Cached entries that an access may use instead of a new walk; reused array. */
  usable(set: number, translation: Translation): readonly number[];
  /** The half-word `index` is about to change: what hart `view` may have cached of it. */
  beforeWrite(set: number, view: HartView, index: number): number;
  /** The half-word `index` was written: new tables may hang below it. */
  afterWrite(index: number): void;
  /** The hart went from one local state to another: on leaving guest mode what it cached stays. */
  afterMove(set: number, before: HartView, after: HartView): number;
  invalidate(set: number, space: number, page: number): number;
  /** A guest's own invalidation retired at the hart, of a page or (-1) of all. */
  guestFlush(set: number, page: number): number;
  /** Entries that hardware may cache by itself now, each a move; an eager one has some. */
  fills(set: number, view: HartView): readonly number[];
  /** The set with one more entry. */
  filled(set: number, entry: number): number;
  /** Whether words of a frame may be table entries for somebody: only then `beforeWrite` counts. */
  isTable(frame: number): boolean;
  /** Content hash of a set, two lanes. */
  hashLow(set: number): number;
  hashHigh(set: number): number;
  /** Names a cached entry, as `usable` numbers it. */
  describe(entry: number): string;
}

/** Half-words of a frame. */
export const FRAME_HALVES = 1024;

/**
 * Words of which only a part matters: counters that code compares for being equal or odd. States in
 * which they have the same meaning have the same futures.
 */
export interface Likeness {
  /** Half-words, each in one likeness only. */
  readonly halves: readonly number[];
  /** What their values mean, as many numbers or fewer. */
  readonly meaning: (values: readonly number[]) => readonly number[];
}

/**
 * Between a live hart and the words: every half-word that the hart reads comes from here, and
 * nothing it writes gets past here. Live, reads are answered by the words as they are and are
 * recorded; in replay they are answered by a record, and a read of another word than recorded means
 * that the code is not a function of what it reads.
 */
export class Tape {
  /** Words as they are now. */
  readonly words: Int32Array;
  /** (index, value) of each half-word read that this step had not written before. */
  readonly reads: number[] = [];
  /** (kind, a, b) of each effect, in order. */
  readonly effects: number[] = [];
  /** What code said in this step, in order. */
  readonly marks: Mark[] = [];
  /** Words of this step, and in whose name they were touched. */
  readonly touches = new Touches();
  /** Who is told every value read, while code (not hardware) reads. */
  heard: { add(value: number): void } | undefined;
  readonly #overlay = new Map<number, number>();
  readonly #zeroed = new Set<number>();
  readonly #known = new Map<number, number>();
  #script: readonly number[] | undefined;
  #at = 0;

  constructor(words: Int32Array) {
    this.words = words;
  }

  /** Begins a step; `script`: the record to replay, live if absent. */
  begin(script?: readonly number[]): void {
    this.reads.length = 0;
    this.effects.length = 0;
    this.marks.length = 0;
    this.touches.begin();
    this.#overlay.clear();
    this.#zeroed.clear();
    this.#known.clear();
    this.#script = script;
    this.#at = 0;
  }

  read(index: number): number {
    const value = this.#look(index);
    this.heard?.add(value);
    this.touches.read(index);
    return value;
  }

  /** The act was performed; code runs on. */
  endAct(): void {
    this.touches.acted = this.effects.length;
  }

  #look(index: number): number {
    const own = this.#overlay.get(index);
    if (own !== undefined) return own;
    if (this.#zeroed.size !== 0 && this.#zeroed.has((index / FRAME_HALVES) | 0)) return 0;
    const known = this.#known.get(index);
    if (known !== undefined) return known;
    const value = this.#script === undefined ? this.words[index]! : this.#replayed(index);
    this.#known.set(index, value);
    this.reads.push(index, value);
    return value;
  }

  write(index: number, value: number): void {
    this.#overlay.set(index, value);
    this.touches.write(index);
    this.effects.push(Effect.write, index, value);
  }

  zero(frame: number): void {
    const first = frame * FRAME_HALVES;
    for (const index of [...this.#overlay.keys()]) {
      if (index >= first && index < first + FRAME_HALVES) this.#overlay.delete(index);
    }
    this.#zeroed.add(frame);
    this.effects.push(Effect.zero, frame, 0);
  }

  emit(effect: number, a: number, b: number): void {
    this.effects.push(effect, a, b);
  }

  #replayed(index: number): number {
    const script = this.#script!;
    const at = this.#at;
    this.#at = at + 2;
    if (script[at] !== index) throw new Diverged(index, script[at] ?? -1);
    return script[at + 1]!;
  }
}

/** The code read another word than it did when it was in the same state before. */
export class Diverged extends Error {
  override readonly name = 'Diverged';

  constructor(index: number, recorded: number) {
    super(`half-word ${index} was read where ${recorded} had been read`);
  }
}
