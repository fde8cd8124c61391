/**
 * A profile of every lock class: how often it was taken, how often somebody had to wait, for how
 * long, and how long it was held. Events are paired per CPU and class, the latest first, because an
 * interrupt handler may take a class that the code below it wants or holds.
 *
 * Pairing goes on outside the measured part; only what falls inside is counted, so a lock held
 * across its beginning or end counts from the beginning or up to the end.
 *
 * Leaves out: locks released on another CPU than the one that took them.
 */
import { defect } from '../base/assert.ts';

export interface LockResult {
  readonly name: string;
  readonly acquisitions: number;
  /** Acquisitions that found the lock taken. */
  readonly contended: number;
  /** Cycles from wanting to having, of contended acquisitions. */
  readonly waitCycles: number;
  /** Cycles from having to releasing; readers that hold together count each. */
  readonly holdCycles: number;
  readonly maxWaitCycles: number;
  /** Cycles from wanting to having, of the others: the atomic access and its line's journey. */
  readonly takeCycles: number;
}

export class LockProfile {
  readonly #names: readonly string[];
  /** Times at which a class was wanted or taken, a stack per (cpu, class). */
  readonly #wants: number[][];
  readonly #holds: number[][];
  readonly #acquisitions: Float64Array;
  readonly #contended: Float64Array;
  readonly #wait: Float64Array;
  readonly #hold: Float64Array;
  readonly #longest: Float64Array;
  readonly #take: Float64Array;
  #start = Number.POSITIVE_INFINITY; // of the measured part
  #counting = false;

  constructor(cpus: number, names: readonly string[]) {
    const numbers = (): Float64Array => new Float64Array(names.length);
    this.#names = names;
    this.#wants = Array.from({ length: cpus * names.length }, () => []);
    this.#holds = Array.from({ length: cpus * names.length }, () => []);
    this.#acquisitions = numbers();
    this.#contended = numbers();
    this.#wait = numbers();
    this.#hold = numbers();
    this.#longest = numbers();
    this.#take = numbers();
  }

  begin(cycle: number): void {
    this.#start = cycle;
    this.#counting = true;
  }

  /** The measured part is over at `cycle`: what is still held counts up to here. */
  end(cycle: number): void {
    this.#addOpenHolds(cycle, this.#hold);
    this.#counting = false;
  }

  want(cpu: number, kind: number, cycle: number): void {
    this.#stack(this.#wants, cpu, kind).push(cycle);
  }

  /** A try-lock that succeeds may leave `want` out: it took no time. */
  acquire(cpu: number, kind: number, cycle: number, waited: boolean): void {
    const wanted = this.#stack(this.#wants, cpu, kind).pop() ?? cycle;
    this.#stack(this.#holds, cpu, kind).push(cycle);
    if (!this.#counting) return;
    const cycles = this.#inside(wanted, cycle);
    this.#acquisitions[kind]++;
    if (!waited) {
      this.#take[kind] += cycles;
      return;
    }
    this.#contended[kind]++;
    this.#wait[kind] += cycles;
    if (cycles > this.#longest[kind]!) this.#longest[kind] = cycles;
  }

  release(cpu: number, kind: number, cycle: number): void {
    const taken = this.#stack(this.#holds, cpu, kind).pop();
    if (taken === undefined) {
      defect('LockProfile.release', `CPU ${cpu} does not hold ${this.#names[kind]}`);
    }
    if (this.#counting) this.#hold[kind] += this.#inside(taken, cycle);
  }

  /** Classes that were taken or held, in the order of their names; `now` closes an open profile. */
  result(now: number): LockResult[] {
    const hold = Float64Array.from(this.#hold);
    if (this.#counting) this.#addOpenHolds(now, hold);
    const results = this.#names.map((name, kind) => ({
      name,
      acquisitions: this.#acquisitions[kind]!,
      contended: this.#contended[kind]!,
      waitCycles: this.#wait[kind]!,
      holdCycles: hold[kind]!,
      maxWaitCycles: this.#longest[kind]!,
      takeCycles: this.#take[kind]!,
    }));
    return results.filter((lock) => lock.acquisitions > 0 || lock.holdCycles > 0);
  }

  #addOpenHolds(cycle: number, hold: Float64Array): void {
    const classes = this.#names.length;
    this.#holds.forEach((stack, i) => {
      for (const taken of stack) hold[i % classes] += this.#inside(taken, cycle);
    });
  }

  #inside(from: number, to: number): number {
    return Math.max(0, to - Math.max(from, this.#start));
  }

  #stack(stacks: number[][], cpu: number, kind: number): number[] {
    const known = kind >= 0 && kind < this.#names.length;
    const stack = known ? stacks[cpu * this.#names.length + kind] : undefined;
    return stack ?? defect('LockProfile', `no lock class ${kind} on CPU ${cpu}`);
  }
}
