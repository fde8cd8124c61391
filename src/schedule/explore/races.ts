/**
 * The happens-before detector of law 1: two accesses to one word by different harts conflict if at
 * least one of them is plain and at least one writes; a conflict that nothing orders is a race.
 *
 * What happens before what is kept as vector clocks, one component per hart (Mattern 1988; the
 * scheme is DJIT+'s, Pozniansky and Schuster 2003): a hart's clock is the latest moment of each
 * hart that is known to be over for it. Edges:
 * - the order of a hart's own steps; in a step the act comes first, then the code that runs on;
 * - a load that acquires comes after the release that it reads from; a locked operation continues
 *   the release that it read (C11 release sequences), a store begins anew;
 * - fences, and locked operations that order fully, make releases of relaxed stores after them and
 *   acquires of relaxed loads before them, as in C11;
 * - an interrupt comes after what its sender did before sending it;
 * - under TSO a store that waits in the buffer releases what came before the store, not what came
 *   before it leaves;
 * - hardware follows pointers in order: the reads of a walk acquire, whatever the act orders.
 *
 * A wait's predicate reads as its act says: acquiring. A glance (a holder's look at its own lock)
 * orders nothing. Zeroing a frame is a plain write of all its words.
 *
 * Which races there are depends on nothing but the order of steps that touch a word in common, so
 * that a reduced search, which looks at one order of independent steps, misses none. A search that
 * does not go on from states it has seen may miss some: the same words may have been reached with
 * fewer edges. What it reports is a race all the same; `hash` tells such states apart.
 */
import { Op } from '../../runtime/act.ts';
import { Effect, FRAME_HALVES, type HartView } from '../../runtime/hart.ts';
import { STORE_LEAVES, STORE_WAITS, TOUCHES, Touch } from '../../runtime/touches.ts';
import type { Leaf } from './automaton.ts';
import { Cells } from './cells.ts';
import { ClockHash } from './clock-hash.ts';

/** One step of a hart. */
export interface RaceStep {
  readonly hart: number;
  /** It performed the act that `before` offers, rather than something hardware does by itself. */
  readonly isAct: boolean;
  readonly isInterrupt: boolean;
  readonly before: HartView;
  readonly after: HartView;
  readonly leaf: Leaf;
}

/** Rows of a word: the clock that its last store released, and accesses as moments by hart. */
const Row = { release: 0, plainRead: 1, plainWrite: 2, atomicRead: 3, atomicWrite: 4 } as const;
const KINDS = 5;
/** The site of an access stands this many rows below it. */
const SITES = 4;
const WORD_ROWS = KINDS + SITES;
const HOW: Readonly<Record<number, string>> = {
  [Row.plainRead]: 'plainly read',
  [Row.plainWrite]: 'plainly wrote',
  [Row.atomicRead]: 'read',
  [Row.atomicWrite]: 'wrote',
};
/** What conflicts with each kind of access. */
const AGAINST: Readonly<Record<number, readonly number[]>> = {
  [Row.plainRead]: [Row.plainWrite, Row.atomicWrite],
  [Row.plainWrite]: [Row.plainRead, Row.plainWrite, Row.atomicRead, Row.atomicWrite],
  [Row.atomicRead]: [Row.plainWrite],
  [Row.atomicWrite]: [Row.plainRead, Row.plainWrite],
};
const FRAME_WORDS = FRAME_HALVES / 2;

/** A store in a store buffer. */
interface Waiting {
  /** The hart's clock at the store, and what the store releases. */
  readonly clock: Int32Array;
  readonly release: Int32Array;
  readonly site: number;
}

/** What is known of words, by number. */
export interface Words {
  /** Names a word for people; by its frame and place unless given. */
  readonly nameOf?: (word: number) => string;
  /** Words of which plain accesses never race: steps of a specification are whole. */
  readonly isExempt?: (word: number) => boolean;
}

function placeOf(word: number): string {
  const frame = Math.floor(word / FRAME_WORDS);
  return `word ${word % FRAME_WORDS} of frame 0x${frame.toString(16)}`;
}

function never(): boolean {
  return false;
}

/** Queues of each hart, as values. */
interface Queues {
  readonly signals: readonly (readonly Int32Array[])[];
  readonly stores: readonly (readonly Waiting[])[];
}

