/**
 * A system of harts as explorers see it: words, and for each hart a local state, what hardware may
 * have cached there, and the interrupts in flight to it. A move looks up what the hart does in its
 * automaton and applies it to the words; taking it back undoes the words from a journal. No code
 * runs for what was seen before.
 */
import { defect } from '../../base/assert.ts';
import {
  type Adversary,
  Effect,
  FRAME_HALVES,
  type HartView,
  Input,
  type Mark,
  Offer,
} from '../../runtime/hart.ts';
import { Automaton, type Leaf } from './automaton.ts';
import { ACTORS, BUFFER, CODE, FILLS, labelOf, SIGNALS, sentenceOf } from './harts-moves.ts';
import type { HartsOptions, Judgement } from './harts-options.ts';
import { Journal } from './journal.ts';
import { Limits } from './limits.ts';
import { SignalQueues } from './signals.ts';
import { actorOf, alternativeOf, type Explored, type Move, moveOf } from './system.ts';
import { type Touched, TouchedWords } from './touched.ts';

const NO_FRAMES = new Int32Array(0);
const NO_MARKS: readonly Mark[] = [];

export class Harts implements Explored {
  readonly actors: number;
  readonly words: Int32Array;
  readonly count: number;
  readonly #automata: readonly Automaton[];
  readonly #adversary: Adversary;
  readonly #judgement: Judgement;
  readonly #sometimes: ReadonlyMap<string, number>;
  readonly #queues = new SignalQueues();
  readonly #journal: Journal;
  /** Per hart: local state, cached set, queue of signals. */
  readonly #local: Int32Array;
  readonly #caches: Int32Array;
  readonly #queued: Int32Array;
  readonly #limits: Limits;
  readonly #touched = new TouchedWords();
  readonly #watching = new TouchedWords();
  readonly #moves: Move[] = [];
  /** What code said before anything was explored. */
  readonly startMarks: Mark[] = [];
  #leaf: Leaf | undefined; // of the last move
  #changes = 0; // moves taken or taken back
  #hashedAt = -1; // changes when the state was hashed last
  #low = 0;
  #high = 0;
  /** What each hart did before anything was explored. */
  readonly started: Leaf[] = [];

  constructor(options: HartsOptions) {
    this.words = options.words;
    this.count = options.harts;
    this.actors = options.harts * ACTORS;
    this.#adversary = options.adversary;
    this.#judgement = options.judgement;
    this.#sometimes = new Map((options.sometimes ?? []).map((label, i) => [label, 1 << i]));
    this.#automata = Array.from(
      { length: options.harts },
      (_, hart) => new Automaton(() => options.build(hart)),
    );
    this.#local = new Int32Array(options.harts);
    this.#caches = new Int32Array(options.harts).fill(options.adversary.nothing);
    this.#queued = new Int32Array(options.harts);
    this.#limits = new Limits(options.limits ?? [], options.harts);
    const registers = [this.#local, this.#caches, this.#queued, this.#limits.passed];
    this.#journal = new Journal(options.words, registers, options.likenesses);
    for (let hart = 0; hart < this.count; hart++) this.#start(hart);
  }

