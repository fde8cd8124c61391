/**
 * The notes that code emits (`runtime/trace.ts`) as an explorer hears them: which locks a CPU holds
 * and wants, against an order that is given as data. A note is no step, so what it says belongs to
 * the hart that says it.
 */
import { Event, type TraceSink } from '../../runtime/trace.ts';

/** Ranks of lock classes: a lock may be wanted only while all held ones have lower ranks. */
export interface LockOrder {
  /** Rank of a class by its number; undefined if the order says nothing about it. */
  rankOf(kind: number): number | undefined;
  nameOf(kind: number): string;
}

export class Notes implements TraceSink {
  /** Classes held, by CPU, in the order of taking. */
  readonly held: number[][];
  /** First broken rule since `message` was emptied. */
  message = '';
  /** Points of rest noted so far. */
  rests = 0;
  readonly #resting = new Map<number, number[]>();
  readonly #order: LockOrder;

  constructor(cpus: number, order: LockOrder) {
    this.held = Array.from({ length: cpus }, () => []);
    this.#order = order;
  }

  event(kind: number, cpu: number, _cycle: number, a: number, b: number): void {
    if (kind === Event.want) this.#want(cpu, a);
    else if (kind === Event.acquire) this.held[cpu]!.push(a);
    else if (kind === Event.release) this.#release(cpu, a);
    else if (kind === Event.rest) {
      this.#rest(cpu, a, b);
    }
  }

  /** Where a CPU's thread rests: the point of each routine on the way there, outermost first. */
  restOf(cpu: number): readonly number[] {
    return this.#resting.get(cpu) ?? [];
  }

  #rest(cpu: number, point: number, depth: number): void {
    this.rests++;
    this.#resting.set(cpu, [...this.restOf(cpu).slice(0, depth), point]);
  }

  #want(cpu: number, kind: number): void {
    const rank = this.#order.rankOf(kind);
    if (rank === undefined) return;
    for (const other of this.held[cpu]!) {
      const held = this.#order.rankOf(other);
      if (held === undefined || held < rank) continue;
      this.#say(
        `lock.order: cpu${cpu} wants ${this.#order.nameOf(kind)} while it holds ` +
          `${this.#order.nameOf(other)}`,
      );
    }
  }

  #release(cpu: number, kind: number): void {
    const held = this.held[cpu]!;
    const at = held.lastIndexOf(kind);
    if (at >= 0) held.splice(at, 1);
  }

  #say(message: string): void {
    if (this.message === '') this.message = message;
  }
}
