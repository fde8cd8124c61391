/** Zaps that let the lock go, and ageing: what holds, and what is caught. */
import { expect, test } from 'vitest';
import { caught, explored } from './explored.ts';

test.each([['yield-fault'], ['age-write'], ['age-remove']])('%s holds', (litmus) => {
  expect(explored({ design: 'tdp', litmus })).toEqual({ verdict: 'holds', message: '' });
});

test.each([
  // R22: the lock is let go before the flush is over, and another thread frees the page.
  ['yield-unmap', 'tdp.yield.wait', 'drop', 'tlb.stale'],
  // R4: a table is given back with the next one, while a CPU may still walk it.
  ['remove-write-twice', 'tdp.remove.wait', 'drop', 'tlb.stale'],
  // R6: a zap that goes on without the lock walks a table that is given back.
  ['yield-remove', 'tdp.yield.lock', 'drop', 'frame.free'],
  // Hardware sets D while A is cleared by a store.
  ['age-write', 'tdp.age.clear', 'blind', 'tdp.dirty'],
])('%s: %s made %s breaks %s', (litmus, label, how, promise) => {
  expect(caught({ design: 'tdp', litmus, weaken: [{ label, how }] })).toBe(promise);
});
