/** Histogram: quantiles against sorting, merging, and the extremes. */

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Histogram } from './histogram.ts';

const QUANTILES = [0, 0.001, 0.5, 0.9, 0.99, 0.999, 1];

function recorded(values: readonly number[]): Histogram {
  const histogram = new Histogram();
  for (const value of values) histogram.record(value);
  return histogram;
}

/** Spread over all magnitudes, where uniform numbers would nearly all be large. */
const value = fc
  .tuple(fc.integer({ min: 0, max: 52 }), fc.double({ min: 1, max: 2, noNaN: true }))
  .map(([exponent, mantissa]) => Math.min(Number.MAX_SAFE_INTEGER, mantissa * 2 ** exponent));

test('histogram: every quantile is within 1 % of the sorted values', () => {
  fc.assert(
    fc.property(fc.array(value, { minLength: 1, maxLength: 200 }), (values) => {
      const histogram = recorded(values);
      const sorted = values.map(Math.round).sort((a, b) => a - b);
      for (const q of QUANTILES) {
        const exact = sorted[Math.max(1, Math.ceil(q * sorted.length)) - 1]!;
        expect(Math.abs(histogram.quantile(q) - exact)).toBeLessThanOrEqual(exact * 0.01);
      }
      expect(histogram.max).toBe(sorted.at(-1));
    }),
  );
});

test('histogram: whole numbers below 256 are exact', () => {
  for (let whole = 0; whole < 256; whole++) {
    expect(recorded([whole, whole, 1000]).quantile(0.5)).toBe(whole);
  }
});

test('histogram: merged is the same as recorded together', () => {
  fc.assert(
    fc.property(fc.array(value), fc.array(value), (left, right) => {
      const merged = recorded(left);
      merged.merge(recorded(right));
      expect(merged.summary()).toEqual(recorded([...left, ...right]).summary());
    }),
  );
});

test('histogram: nothing recorded is all zeros', () => {
  const zeros = { count: 0, p50: 0, p90: 0, p99: 0, p999: 0, max: 0 };
  expect(new Histogram().summary()).toEqual(zeros);
  const histogram = recorded([3, 5]);
  histogram.clear();
  expect(histogram.summary()).toEqual(zeros);
});

test('histogram: a quantile never exceeds the maximum', () => {
  expect(recorded([100_000, 100_000, 100_000]).quantile(0.5)).toBe(100_000);
});

test('histogram: what is no duration is a defect', () => {
  for (const wrong of [-1, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 54]) {
    expect(() => new Histogram().record(wrong)).toThrow(/no duration/);
  }
});
