/**
 * Arithmetic on 64-bit words held as two 32-bit halves, and on addresses held as doubles (exact
 * below 2^53). No BigInt: it costs 30 times as much per operation (PERF.md section 7).
 */

const TWO32 = 4294967296;

/** The value of a 64-bit word as a number; exact below 2^53, which is all that our layouts hold. */
export function join(lo: number, hi: number): number {
  return hi === 0 ? lo >>> 0 : (hi >>> 0) * TWO32 + (lo >>> 0);
}

/** The high half of a number below 2^53. */
export function high(value: number): number {
  return value < TWO32 ? 0 : (value / TWO32) | 0;
}

/** The low half of a number below 2^53, as a signed 32-bit integer. */
export function low(value: number): number {
  return value | 0;
}

/** Smallest power of two exponent e with 2^e >= n. */
export function log2Ceil(n: number): number {
  return n <= 1 ? 0 : 32 - Math.clz32(n - 1);
}
