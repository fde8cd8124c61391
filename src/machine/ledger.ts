/**
 * Of what a CPU's clock is made: how often each price was charged on the way to where it stands. A
 * clock moves by a price (`charge`), or jumps to the time of another CPU, because a line was still
 * on its way or a sleeper was woken; then what stands behind that time is the other CPU's, and its
 * composition is taken over. So every clock is a sum of count x price at any time, whoever waited
 * for whom, and the counts are the derivative of simulated time by each price as long as the order
 * of events stays the same.
 *
 * It watches one machine while it is timed and changes nothing. Leaves out: a composition that is
 * asked for after more than RECENT other lines have moved is forgotten; the wait for it counts as
 * `unattributed`.
 */
import { Event, type TraceSink } from '../runtime/trace.ts';
import type { Cost } from './cost.ts';
import { PRICES } from './preset/price.ts';

/** Lines whose last transfer is remembered. */
const RECENT = 1 << 14;
/** Wakes of one CPU that are remembered until it jumps. */
const WAKES = 64;
/** Cycles by which sums in another order of addition may differ. */
const EXACT = 1e-3;
const WIDTH = PRICES.length + 1;
/** The last element of a composition: cycles that belong to no price. */
const UNKNOWN = PRICES.length;

/** Charges by price index (preset/price.ts), then the cycles that belong to no price. */
type Composition = Float64Array;

interface Wake {
  readonly at: number;
  readonly of: Composition;
}

/** Between the last beginning and the last end of the measured part. */
export interface Charged {
  /** Charges, by price index, along the chain of events that ends with the last end. */
  readonly path: Float64Array;
  /** Charges, by price index, of all CPUs. */
  readonly all: Float64Array;
  /** Cycles of the path that belong to no price. */
  readonly unattributed: number;
}

export class Ledger implements TraceSink {
  readonly #prices: Float64Array;
  readonly #clocks: Composition[];
  /** The time up to which each clock is explained. */
  readonly #known: Float64Array;
  readonly #wakes: Wake[][];
  readonly #lines = new Map<number, Composition>();
  readonly #all = new Float64Array(PRICES.length);
  #start = { at: Number.NEGATIVE_INFINITY, path: new Float64Array(WIDTH) };
  #end = { at: Number.NEGATIVE_INFINITY, path: new Float64Array(WIDTH) };
  #allAtStart = new Float64Array(PRICES.length);
  #allAtEnd = new Float64Array(PRICES.length);

  /** `cost`: of the machine that it watches. */
  constructor(cost: Cost, cpus: number) {
    this.#prices = cost.of;
    this.#clocks = Array.from({ length: cpus }, () => new Float64Array(WIDTH));
    this.#known = new Float64Array(cpus);
    this.#wakes = Array.from({ length: cpus }, () => []);
  }

  /** `cpu` pays a price `count` times, from `now` on. */
  charge(cpu: number, now: number, price: number, count: number): void {
    const clock = this.#clockAt(cpu, now);
    clock[price] = clock[price]! + count;
    this.#all[price] = this.#all[price]! + count;
    this.#known[cpu] = now + count * this.#prices[price]!;
  }

  /** `cpu` waits from `now` until `line` has arrived where it was going before. */
  awaitLine(cpu: number, now: number, line: number, until: number): void {
    const clock = this.#clockAt(cpu, now);
    const other = this.#lines.get(line);
    if (other === undefined) clock[UNKNOWN] = clock[UNKNOWN]! + until - now;
    else clock.set(other);
    this.#known[cpu] = until;
  }

  /** The line is where `cpu` is now; whoever wants it next waits at least until then. */
  moved(cpu: number, line: number): void {
    this.#lines.delete(line); // the latest are last
    this.#lines.set(line, this.#clocks[cpu]!.slice());
    if (this.#lines.size <= RECENT) return;
    const oldest = [...this.#lines.keys()].slice(0, RECENT / 2);
    for (const each of oldest) this.#lines.delete(each);
  }

  /** `from` does at `now` what reaches `to` after one transfer or flight at `price` (-1: none). */
  reach(from: number, now: number, to: number, price: number): void {
    const of = this.#clockAt(from, now).slice();
    let at = now;
    if (price >= 0) {
      of[price] = of[price]! + 1;
      at += this.#prices[price]!;
    }
    const wakes = this.#wakes[to]!;
    wakes.push({ at, of });
    if (wakes.length > WAKES) wakes.shift();
  }

  event(kind: number, cpu: number, cycle: number): void {
    if (kind === Event.begin) {
      if (cycle >= this.#start.at) {
        this.#start = { at: cycle, path: this.#clockAt(cpu, cycle).slice() };
      }
      this.#allAtStart = this.#all.slice();
    } else if (kind === Event.end) {
      if (cycle >= this.#end.at) this.#end = { at: cycle, path: this.#clockAt(cpu, cycle).slice() };
      this.#allAtEnd = this.#all.slice();
    }
  }

  result(): Charged {
    const path = this.#end.path.map((count, i) => count - this.#start.path[i]!);
    return {
      path: path.subarray(0, PRICES.length),
      all: this.#allAtEnd.map((count, i) => count - this.#allAtStart[i]!),
      unattributed: path[UNKNOWN]!,
    };
  }

  /** The clock's composition at `now`: if it has jumped, that of whoever made it jump. */
  #clockAt(cpu: number, now: number): Composition {
    const clock = this.#clocks[cpu]!;
    const known = this.#known[cpu]!;
    if (Math.abs(now - known) <= EXACT) return clock;
    const wakes = this.#wakes[cpu]!;
    const by = wakes.find(({ at }) => Math.abs(at - now) <= EXACT);
    this.#wakes[cpu] = wakes.filter(({ at }) => at > now);
    if (by === undefined) clock[UNKNOWN] = clock[UNKNOWN]! + now - known;
    else clock.set(by.of);
    this.#known[cpu] = now;
    return clock;
  }
}
