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

/** Powers of two and their inverses, by exponent: `**` is a call into the C library. */
const POWERS = Float64Array.from({ length: 64 }, (_, exponent) => 2 ** exponent);
const INVERSES = Float64Array.from({ length: 64 }, (_, exponent) => 2 ** -exponent);

/** 2^exponent, for exponents below 64. */
export function power(exponent: number): number {
  return POWERS[exponent]!;
}

/** `value >> shift & mask` for whole numbers below 2^53, whose quotients need not fit 32 bits. */
export function bitsAt(value: number, shift: number, mask: number): number {
  return (value * INVERSES[shift]!) & mask;
}

/** Smallest power of two exponent e with 2^e >= n. */
export function log2Ceil(n: number): number {
  return n <= 1 ? 0 : 32 - Math.clz32(n - 1);
}
