/**
 * Dirty logging loses no write: the litmus programs hold in every interleaving, and what is
 * weakened is caught. Those that take long are left to `kpop check`.
 */
import { expect, test } from 'vitest';
import { caught, explored } from './explored.ts';

test.each([
  ['log-start-write', 'tdp'],
  ['log-start-write', 'tdp:log=protect'],
  ['log-start-fault', 'tdp:log=protect'],
  ['log-huge-start', 'tdp:log=protect'],
  ['log-huge-start', 'tdp:log=protect,split=fault'],
  ['log-huge-start', 'tdp:log=protect,split=zap'],
])('%s under %s holds in every interleaving', (litmus, design) => {
  expect(explored({ design, litmus })).toEqual({ verdict: 'holds', message: '' });
});

test.each([
  // Whoever read the old flags installs a leaf that notices nothing (SRCU).
  ['log-start-fault', 'tdp', 'rcu.sync.wait', 'drop', 'tdp.log'],
  ['log-start-fault', 'tdp:log=protect', 'rcu.sync.wait', 'drop', 'tdp.log'],
  // R7: a leaf that is read-only may still be cached writable.
  ['log-start-write', 'tdp:log=protect', 'log.start.wait', 'drop', 'tdp.log'],
  ['log-start-write', 'tdp', 'log.start.wait', 'drop', 'tdp.log'],
  ['log-harvest-write', 'tdp:log=protect', 'log.harvest.wait', 'drop', 'tdp.log'],
  ['log-harvest-write', 'tdp', 'log.harvest.wait', 'drop', 'tdp.log'],
  // R3: hardware sets D between the look and the store.
  ['log-start-write', 'tdp:log=protect', 'log.clear', 'blind', 'tdp.dirty'],
  // A bit that is set between the look and the clearing.
  ['log-harvest-pages', 'tdp:log=protect', 'log.take', 'split', 'tdp.log'],
  ['log-harvest-write', 'tdp', 'log.mark', 'drop', 'tdp.log'],
  // A fault marks its page before its leaf is there: only the lock keeps a harvest out.
  ['log-harvest-fault', 'tdp:log=protect', 'log.harvest-mmu.lock', 'drop', 'tdp.log'],
  // A lockless fault gives W to what was there when it looked.
  ['log-unmap', 'tdp:log=protect', 'tdp.fast.commit', 'blind', 'tdp.backing'],
  // R14 while logging begins.
  ['log-huge-start', 'tdp:log=protect', 'tdp.split.commit', 'blind', 'tdp.dirty'],
])('%s under %s: %s made %s breaks %s', (litmus, design, label, how, promise) => {
  expect(caught({ design, litmus, weaken: [{ label, how }] })).toBe(promise);
});

test('a flag that waits in a store buffer while vCPUs are looked at is read too late', () => {
  const of = { design: 'tdp:log=protect', litmus: 'log-start-fault', order: 'tso' } as const;
  const weaken = [{ label: 'slot.publish-barrier', how: 'unordered' }];
  expect(caught({ ...of, weaken })).toBe('tdp.log');
  expect(caught(of)).toBe('');
});
