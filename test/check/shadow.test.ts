/**
 * Shadow paging of a guest's own tables: what holds, and what is caught when a guard is left out
 * (primer/x86.md 3.3 and 3.4; 9.2, R1 and R8).
 */
import { expect, test } from 'vitest';
import { caught, explored } from './explored.ts';

test.each([
  ['pte-move-fault', 'sc'],
  ['pte-clear-write', 'tso'],
  ['pte-move-flush', 'tso'],
  ['pte-move-invlpg', 'tso'],
  ['link-clear-flush', 'sc'],
  ['zap-fast-write', 'tso'],
  ['zap-fast-pte', 'sc'],
  ['root-switch-pte', 'sc'],
] as const)('%s holds (%s)', (litmus, order) => {
  expect(explored({ design: 'shadow', litmus, order })).toEqual({ verdict: 'holds', message: '' });
});

test.each([['pte-move-flush'], ['link-clear-flush']])('%s holds without unsync', (litmus) => {
  const found = explored({ design: 'shadow:unsync=off', litmus });
  expect(found).toEqual({ verdict: 'holds', message: '' });
});

test.each([
  // R8: no flag says that the table may be written to, so the flush syncs nothing.
  ['pte-move-flush', 'shadow.unsync.mark', 'drop', 'shadow.tracked'],
  ['pte-move-flush', 'shadow.unsync.parents', 'drop', 'shadow.promised'],
  // The guest's entry changes between the walk and the lock.
  ['pte-move-fault', 'shadow.fetch.recheck', 'stale', 'shadow.mirrored'],
  ['link-clear-fault', 'shadow.fetch.recheck', 'stale', 'shadow.mirrored'],
  // R1: the page is looked up, taken away, and mapped.
  ['shadow-fault-unmap', 'mmu.seq-recheck', 'stale', 'shadow.mirrored'],
  // The page is taken away while a CPU still has it cached.
  ['write-unmap', 'flush.wait', 'drop', 'shadow.promised'],
  // Two change the shadow at once.
  ['link-clear-flush', 'shadow.write.lock', 'drop', 'shadow.mirrored'],
  ['pte-move-move', 'shadow.sync.lock', 'drop', 'shadow.mirrored'],
  // What is cached under one root serves another.
  ['root-switch-pte', 'shadow.root.flush', 'drop', 'shadow.promised'],
])('%s: %s made %s breaks %s', (litmus, label, how, promise) => {
  expect(caught({ design: 'shadow', litmus, weaken: [{ label, how }] })).toBe(promise);
});
