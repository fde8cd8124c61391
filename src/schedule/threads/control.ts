/**
 * What threads tell each other beside the words of the machine they run: interrupts in flight, a
 * barrier between rounds, who is at rest, and that all is over. None of it is visible to the code.
 */

const At = { aborted: 0, arrived: 1, generation: 2, resting: 3, working: 4, perThread: 8 } as const;
const PATIENCE = 20; // milliseconds between two looks whether all was given up

export class Control {
  readonly #words: Int32Array;
  readonly #threads: number;
  readonly #vectors: readonly number[];

  static words(threads: number): number {
    return At.perThread + threads;
  }

  /** `vectors`: interrupts that there are; an interrupt in flight is a bit, as in a local APIC. */
  constructor(words: Int32Array, threads: number, vectors: readonly number[]) {
    this.#words = words;
    this.#threads = threads;
    this.#vectors = vectors;
  }

  // --- giving up -------------------------------------------------------------------------------

  abort(): void {
    Atomics.store(this.#words, At.aborted, 1);
  }

  get isAborted(): boolean {
    return Atomics.load(this.#words, At.aborted) === 1;
  }

  // --- rounds ----------------------------------------------------------------------------------

  /** Waits until all threads are here; false if all was given up. */
  barrier(): boolean {
    const words = this.#words;
    const generation = Atomics.load(words, At.generation);
    if (Atomics.add(words, At.arrived, 1) + 1 === this.#threads) {
      Atomics.store(words, At.arrived, 0);
      Atomics.add(words, At.generation, 1);
      Atomics.notify(words, At.generation);
    }
    while (Atomics.load(words, At.generation) === generation) {
      if (this.isAborted) return false;
      Atomics.wait(words, At.generation, generation, PATIENCE);
    }
    return !this.isAborted;
  }

  /** Before a round: nobody rests, no interrupt is in flight, so many threads have work to do. */
  begin(working: number): void {
    Atomics.store(this.#words, At.resting, 0);
    Atomics.store(this.#words, At.working, working);
    this.#words.fill(0, At.perThread, At.perThread + this.#threads);
  }

  // --- work and rest ---------------------------------------------------------------------------

  /** A thread that has work of its own is done with it. */
  finishWork(): void {
    Atomics.sub(this.#words, At.working, 1);
  }

  /** Whether those that others wait for have all done their work. */
  get isWorkDone(): boolean {
    return Atomics.load(this.#words, At.working) <= 0;
  }

  /** This thread has nothing to do now. */
  rest(): void {
    Atomics.add(this.#words, At.resting, 1);
  }

  /** All rest, hence nothing will happen any more. */
  get isOver(): boolean {
    return Atomics.load(this.#words, At.resting) === this.#threads;
  }

  /** Goes on after all; false if all rest already, which is final. */
  wake(): boolean {
    for (;;) {
      const resting = Atomics.load(this.#words, At.resting);
      if (resting === this.#threads) return false;
      const found = Atomics.compareExchange(this.#words, At.resting, resting, resting - 1);
      if (found === resting) return true;
    }
  }

  // --- interrupts ------------------------------------------------------------------------------

  send(thread: number, vector: number): void {
    Atomics.or(this.#words, At.perThread + thread, 1 << this.#vectors.indexOf(vector));
    Atomics.notify(this.#words, At.perThread + thread);
  }

  hasArrived(thread: number): boolean {
    return Atomics.load(this.#words, At.perThread + thread) !== 0;
  }

  /** Vectors that arrived at a thread, each to be taken now. */
  take(thread: number): number[] {
    const bits = Atomics.exchange(this.#words, At.perThread + thread, 0);
    return this.#vectors.filter((_, i) => (bits & (1 << i)) !== 0);
  }

  /** Sleeps for some milliseconds, or until an interrupt arrives. */
  sleep(thread: number, milliseconds: number): void {
    Atomics.wait(this.#words, At.perThread + thread, 0, milliseconds);
  }
}
