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
  readonly #order: LockOrder;
  readonly #freeHanded: ReadonlySet<string>;

  /** `freeHanded`: labels of waits at which no lock may be held. */
  constructor(cpus: number, order: LockOrder, freeHanded: ReadonlySet<string>) {
    this.#freeHanded = freeHanded;
    this.held = Array.from({ length: cpus }, () => []);
    this.#order = order;
  }

  event(kind: number, cpu: number, _cycle: number, a: number): void {
    if (kind === Event.want) this.#want(cpu, a);
    else if (kind === Event.acquire) this.held[cpu]!.push(a);
    else if (kind === Event.release) this.#release(cpu, a);
  }

  /** A CPU's thread offers a wait. */
  waits(cpu: number, label: string): void {
    const [held] = this.held[cpu]!;
    if (held === undefined || !this.#freeHanded.has(label)) return;
    this.#say(`lock.wait: cpu${cpu} waits at ${label} while it holds ${this.#order.nameOf(held)}`);
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
