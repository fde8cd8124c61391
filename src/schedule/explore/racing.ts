/**
 * A system of harts whose executions are watched for races: any engine drives it as it drives the
 * harts themselves, and a race is a broken promise of the state that the later access leads to.
 *
 * `merge` is about engines that do not go on from states they have seen. With `words`, states are
 * told apart as ever: what is reported is a race, but one that needs another way to a state that
 * was seen already is missed. With `clocks`, states also differ if later accesses would be judged
 * differently, so that all races within the bounds are found, for more states and time.
 */
import { Input } from '../../runtime/hart.ts';
import { ClockHash } from './clock-hash.ts';
import type { Harts } from './harts.ts';
import { Races } from './races.ts';
import type { Reducible } from './reduced.ts';
import { actorOf, type Footprint, type Move } from './system.ts';

export interface RacingOptions {
  readonly merge: 'words' | 'clocks';
  /** Names a word for people; by its frame and place unless given. */
  readonly nameOf?: (word: number) => string;
}

export class Racing implements Reducible {
  readonly harts: Harts;
  readonly #races: Races;
  readonly #hash: ClockHash | undefined;
  #isHashed = false;

  /** `harts` stand at their start. */
  constructor(harts: Harts, options: RacingOptions) {
    this.harts = harts;
    this.#races = new Races(harts.count, options.nameOf ?? placeOf);
    for (let hart = 0; hart < harts.count; hart++) {
      const view = harts.view(hart);
      const leaf = harts.started[hart]!;
      const step = { hart, isAct: false, isInterrupt: false, before: view, after: view, leaf };
      this.#races.start(step);
    }
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
    const { harts } = this;
    const hart = harts.taskOf(actorOf(move));
    const before = harts.view(hart);
    const input = harts.asks(move)?.input;
    harts.take(move);
    const { lastLeaf: leaf } = harts;
    if (leaf === undefined) {
      this.#races.skip(); // hardware alone moved
    } else {
      this.#races.take({
        hart,
        isAct: input === Input.act || input === Input.choose,
        isInterrupt: input === Input.interrupt,
        before,
        after: harts.view(hart),
        leaf,
      });
    }
    this.#isHashed = false;
  }

  undo(): void {
    this.harts.undo();
    this.#races.back();
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
    if (this.#hash !== undefined && !this.#isHashed) this.#races.hash(this.#hash);
    this.#isHashed = true;
    return this.#hash;
  }

  always(): string | undefined {
    return this.harts.always() ?? (this.#races.message === '' ? undefined : this.#races.message);
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

const WORDS = 512;

function placeOf(word: number): string {
  return `word ${word % WORDS} of frame 0x${Math.floor(word / WORDS).toString(16)}`;
}
