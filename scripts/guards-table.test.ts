/** The tables of guards say what a check said, and count a label once. */
import { expect, test } from 'vitest';
import type { Check, CheckResult, GuardResult } from '../src/measure/check.ts';
import { rowOf, tablesOf } from './guards-table.ts';

const found = {
  design: 'tdp:log=protect',
  how: 'drop',
  litmus: 'log-unmap',
  memory: 'tso',
  promise: 'tlb.stale',
  length: 28,
  minimal: 'minimal within bounds (1 preemption)',
} as unknown as CheckResult;

function guard(
  design: string,
  label: string,
  verdict: GuardResult['verdict'],
  argued = '',
): GuardResult {
  return {
    design,
    label,
    verdict,
    argued,
    result: verdict === 'necessary' ? found : null,
    tried: [],
  };
}

test('a row has the axes under which a guard was shown, or why it was not', () => {
  expect(rowOf(guard('tdp', 'a.wait', 'necessary'))).toBe(
    '| `a.wait` | drop | log-unmap (`log=protect`) | tso | tlb.stale | 1 | 28 |',
  );
  expect(rowOf(guard('tdp', 'b', 'not shown', 'why'))).toContain('not shown; argued');
});

test('several designs of one check are counted together, each label once', () => {
  const guards = [
    guard('kpop', 'a', 'necessary'),
    guard('kpop', 'b', 'not shown', 'because'),
    guard('kpop-l1', 'b', 'necessary'),
    guard('kpop-l1', 'c', 'not reached'),
  ];
  const text = tablesOf([
    { schema: 'kpop.check/1', results: [], guards, ended: 'complete' } as Check,
  ]);
  expect(text).toContain(
    '## kpop\n\n1 of the 2 guards that are reached are shown necessary (50 %).',
  );
  expect(text).toContain('kpop, kpop-l1 together: 2 of the 2 guards');
  expect(text).toContain('- `b`: because');
});
