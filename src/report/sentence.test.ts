/** The sentence: what it says, and what it refuses to say. */

import { expect, test } from 'vitest';
import {
  emptyCompare,
  sampleCompare,
  samplePair,
  sampleScaling,
} from '../../test/report/sample.ts';
import type { AtSoftware, Compare, Run } from '../measure/result.ts';
import { list, readComparison } from './sentence.ts';

/** Two designs, or more, with ratios of our own choice. */
function compared(ratios: Readonly<Record<string, AtSoftware>>): Compare {
  const runs = Object.keys(ratios).map((design): Run => ({ ...samplePair.runs[0]!, design }));
  const sensitivity = Object.entries(ratios).map(([design, ratio]) => ({
    design,
    vcpus: 1,
    cyclesPerOperation: ratio,
    ratio,
  }));
  return { schema: 'kpop.compare/1', runs, sensitivity };
}

const always = (ratio: number): AtSoftware => ({ zero: ratio, one: ratio, two: ratio });

test('sentence: two designs', () => {
  expect(readComparison(samplePair)).toBe(
    'On touch:pages=1024 with 1 vCPU of intel-cascade-lake (1,024 operations each), ' +
      'kpop:flush=request,lock=vm needs the least simulated time, 0.62x that of nested; ' +
      'per operation nested leaves for L0 12.0 times and kpop:flush=request,lock=vm 3.00 times; ' +
      'no two designs change places when software work is priced at 0 or at twice its price.',
  );
});

test('sentence: a ranking that flips is called undecided, with the pair and both prices', () => {
  expect(readComparison(sampleCompare)).toContain(
    'but the ranking flips with the price of software work: evmcs is faster than ' +
      'kpop:flush=request,lock=vm at price 0 and slower at twice the preset’s price, ' +
      'so nothing is decided between those.',
  );
  expect(readComparison(sampleScaling)).toContain('(1, 2 and 4 vCPUs), so nothing is decided');
});

test('sentence: a flip that shows only between the preset’s price and twice it is told too', () => {
  const flip = compared({ a: always(1), b: { zero: 0.9, one: 0.9, two: 1.1 } });
  expect(readComparison(flip)).toContain('b is faster than a at price 0 and slower at twice');
});

test('sentence: times within 1 % are the same, and that is no flip', () => {
  const same = readComparison(compared({ a: always(1), b: { zero: 1.005, one: 0.995, two: 1 } }));
  expect(same).toContain('b and a need the same simulated time to within 1 %');
  expect(same).toContain('no two designs change places');
});

test('sentence: where the first design leads, the others follow with their ratios', () => {
  const first = readComparison(compared({ a: always(1), b: always(1.5), c: always(2) }));
  expect(first).toContain(
    'a needs the least simulated time, followed by b (1.50x that of a) and c (2.00x);',
  );
});

test('sentence: at most three pairs are named', () => {
  const flips = Object.fromEntries(
    [0, 1, 2, 3].map((i) => [`d${i}`, { zero: 1 + i / 10, one: 1, two: 2 - i / 10 }]),
  );
  expect(readComparison(compared(flips))).toContain(', and so do 3 more pairs');
});

test('sentence: other sizes that rank otherwise are named', () => {
  const at = (vcpus: number, ratio: number): Compare => {
    const doc = compared({ a: always(1), b: always(ratio) });
    const runs = doc.runs.map((run) => ({ ...run, vcpus }));
    return { ...doc, runs, sensitivity: doc.sensitivity.map((row) => ({ ...row, vcpus })) };
  };
  const [one, eight] = [at(1, 1.5), at(8, 0.5)];
  const doc: Compare = {
    schema: 'kpop.compare/1',
    runs: [...one.runs, ...eight.runs],
    sensitivity: [...one.sensitivity, ...eight.sensitivity],
  };
  expect(readComparison(doc)).toContain('with 1 of them the order is another');
});

test('sentence: unequal work is said', () => {
  const doc = compared({ a: always(1), b: always(2) });
  const runs = doc.runs.map((run, i) => ({ ...run, operations: 100 + i }));
  expect(readComparison({ ...doc, runs })).toContain('unequal numbers of operations');
});

test('sentence: nothing to compare', () => {
  expect(readComparison(emptyCompare)).toContain('no design did anything');
  expect(readComparison(compared({ a: always(1) }))).toContain('nothing to compare it with');
  const none: Compare = { schema: 'kpop.compare/1', runs: [], sensitivity: [] };
  expect(readComparison(none)).toBe('No design ran, so there is nothing to compare.');
});

test('list: words', () => {
  expect([list([]), list(['a']), list(['a', 'b']), list(['a', 'b', 'c'])]).toEqual([
    '',
    'a',
    'a and b',
    'a, b and c',
  ]);
});
