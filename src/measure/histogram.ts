/**
 * A histogram of cycle counts in logarithmic ranges of equal linear parts: below 128 every whole
 * number has its own bucket, above that each power of two is cut into 128 parts. A quantile is the
 * middle of a bucket, so it is off by less than 0.4 %; the maximum is exact. Values are rounded to
 * whole cycles.
 */
import { defect } from '../base/assert.ts';

const PART_BITS = 7;
const PARTS = 1 << PART_BITS;
/** Doubles hold whole numbers below 2^53. */
const LARGEST = Number.MAX_SAFE_INTEGER;
const BUCKETS = PARTS * (53 - PART_BITS + 1);
/** Bit operations see 32 bits: larger values are scaled down by this many first. */
const SCALE_BITS = 24;
const SCALE = 2 ** SCALE_BITS;
const SHORT = 2 ** 31;

export interface Summary {
  readonly count: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

export class Histogram {
  readonly #buckets = new Uint32Array(BUCKETS);
  #count = 0;
  #max = 0;

  get count(): number {
    return this.#count;
  }

  get max(): number {
    return this.#max;
  }

  record(value: number): void {
    if (!(value >= 0 && value <= LARGEST)) defect('Histogram.record', `${value} is no duration`);
    // Nearly all values take the first way: integers of 32 bits all along.
    const whole = value < SHORT ? (value + 0.5) >>> 0 : Math.round(value);
    this.#buckets[bucketOf(whole)]++;
    this.#count++;
    if (whole > this.#max) this.#max = whole;
  }

  /** Adds everything that `other` has recorded. */
  merge(other: Histogram): void {
    const from = other.#buckets;
    for (let i = 0; i < BUCKETS; i++) this.#buckets[i] += from[i]!;
    this.#count += other.#count;
    this.#max = Math.max(this.#max, other.#max);
  }

  /** The value that a share `q` of all values does not exceed; 0 if nothing was recorded. */
  quantile(q: number): number {
    if (this.#count === 0) return 0;
    const rank = Math.max(1, Math.ceil(q * this.#count));
    if (rank >= this.#count) return this.#max;
    let seen = 0;
    for (let i = 0; i < BUCKETS; i++) {
      seen += this.#buckets[i]!;
      if (seen >= rank) return Math.min(middleOf(i), this.#max);
    }
    return this.#max;
  }

  summary(): Summary {
    return {
      count: this.#count,
      p50: this.quantile(0.5),
      p90: this.quantile(0.9),
      p99: this.quantile(0.99),
      p999: this.quantile(0.999),
      max: this.#max,
    };
  }

  clear(): void {
    this.#buckets.fill(0);
    this.#count = 0;
    this.#max = 0;
  }
}

function bucketOf(whole: number): number {
  if (whole < PARTS) return whole;
  if (whole <= SHORT) return bucketOf32(whole);
  return bucketOf32(whole / SCALE) + SCALE_BITS * PARTS;
}

/** For values of 8 to 32 bits; a fraction is cut off, as it lies below the bucket's width. */
function bucketOf32(value: number): number {
  const shift = 31 - PART_BITS - Math.clz32(value);
  return shift * PARTS + (value >>> shift);
}

function middleOf(bucket: number): number {
  if (bucket < 2 * PARTS) return bucket;
  const shift = Math.floor(bucket / PARTS) - 1;
  const width = 2 ** shift;
  return ((bucket % PARTS) + PARTS) * width + Math.floor((width - 1) / 2);
}
