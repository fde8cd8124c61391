/**
 * On which prices a figure hangs: what is said of one price, of a run, and of the order of two
 * designs. Figures are cycles per operation; a ratio is of two designs on equal work.
 *
 * Leaves out: prices that move together (each goes through its own interval), and extremes inside
 * an interval: time is taken to rise or fall from one end of it to the other.
 */

/** What a run's clock was charged in its measured part, by the names of prices. */
export interface Charges {
  /** Along the chain of events that ends with the run: count x price sums to its time. */
  readonly path: Readonly<Record<string, number>>;
  /** By all CPUs together. */
  readonly all: Readonly<Record<string, number>>;
  /** Cycles of the chain that belong to no price. */
  readonly unattributed: number;
}

/** A price as its preset states it. */
export interface PriceNote {
  readonly name: string;
  readonly unit: string;
  readonly value: number;
  readonly low: number;
  readonly high: number;
  readonly kind: string;
  readonly source: string;
}

/** The same figure with a price at its low and at its high end. */
export interface Ends {
  readonly low: number;
  readonly high: number;
}

export interface PriceEffect extends PriceNote {
  /** Relative change of the time for a small relative change of the price, order unchanged. */
  readonly elasticity: number;
  /** How often it was charged per operation, on all CPUs. */
  readonly chargedPerOperation: number;
  readonly cyclesPerOperation: Ends;
  /** To the first design of a comparison; absent in a run. */
  readonly ratio?: Ends;
}

/** Smallest and largest figure that was found, with the prices that make it. */
export interface Interval {
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

export interface RunSensitivity {
  readonly cyclesPerOperation: Interval;
  /** Prices that move it by more than `threshold`, the strongest first. */
  readonly prices: readonly PriceEffect[];
  readonly threshold: number;
  /** Share of the time that no price explains. */
  readonly unattributed: number;
  /** Runs made to find this. */
  readonly runs: number;
}

/** Prices that, at these values, turn the order of two designs round. */
export interface Turn {
  readonly prices: readonly { readonly name: string; readonly value: number }[];
  /** Time of the other design divided by that of the one, there. */
  readonly ratio: number;
}

/** Two designs with the same number of vCPUs. */
export interface Ranking {
  readonly vcpus: number;
  readonly one: string;
  readonly other: string;
  /** Time of the other divided by that of the one. */
  readonly ratio: Interval;
  /** No point of the intervals that was run turns their order round. */
  readonly decided: boolean;
  readonly turnedBy: readonly Turn[];
}

/** What moves less than this is not listed, and times that differ by less are equal. */
export const THRESHOLD = 0.01;

/** -1: `other` takes less time than `one`; 0: as long, as far as a model can tell; 1: more. */
export function order(ratio: number): -1 | 0 | 1 {
  if (Math.abs(1 - ratio) <= THRESHOLD * Math.max(1, ratio)) return 0;
  return ratio < 1 ? -1 : 1;
}

/** Largest relative distance of `ends` from `value`. */
export function movement(value: number, ends: Ends): number {
  if (value === 0) return 0;
  return Math.max(Math.abs(ends.low - value), Math.abs(ends.high - value)) / value;
}
