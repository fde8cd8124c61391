/**
 * Huge intents of KPOP, and AGE: the litmus programs hold in every interleaving, what is weakened
 * is caught, and the specification explains what the code does. The larger ones are left to
 * `kpop check`.
 */
import { afterEach, expect, test, vi } from 'vitest';
import { parseDesign } from '../../src/design/index.ts';
import { Overseen } from '../../src/experiment/check/oversee.ts';
import { findLitmus } from '../../src/experiment/check/pieces.ts';
import { buildScene } from '../../src/experiment/check/scene.ts';
import { ReverseMap } from '../../src/hypervisor/mmu/kpop/reverse-map.ts';
import type { Routine } from '../../src/runtime/act.ts';
import { exploreStateful } from '../../src/schedule/explore/stateful.ts';
import { caught, explored } from './explored.ts';

afterEach(() => vi.restoreAllMocks());

const SMALL = [
  'intent-unmap-invalidate',
  'intent-fill-invalidate',
  'intent-write-unmap',
  'intent-map-unmap',
  'intent-map-map',
  'intent-small-fills',
  'used-invalidate',
  'used-remove',
];

test.each(SMALL)('%s holds in every interleaving', (litmus) => {
  expect(explored({ design: 'kpop', litmus })).toEqual({ verdict: 'holds', message: '' });
});

test.each([
  // A part that hardware does not have: the write through the huge leaf is known to nobody.
  ['intent-write-unmap', 'kpop.split.fill', 'drop', 'kpop.mirrored'],
  ['intent-write-unmap', 'kpop.split.link', 'drop', 'kpop.composed'],
  // A is cleared in an entry that is not there any more.
  ['used-invalidate', 'kpop.age.clear', 'blind', 'kpop.composed'],
  // An invalidation looks for the parts and the whole comes behind its back.
  ['promote-invalidate', 'kpop.map.in-progress', 'drop', 'kpop.composed'],
  ['promote-invalidate', 'kpop.entry.clear', 'drop', 'kpop.composed'],
  // A MAP that looked at the fence before it was raised, and installs after UNMAP has returned.
  ['intent-map-unmap', 'kpop.map.fence', 'drop', 'kpop.revoked'],
])('%s: %s made %s breaks %s', (litmus, label, how, promise) => {
  expect(caught({ design: 'kpop', litmus, weaken: [{ label, how }] })).toBe(promise);
});

test.each([
  // Who narrows a part finds it narrow already, and the flush for the whole is not over.
  ['intent-write-narrow-narrow', 'kpop.split.relabel', 'drop', 'tlb.stale'],
  // What a CONTINUE counts is not over.
  ['write-unmap-pieces', 'kpop.kick.wait', 'drop', 'tlb.stale'],
  // The table page is given back while CPUs walk it.
  ['promote-write-free', 'kpop.kick.wait', 'drop', 'tlb.stale'],
])('%s: %s made %s breaks %s with two preemptions', (id, label, how, promise) => {
  const weaken = [{ label, how: how as 'drop' }];
  const litmus = findLitmus(id);
  const { harts } = buildScene({ choice: parseDesign('kpop'), litmus, order: 'sc', weaken });
  const { message } = exploreStateful(harts, { preemptions: 2, steps: 400_000 });
  expect(message.slice(0, promise.length + 1)).toBe(`${promise}:`);
});

test('a split that puts its parts into no list is found', () => {
  const add = ReverseMap.prototype.add;
  vi.spyOn(ReverseMap.prototype, 'add').mockImplementation(function* bad(
    this: ReverseMap,
    cpu,
    l1gfn,
    place,
  ): Routine<void> {
    // A MAP or a fill adds its item before the hardware entry is there, a split after it.
    if (cpu.peek(place.hardware) !== 0) return;
    yield* add.call(this, cpu, l1gfn, place);
  });
  expect(caught({ design: 'kpop', litmus: 'intent-unmap-invalidate' })).toMatch(/^kpop\./);
});

test.each([
  'intent-unmap-invalidate',
  'intent-fill-invalidate',
  'intent-unmap-protect',
  'intent-map-unmap',
  'intent-map-map',
  'intent-small-fills',
  'promote-unmap',
  'promote-fill',
  'promote-invalidate',
])('the oracle explains every execution of %s', (id) => {
  const litmus = findLitmus(id);
  const scene = buildScene({ choice: parseDesign('kpop'), litmus, order: 'sc', weaken: [] });
  const report = exploreStateful(new Overseen(scene), { preemptions: 2 });
  expect([report.message, report.verdict]).toEqual(['', 'holds']);
});

test.each([
  ['intent-unmap-invalidate', 'kpop.entry.clear', 'drop'],
  ['intent-map-unmap', 'kpop.map.fence', 'drop'],
])('%s without %s (%s) is explained by no order', (id, label, how) => {
  const weaken = [{ label, how: how as 'drop' }];
  const litmus = findLitmus(id);
  const scene = buildScene({ choice: parseDesign('kpop'), litmus, order: 'sc', weaken });
  const overseen = new Overseen(scene, { alone: true, ways: ['linearisable', 'release'] });
  const { message } = exploreStateful(overseen, { preemptions: 2, steps: 60_000 });
  expect(message).toMatch(/^oracle\./);
});