export class Races {
  /** The first race of the last step; '' if there was none. */
  message = '';
  readonly #harts: number;
  readonly #nameOf: (word: number) => string;
  readonly #isExempt: (word: number) => boolean;
  readonly #cells: Cells;
  // Rows per hart: its clock; what its relaxed loads may acquire; what its relaxed stores release.
  readonly #clocks: number;
  readonly #pending: number;
  readonly #fences: number;
  readonly #scratch: number; // a row
  readonly #words = new Map<number, number>(); // first cell, by word
  readonly #frames = new Map<number, number>(); // of zeroed frames: moments, then sites
  readonly #byFrame = new Map<number, number[]>(); // words that have rows
  #queues: Queues;
  readonly #past: { readonly queues: Queues; readonly message: string }[] = [];
  readonly #sites: string[] = [''];
  readonly #siteNumbers = new Map<string, number>();
  readonly #sitesOf = new Map<Leaf, readonly [atomic: number, plain: number]>();

  constructor(harts: number, { nameOf = placeOf, isExempt = never }: Words = {}) {
    this.#harts = harts;
    this.#nameOf = nameOf;
    this.#isExempt = isExempt;
    this.#cells = new Cells(harts);
    this.#clocks = this.#cells.add(harts);
    this.#pending = this.#cells.add(harts);
    this.#fences = this.#cells.add(harts);
    this.#scratch = this.#cells.add(1);
    const empty = Array.from({ length: harts }, () => []);
    this.#queues = { signals: empty, stores: empty };
    for (let hart = 0; hart < harts; hart++) this.#tick(hart);
  }

  /** A step was taken. */
  take(step: RaceStep): void {
    this.#past.push({ queues: this.#queues, message: this.message });
    this.message = '';
    this.#cells.begin();
    this.#step(step);
  }

  /** Something that no hart did: it orders nothing. */
  skip(): void {
    this.#past.push({ queues: this.#queues, message: this.message });
    this.message = '';
    this.#cells.begin();
  }

  /** What a hart did before the first step. */
  start(step: RaceStep): void {
    this.#step(step);
  }

  back(): void {
    const { queues, message } = this.#past.pop()!;
    this.#queues = queues;
    this.message = message;
    this.#cells.back();
  }

  #step(step: RaceStep): void {
    const { hart, before, leaf } = step;
    const cells = this.#cells;
    const clock = this.#clockOf(hart);
    const [atomicSite, plainSite] = this.#sitesAt(step);
    if (step.isInterrupt) this.#arrive(hart);
    const isFence = step.isAct && fences(before);
    if (isFence) cells.join(clock, this.#pending + hart * this.#harts);
    this.#atomics(step, atomicSite);
    if (isFence) cells.copy(this.#fences + hart * this.#harts, clock);
    this.#send(hart, leaf, 0, leaf.touches.acted);
    this.#tick(hart);
    this.#plains(step, plainSite);
    if (leaf.touches.acted === leaf.effects.length) return;
    this.#send(hart, leaf, leaf.touches.acted, leaf.effects.length);
    this.#tick(hart);
  }

  #clockOf(hart: number): number {
    return this.#clocks + hart * this.#harts;
  }

