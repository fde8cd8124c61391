/**
 * Huge leaves of the TDP MMU: the litmus programs hold in every interleaving, and what is weakened
 * is caught. The two largest are left to `kpop check`.
 */
import { expect, test } from 'vitest';
import { tdpHugeLitmus } from '../../src/litmus/tdp-huge.ts';
import { caught, explored } from './explored.ts';

const LARGE = ['huge-write-unmap', 'huge-collapse-write'];
const small = tdpHugeLitmus.map(({ id }) => id).filter((id) => !LARGE.includes(id));

test.each(small.map((id) => [id]))('%s holds in every interleaving', (id) => {
  expect(explored({ design: 'tdp', litmus: id })).toEqual({ verdict: 'holds', message: '' });
});

test.each([
  // R14: hardware has set D in the leaf after it was copied.
  ['huge-split-write', 'tdp.split.commit', 'blind', 'tdp.dirty'],
  ['huge-split-split', 'tdp.split.commit', 'blind', 'frames.owned'],
  // R13: what the removed entry knew of writes.
  ['huge-collapse-write', 'tdp.sweep.freeze', 'drop', 'tdp.dirty'],
  ['huge-write-unmap', 'tdp.zap.clear-huge', 'split', 'tdp.dirty'],
  // A piece of the huge leaf that was not to be taken away may still be cached.
  ['huge-write-unmap', 'flush.wait', 'drop', 'tlb.stale'],
  ['huge-fault-fault', 'backing.block-install', 'blind', 'tdp.backing'],
])('%s: %s made %s breaks %s', (litmus, label, how, promise) => {
  expect(caught({ design: 'tdp', litmus, weaken: [{ label, how }] })).toBe(promise);
});
