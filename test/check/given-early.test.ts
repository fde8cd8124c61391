/**
 * A table page that is given back and taken again in one move is in no state free: that a CPU could
 * still walk it is seen all the same.
 */
import { expect, test } from 'vitest';
import { caught } from './explored.ts';

test('KPOP: a removed table that is given back before its flush is over', () => {
  const given = { design: 'kpop', litmus: 'write-remove-map', preemptions: 2 } as const;
  const weaken = [{ label: 'kpop.kick.wait', how: 'drop' }];
  expect(caught({ ...given, weaken })).toBe('tlb.stale');
  expect(caught({ ...given, preemptions: 1 })).toBe('');
}, 120_000);