  #tick(hart: number): void {
    const own = this.#clockOf(hart) + hart;
    this.#cells.set(own, this.#cells.at(own) + 1);
  }

  // --- from hart to hart -----------------------------------------------------------------------

  #arrive(hart: number): void {
    const [first, ...rest] = this.#queues.signals[hart]!;
    if (first === undefined) return;
    this.#cells.joinRow(this.#clockOf(hart), first);
    this.#queues = { ...this.#queues, signals: replaced(this.#queues.signals, hart, rest) };
  }

  #send(hart: number, { effects }: Leaf, from: number, end: number): void {
    for (let i = from; i < end; i += 3) {
      const to = effects[i + 1]!;
      if (effects[i] === Effect.signal) {
        const { signals } = this.#queues;
        const clock = this.#cells.row(this.#clockOf(hart));
        this.#queues = {
          ...this.#queues,
          signals: replaced(signals, to, [...signals[to]!, clock]),
        };
      }
    }
  }

  // --- what the act touched --------------------------------------------------------------------

  #atomics({ hart, isAct, before, leaf }: RaceStep, site: number): void {
    const { atomic } = leaf.touches;
    const clock = this.#clockOf(hart);
    const acquires = !isAct || orders(before, 'acquire');
    const releases = isAct && orders(before, 'release');
    let leaving: Waiting | undefined;
    for (let i = 0; i < atomic.length; i++) {
      const code = atomic[i]!;
      const touch = code % TOUCHES;
      const word = (code - touch) / TOUCHES;
      if (code === STORE_WAITS) this.#wait(hart, releases, site);
      else if (code === STORE_LEAVES) leaving = this.#leave(hart);
      else if (touch === Touch.write && leaving !== undefined) {
        this.#landed(hart, word, leaving);
        leaving = undefined;
      } else if (touch === Touch.write) {
        this.#access(hart, clock, word, Row.atomicWrite, site);
        const isLocked = atomic.includes(word * TOUCHES + Touch.read);
        this.#release(word, releases ? clock : this.#fences + hart * this.#harts, isLocked);
      } else {
        this.#access(hart, clock, word, Row.atomicRead, site);
        if (touch === Touch.glance) continue;
        const into = acquires ? clock : this.#pending + hart * this.#harts;
        this.#cells.join(into, this.#rowsOf(word));
      }
    }
  }

  #release(word: number, clock: number, isLocked: boolean): void {
    const row = this.#rowsOf(word);
    if (isLocked) this.#cells.join(row, clock);
    else this.#cells.copy(row, clock);
  }

  #wait(hart: number, releases: boolean, site: number): void {
    const clock = this.#cells.row(this.#clockOf(hart));
    const release = releases ? clock : this.#cells.row(this.#fences + hart * this.#harts);
    const waiting = [...this.#queues.stores[hart]!, { clock, release, site }];
    this.#queues = { ...this.#queues, stores: replaced(this.#queues.stores, hart, waiting) };
  }

  #leave(hart: number): Waiting | undefined {
    const [first, ...rest] = this.#queues.stores[hart]!;
    this.#queues = { ...this.#queues, stores: replaced(this.#queues.stores, hart, rest) };
    return first;
  }

  /** A store reaches memory: it was performed when it went into the buffer. */
  #landed(hart: number, word: number, { clock, release, site }: Waiting): void {
    this.#cells.put(this.#scratch, clock);
    this.#access(hart, this.#scratch, word, Row.atomicWrite, site);
    this.#cells.put(this.#rowsOf(word), release);
  }

  // --- what code touched without a step --------------------------------------------------------

  #plains({ hart, before, leaf: { touches, effects } }: RaceStep, site: number): void {
    const clock = this.#clockOf(hart);
    // Its hypervisor reads a guest's page as hardware does: the guest owes no order to either.
    const isGuests = before.space >= 0;
    for (let i = 0; i < effects.length; i += 3) {
      if (effects[i] === Effect.zero && !isGuests) this.#zero(hart, effects[i + 1]!, site);
    }
    const { plain } = touches;
    for (let i = 0; i < plain.length; i++) {
      const code = plain[i]!;
      const kind = (code & 1) === 1 ? Row.plainWrite : Row.plainRead;
      if (this.#isExempt(code >> 1)) continue;
      this.#access(hart, clock, code >> 1, kind, site);
    }
  }

  #zero(hart: number, frame: number, site: number): void {
    const clock = this.#clockOf(hart);
    for (const word of this.#byFrame.get(frame) ?? []) {
      this.#judge(hart, clock, word, Row.plainWrite, site);
    }
    let row = this.#frames.get(frame);
    if (row === undefined) {
      row = this.#cells.add(2);
      this.#frames.set(frame, row);
    } else {
      this.#against(hart, clock, frame * FRAME_WORDS, row, [Row.plainWrite, Row.plainWrite, site]);
    }
    this.#cells.set(row + hart, this.#cells.at(clock + hart));
    this.#cells.set(row + this.#harts + hart, site);
  }

  // --- accesses --------------------------------------------------------------------------------

  #access(hart: number, clock: number, word: number, kind: number, site: number): void {
    const rows = this.#rowsOf(word);
    this.#judge(hart, clock, word, kind, site);
    this.#cells.set(rows + kind * this.#harts + hart, this.#cells.at(clock + hart));
    this.#cells.set(rows + (kind + SITES) * this.#harts + hart, site);
  }

  #judge(hart: number, clock: number, word: number, kind: number, site: number): void {
    const rows = this.#rowsOf(word);
    for (const other of AGAINST[kind]!) {
      this.#against(hart, clock, word, rows + other * this.#harts, [other, kind, site]);
    }
    const zeroed = this.#frames.get(Math.floor(word / FRAME_WORDS));
    if (zeroed === undefined) return;
    this.#against(hart, clock, word, zeroed, [Row.plainWrite, kind, site]);
  }

  /** Whether an access in `row` is of another hart and not over for `clock`. */
  #against(
    hart: number,
    clock: number,
    word: number,
    row: number,
    [before, now, site]: readonly [before: number, now: number, site: number],
  ): void {
    for (let other = 0; other < this.#harts; other++) {
      if (other === hart || this.#cells.at(row + other) <= this.#cells.at(clock + other)) continue;
      if (this.message !== '') return;
      const isZeroing = this.#frames.get(Math.floor(word / FRAME_WORDS)) === row;
      const sites = isZeroing ? row + this.#harts : row + SITES * this.#harts;
      const where = this.#sites[this.#cells.at(sites + other)]!;
      this.message =
        `memory.race: ${this.#nameOf(word)}: cpu${other} ${HOW[before]} it ${where}, ` +
        `cpu${hart} ${HOW[now]} it ${this.#sites[site]!}, and nothing orders the two`;
      return;
    }
  }

  #rowsOf(word: number): number {
    const known = this.#words.get(word);
    if (known !== undefined) return known;
    const rows = this.#cells.add(WORD_ROWS);
    this.#words.set(word, rows);
    const frame = Math.floor(word / FRAME_WORDS);
    const words = this.#byFrame.get(frame);
    if (words === undefined) this.#byFrame.set(frame, [word]);
    else words.push(word);
    return rows;
  }

  /** A leaf belongs to one act: the sites of what it touches are known once for all. */
  #sitesAt({ isAct, isInterrupt, before, after, leaf }: RaceStep): readonly [number, number] {
    const known = this.#sitesOf.get(leaf);
    if (known !== undefined) return known;
    const what = isAct ? before.label : isInterrupt ? 'an interrupt' : 'the beginning';
    const next = after.label === '' ? 'the end' : after.label;
    const sites = [this.#site(`at ${what}`), this.#site(`between ${what} and ${next}`)] as const;
    this.#sitesOf.set(leaf, sites);
    return sites;
  }

  #site(text: string): number {
    const known = this.#siteNumbers.get(text);
    if (known !== undefined) return known;
    this.#siteNumbers.set(text, this.#sites.length);
    this.#sites.push(text);
    return this.#sites.length - 1;
  }

  // --- the state -------------------------------------------------------------------------------

  /** Hash of all that decides which later accesses will be races. */
  hash(into: ClockHash): void {
    const harts = this.#harts;
    const { values } = this.#cells;
    into.begin();
    for (let hart = 0; hart < harts; hart++) {
      into.clock(hart, values, this.#clockOf(hart), hart);
      into.clock(harts + hart, values, this.#pending + hart * harts, -1);
      into.clock(2 * harts + hart, values, this.#fences + hart * harts, -1);
      this.#queues.signals[hart]!.forEach((clock, i) => {
        into.clock(ClockHash.queued(hart, i, 0), clock, 0, -1);
      });
      this.#queues.stores[hart]!.forEach(({ clock, release }, i) => {
        into.clock(ClockHash.queued(hart, i, 1), clock, 0, hart);
        into.clock(ClockHash.queued(hart, i, 2), release, 0, -1);
      });
    }
    for (const [word, rows] of this.#words) {
      into.clock(ClockHash.word(word, Row.release), values, rows, -1);
    }
    for (const [word, rows] of this.#words) {
      for (let kind = 1; kind < KINDS; kind++) {
        into.moments(ClockHash.word(word, kind), values, rows + kind * harts);
      }
    }
    for (const [frame, row] of this.#frames) {
      into.moments(ClockHash.word(frame * FRAME_WORDS, KINDS), values, row);
    }
    into.end();
  }
}

function replaced<T>(all: readonly T[], at: number, one: T): readonly T[] {
  return all.map((each, i) => (i === at ? one : each));
}

/** Whether an act is a fence: a fence, or a locked operation that orders fully. */
function fences({ op, order }: HartView): boolean {
  return order === 'full' && (op === Op.fence || (op >= Op.cas && op <= Op.and));
}

/** Whether what an act reads is acquired, or what it writes released. */
function orders({ op, order }: HartView, what: 'acquire' | 'release'): boolean {
  if (order === what || order === 'full') return true;
  // The reads of a store are those of a walk; the writes of a load set its flags.
  if (order === 'relaxed') return false;
  return what === 'acquire' && (op === Op.store || op === Op.storeLow);
}
