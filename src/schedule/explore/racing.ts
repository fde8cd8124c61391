/**
 * A system of harts whose executions are watched for races: any engine drives it as it drives the
 * harts themselves, and a race is a broken promise of the state that the later access leads to.
 *
 * `merge` is about engines that do not go on from states they have seen. With `words`, states are
 * told apart as ever: what is reported is a race, but one that needs another way to a state that
 * was seen already is missed. With `clocks`, states also differ if later accesses would be judged
 * differently, so that all races within the bounds are found, for more states and time.
 */
import { type HartView, Input } from '../../runtime/hart.ts';
import { ClockHash } from './clock-hash.ts';
import type { Harts } from './harts.ts';
import { Races, type Words } from './races.ts';
import type { Reducible } from './reduced.ts';
import type { Footprint, Move } from './system.ts';

export interface RacingOptions extends Words {
  readonly merge: 'words' | 'clocks';
}

/** Follows the moves that somebody else takes in a system of harts. */
export class RaceWatch {
  readonly #harts: Harts;
  readonly #races: Races;
  #next: { hart: number; input: number; before: HartView } | undefined;

  /** `harts` stand at their start. */
  constructor(harts: Harts, words: Words = {}) {
    this.#harts = harts;
    this.#races = new Races(harts.count, words);
    for (let hart = 0; hart < harts.count; hart++) {
      const view = harts.view(hart);
      const leaf = harts.started[hart]!;
      const step = { hart, isAct: false, isInterrupt: false, before: view, after: view, leaf };
      this.#races.start(step);
    }
  }

  /** A move is about to be taken. */
  about(move: Move): void {
    const asked = this.#harts.asks(move);
    this.#next =
      asked === undefined ? undefined : { ...asked, before: this.#harts.view(asked.hart) };
  }

  /** It was taken. */
  took(): void {
    const { lastLeaf: leaf } = this.#harts;
    const next = this.#next;
    if (leaf === undefined || next === undefined) {
      this.#races.skip(); // hardware alone moved
      return;
    }
    const { hart, input, before } = next;
    this.#races.take({
      hart,
      isAct: input === Input.act || input === Input.choose,
      isInterrupt: input === Input.interrupt,
      before,
      after: this.#harts.view(hart),
      leaf,
    });
  }

  undo(): void {
    this.#races.back();
  }

  /** `memory.race: <sentence>` if the last move met a race; else ''. */
  get message(): string {
    return this.#races.message;
  }

  hash(into: ClockHash): void {
    this.#races.hash(into);
  }
}

export class Racing implements Reducible {
  readonly harts: Harts;
  readonly #watch: RaceWatch;
  readonly #hash: ClockHash | undefined;
  #isHashed = false;

  /** `harts` stand at their start. */
  constructor(harts: Harts, options: RacingOptions) {
    this.harts = harts;
    this.#watch = new RaceWatch(harts, options);
    if (options.merge === 'clocks') this.#hash = new ClockHash(harts.count);
  }

  get actors(): number {
    return this.harts.actors;
  }

  isTask(actor: number): boolean {
    return this.harts.isTask(actor);
  }

  taskOf(actor: number): number {
    return this.harts.taskOf(actor);
  }

  moves(): readonly Move[] {
    return this.harts.moves();
  }

  take(move: Move): void {
    this.#watch.about(move);
    this.harts.take(move);
    this.#watch.took();
    this.#isHashed = false;
  }

  undo(): void {
    this.harts.undo();
    this.#watch.undo();
    this.#isHashed = false;
  }

  get depth(): number {
    return this.harts.depth;
  }

  get footprint(): Footprint {
    return this.harts.footprint;
  }

  get hashLow(): number {
    return this.harts.hashLow ^ (this.#hashed()?.low ?? 0);
  }

  get hashHigh(): number {
    return this.harts.hashHigh ^ (this.#hashed()?.high ?? 0);
  }

  #hashed(): ClockHash | undefined {
    if (this.#hash !== undefined && !this.#isHashed) this.#watch.hash(this.#hash);
    this.#isHashed = true;
    return this.#hash;
  }

  always(): string | undefined {
    const { message } = this.#watch;
    return this.harts.always() ?? (message === '' ? undefined : message);
  }

  atEnd(): string | undefined {
    return this.harts.atEnd();
  }

  seen(): number {
    return this.harts.seen();
  }

  fulfilled(): number {
    return this.harts.fulfilled();
  }

  watched(actor: number): Footprint {
    return this.harts.watched(actor);
  }

  describe(move: Move): string {
    return this.harts.describe(move);
  }

  nameOf(move: Move): string {
    return this.harts.nameOf(move);
  }
}
