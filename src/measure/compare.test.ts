/** Ratios between designs, at equal work. */

import { expect, test } from 'vitest';
import { compareRuns } from './compare.ts';
import type { Run } from './result.ts';

const run = (design: string, vcpus: number, cycles: number, operations = 10): Run =>
  ({ design, vcpus, cycles, operations }) as Run;

test('compare: ratios are to the first design with as many vCPUs, per operation', () => {
  const runs = [run('a', 1, 1000), run('b', 1, 500), run('a', 4, 2000), run('b', 4, 3000, 20)];
  const zero = [run('a', 1, 100), run('b', 1, 300), run('a', 4, 100), run('b', 4, 100)];
  const two = [run('a', 1, 2000), run('b', 1, 500), run('a', 4, 4000), run('b', 4, 1000)];
  const { sensitivity } = compareRuns(runs, zero, two);
  expect(sensitivity.map((row) => row.ratio)).toEqual([
    { zero: 1, one: 1, two: 1 },
    { zero: 3, one: 0.5, two: 0.25 },
    { zero: 1, one: 1, two: 1 },
    { zero: 1, one: 0.75, two: 0.25 },
  ]);
  expect(sensitivity[1]!.cyclesPerOperation).toEqual({ zero: 30, one: 50, two: 50 });
});

test('compare: a run without operations has the ratio 0, not a missing number', () => {
  const runs = [run('a', 1, 1000, 0), run('b', 1, 500)];
  for (const { ratio } of compareRuns(runs, runs, runs).sensitivity) {
    expect(Object.values(ratio).every(Number.isFinite)).toBe(true);
  }
});

test('compare: runs at other prices must be the same runs', () => {
  expect(() => compareRuns([run('a', 1, 1)], [run('b', 1, 1)], [run('a', 1, 1)])).toThrow(/lacks/);
});