  /** What a hart does before its first act happens before anything is explored. */
  #start(hart: number): void {
    const leaf = this.#follow(hart, Input.start, 0);
    this.#touched.begin(leaf.touched);
    this.startMarks.push(...leaf.marks);
    this.#apply(hart, leaf);
    this.#local[hart] = leaf.next;
    this.started.push(leaf);
  }

  isTask(actor: number): boolean {
    return actor % ACTORS === CODE;
  }

  taskOf(actor: number): number {
    return Math.floor(actor / ACTORS);
  }

  get depth(): number {
    return this.#journal.depth;
  }

  get footprint(): Touched {
    return this.#touched;
  }

  /** Local state of a hart. */
  view(hart: number): HartView {
    return this.#automata[hart]!.view(this.#local[hart]!);
  }

  /** What hardware may have cached at a hart: a set of the adversary. */
  cached(hart: number): number {
    return this.#caches[hart]!;
  }

  /** Whether any state so far had a hart held at a limit. */
  get wasHeld(): boolean {
    return this.#limits.wasHeld;
  }

  /** Signals in flight to a hart, the oldest first. */
  inFlight(hart: number): readonly number[] {
    return this.#queues.content(this.#queued[hart]!);
  }

  /** Frames whose words the last move read or wrote. */
  get lastFrames(): Int32Array {
    return this.#leaf?.frames ?? NO_FRAMES;
  }

  /** What code said in the last move. */
  get lastMarks(): readonly Mark[] {
    return this.#leaf?.marks ?? NO_MARKS;
  }

  /** What the hart that moved last did; undefined if hardware cached something by itself. */
  get lastLeaf(): Leaf | undefined {
    return this.#leaf;
  }

  get lastWroteAny(): boolean {
    return this.#leaf?.writes === true;
  }

  /** Whether the last move wrote the word at a physical address. */
  lastWrote(pa: number): boolean {
    return this.#leaf?.touched.includes((pa / 8) * 2 + 1) === true;
  }

  /** Local states seen, steps of code run, and copies built, of all harts. */
  get work(): { locals: number; ran: number; built: number } {
    const sum = (of: (a: Automaton) => number): number =>
      this.#automata.reduce((total, a) => total + of(a), 0);
    return { locals: sum((a) => a.size), ran: sum((a) => a.ran), built: sum((a) => a.built) };
  }

  /** Operation codes of every act that was offered in any state seen, by label. */
  labels(): Map<string, Set<number>> {
    const found = new Map<string, Set<number>>();
    for (const automaton of this.#automata) {
      for (let local = 0; local < automaton.size; local++) {
        const { label, op, offer } = automaton.view(local);
        if (offer === Offer.none || label === '') continue;
        const ops = found.get(label) ?? new Set();
        found.set(label, ops.add(op));
      }
    }
    return found;
  }

  // --- moves ---------------------------------------------------------------------------------

  moves(): readonly Move[] {
    // The array keeps its storage, which it would lose if its length were set to 0.
    const found = this.#moves;
    let count = 0;
    for (let hart = 0; hart < this.count; hart++) {
      const view = this.view(hart);
      if (view.offer === Offer.crashed) continue;
      const actor = hart * ACTORS;
      const alternatives = this.#alternatives(hart, view);
      for (let i = 0; i < alternatives; i++) found[count++] = moveOf(actor, i);
      if (this.#queued[hart] !== 0) found[count++] = moveOf(actor + SIGNALS, 0);
      if (view.buffered > 0) found[count++] = moveOf(actor + BUFFER, 0);
      const fills = this.#adversary.fills(this.#caches[hart]!, view).length;
      for (let i = 0; i < fills; i++) found[count++] = moveOf(actor + FILLS, i);
    }
    if (found.length !== count) found.length = count;
    return found;
  }

  /** In how many ways the code of a hart can go on. */
  #alternatives(hart: number, view: HartView): number {
    if (view.offer === Offer.none || this.#limits.isHeld(hart, view.label)) return 0;
    if (view.offer === Offer.choose) return view.choices;
    if (view.offer === Offer.wait) return this.#follow(hart, Input.probe, 0).answer;
    if (view.translation === undefined) return 1;
    return 1 + this.#adversary.usable(this.#caches[hart]!, view.translation).length;
  }

  #follow(hart: number, input: number, argument: number): Leaf {
    return this.#automata[hart]!.follow(this.#local[hart]!, input, argument, this.words);
  }

  take(move: Move): void {
    this.#changes++;
    const actor = actorOf(move);
    const hart = this.taskOf(actor);
    const kind = actor % ACTORS;
    const before = this.view(hart);
    if (kind === FILLS) {
      this.#fill(move, hart, before);
      return;
    }
    const input = inputOf(kind, before);
    const argument = this.#argument(hart, input, alternativeOf(move), before);
    const leaf = this.#follow(hart, input, argument);
    this.#leaf = leaf;
    this.#journal.begin(move, labelOf(kind, before));
    this.#touched.begin(leaf.touched);
    this.#touched.local(hart);
    if (kind === CODE) this.#limits.count(hart, before.label);
    if (kind === SIGNALS) {
      this.#queued[hart] = this.#queues.shift(this.#queued[hart]!);
      this.#touched.queue(hart);
    }
    if (before.translation !== undefined) this.#touched.caches(hart, false);
    this.#apply(hart, leaf);
    this.#arrive(hart, leaf.next, before);
  }

  /** Hardware caches an entry by itself: the walk is not code and sets nothing. */
  #fill(move: Move, hart: number, view: HartView): void {
    const entry = this.#adversary.fills(this.#caches[hart]!, view)[alternativeOf(move)]!;
    this.#journal.begin(move, '!fill');
    this.#leaf = undefined;
    this.#touched.begin(NO_FRAMES);
    this.#touched.caches(hart, true);
    this.#caches[hart] = this.#adversary.filled(this.#caches[hart]!, entry);
  }

  undo(): void {
    this.#changes++;
    this.#journal.back();
    this.#leaf = undefined; // the move that led here is asked about no more
  }

  /** What a possible move asks of a hart; undefined if hardware alone moves. */
  asks(move: Move): { hart: number; input: number; argument: number } | undefined {
    const hart = this.taskOf(actorOf(move));
    const kind = actorOf(move) % ACTORS;
    if (kind === FILLS) return undefined;
    const view = this.view(hart);
    const input = inputOf(kind, view);
    return { hart, input, argument: this.#argument(hart, input, alternativeOf(move), view) };
  }

  #argument(hart: number, input: number, alternative: number, view: HartView): number {
    if (input === Input.interrupt) return this.#queues.content(this.#queued[hart]!)[0]!;
    if (input === Input.choose) return alternative;
    if (input !== Input.act || alternative === 0) return 0;
    const cached = this.#adversary.usable(this.#caches[hart]!, view.translation!);
    return cached[alternative - 1] ?? defect('Harts.take', 'no such cached translation');
  }

  #apply(hart: number, leaf: Leaf): void {
    const { effects } = leaf;
    for (let i = 0; i < effects.length; i += 3) {
      const a = effects[i + 1]!;
      const b = effects[i + 2]!;
      switch (effects[i]) {
        case Effect.write:
          this.#write(a, b);
          break;
        case Effect.zero:
          this.#zero(a);
          break;
        case Effect.signal:
          this.#queued[a] = this.#queues.push(this.#queued[a]!, b);
          this.#touched.queue(a);
          break;
        case Effect.guestFlush:
          this.#caches[hart] = this.#adversary.guestFlush(this.#caches[hart]!, a);
          this.#touched.caches(hart, true);
          break;
        case Effect.invalidateAt:
          this.#caches[a] = this.#adversary.invalidate(this.#caches[a]!, -1, -1);
          this.#touched.caches(a, true);
          break;
        default:
          this.#caches[hart] = this.#adversary.invalidate(this.#caches[hart]!, a, b);
          this.#touched.caches(hart, true);
      }
    }
  }

  #arrive(hart: number, next: number, before: HartView): void {
    this.#local[hart] = next;
    const after = this.view(hart);
    if (before.space === after.space) return;
    this.#caches[hart] = this.#adversary.afterMove(this.#caches[hart]!, before, after);
    this.#touched.caches(hart, true);
  }

  #write(index: number, value: number): void {
    if (!this.#adversary.isTable((index / FRAME_HALVES) | 0)) {
      this.#journal.write(index, value);
      return;
    }
    for (let hart = 0; hart < this.count; hart++) {
      const set = this.#caches[hart]!;
      this.#caches[hart] = this.#adversary.beforeWrite(set, this.view(hart), index);
      this.#touched.caches(hart, true);
    }
    this.#journal.write(index, value);
    this.#adversary.afterWrite(index);
  }

  #zero(frame: number): void {
    const first = frame * FRAME_HALVES;
    for (let index = first; index < first + FRAME_HALVES; index++) {
      if (this.words[index] !== 0) this.#write(index, 0);
    }
    this.#touched.frame(frame);
  }

  /** What decides whether an actor that cannot move now could: for engines that reorder moves. */
  watched(actor: number): Touched {
    const hart = this.taskOf(actor);
    const kind = actor % ACTORS;
    const view = this.view(hart);
    const waits =
      kind === CODE && view.offer === Offer.wait && !this.#limits.isHeld(hart, view.label);
    this.#watching.begin(waits ? this.#follow(hart, Input.probe, 0).touched : NO_FRAMES);
    this.#watching.local(hart);
    if (kind === SIGNALS) this.#watching.queue(hart);
    if (kind === FILLS) this.#watching.caches(hart, false);
    return this.#watching;
  }

  // --- state -----------------------------------------------------------------------------------

  get hashLow(): number {
    if (this.#hashedAt !== this.#changes) this.#hash();
    return this.#low;
  }

  get hashHigh(): number {
    if (this.#hashedAt !== this.#changes) this.#hash();
    return this.#high;
  }

  /** Both lanes of the present state. */
  #hash(): void {
    let low = this.#journal.hashLow;
    let high = this.#journal.hashHigh;
    for (let h = 0; h < this.count; h++) {
      const { keyLow, keyHigh } = this.view(h);
      const set = this.#caches[h]!;
      low ^= scramble(keyLow, this.#adversary.hashLow(set), h);
      high ^= scramble(keyHigh, this.#adversary.hashHigh(set), h + 7);
      const queued = this.#queued[h]!;
      if (queued === 0) continue;
      const queue = this.#queues.hash(queued);
      low ^= scramble(queue, 0x51ed, h + 64);
      high ^= scramble(queue, 0x2f0b, h + 71);
    }
    const { passed } = this.#limits;
    for (let i = 0; i < passed.length; i++) {
      if (passed[i] === 0) continue;
      low ^= scramble(passed[i]!, 0x77, i + 128);
      high ^= scramble(passed[i]!, 0xb3, i + 135);
    }
    this.#low = low;
    this.#high = high;
    this.#hashedAt = this.#changes;
  }

  /** Hash of the words alone, folded to 53 bits: what all adversaries must agree on at the end. */
  get wordsHash(): number {
    return (this.#journal.hashLow >>> 0) * 2 ** 21 + (this.#journal.hashHigh >>> 11);
  }

  // --- words that promises are about ------------------------------------------------------------

  /** From now on a half-word counts in the hash of watched words; whether it did not before. */
  watch(index: number): boolean {
    return this.#journal.watch(index);
  }

  /** Hash of the watched words as they are: equal contents have equal lanes. */
  get watchedLow(): number {
    return this.#journal.watchedLow;
  }

  get watchedHigh(): number {
    return this.#journal.watchedHigh;
  }

  // --- promises --------------------------------------------------------------------------------

  always(): string | undefined {
    for (let h = 0; h < this.count; h++) {
      const { message } = this.view(h);
      if (message !== '') return message;
    }
    return this.#judgement.always(this, this.depth === 0 ? 0 : this.#lastHart());
  }

  /** Whether a hart is held at a limit: then no end is an end. */
  get isCut(): boolean {
    for (let h = 0; h < this.count; h++)
      if (this.#limits.isHeld(h, this.view(h).label)) return true;
    return false;
  }

  atEnd(): string | undefined {
    const waiting: string[] = [];
    if (this.isCut) return undefined;
    for (let h = 0; h < this.count; h++) {
      const view = this.view(h);
      if (view.offer !== Offer.none) waiting.push(`cpu${h} ${view.context} at ${view.label}`);
    }
    if (waiting.length > 0) return `progress.deadlock: ${waiting.join(' and ')} wait for ever`;
    return this.#judgement.atRest(this);
  }

  seen(): number {
    if (this.depth === 0) return 0;
    return this.#sometimes.get(this.#journal.lastLabel) ?? 0;
  }

  /** One bit per hart: its code has ended. What a hart held at a limit would do is not known. */
  fulfilled(): number {
    if (this.isCut) return -1;
    let bits = 0;
    for (let h = 0; h < this.count; h++) if (this.view(h).offer === Offer.none) bits |= 1 << h;
    return bits;
  }

  #lastHart(): number {
    return this.taskOf(actorOf(this.#journal.lastMove));
  }

  // --- names -----------------------------------------------------------------------------------

  describe(move: Move): string {
    const hart = this.taskOf(actorOf(move));
    const kind = actorOf(move) % ACTORS;
    const view = this.view(hart);
    const by = kind === CODE ? this.#cachedUse(hart, alternativeOf(move), view) : '';
    return sentenceOf(hart, kind, view, alternativeOf(move), by);
  }

  #cachedUse(hart: number, alternative: number, view: HartView): string {
    if (alternative === 0 || view.translation === undefined) return '';
    const set = this.#caches[hart]!;
    const id = this.#adversary.usable(set, view.translation)[alternative - 1]!;
    return ` by a cached translation (${this.#adversary.describe(id)})`;
  }

  nameOf(move: Move): string {
    const hart = this.taskOf(actorOf(move));
    const label = labelOf(actorOf(move) % ACTORS, this.view(hart));
    const alternative = alternativeOf(move);
    const nth = this.#journal.countOf((m) => this.taskOf(actorOf(m)) === hart, label);
    return `cpu${hart}:${label}#${nth}${alternative === 0 ? '' : `=${alternative}`}`;
  }
}

function inputOf(kind: number, view: HartView): number {
  if (kind === SIGNALS) return Input.interrupt;
  if (kind === BUFFER) return Input.drain;
  return view.offer === Offer.choose ? Input.choose : Input.act;
}

function scramble(a: number, b: number, salt: number): number {
  let x = Math.imul(a ^ Math.imul(b + salt, 0x9e3779b1), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 15), 0xc2b2ae35);
  return x ^ (x >>> 13);
}
