/**
 * Memory slots that come and go, roots that are replaced, entries for devices: the litmus programs
 * hold in every interleaving, and what is weakened is caught. What takes long with a new root for
 * everything (`slot=all`) is looked at to two preemptions here; `kpop check` has the rest.
 */
import { expect, test } from 'vitest';
import { parseDesign } from '../../src/design/index.ts';
import { runPiece } from '../../src/experiment/check/run-piece.ts';
import { caught, explored } from './explored.ts';

const RANGE = 'tdp:slot=range';

test.each([
  ['slot-delete-write', RANGE],
  ['slot-delete-fault', RANGE],
  ['slot-delete-stay', RANGE],
  ['slot-delete-leave', RANGE],
  ['slot-move-write', RANGE],
  ['slot-move-invalidate', RANGE],
  ['slot-delete-unmap', RANGE],
  ['slot-move-invalidate', 'tdp'],
  ['slot-delete-unmap', 'tdp'],
  ['slot-add-delete', 'tdp'],
  ['slot-add-write', 'tdp'],
  ['slot-delete-keep', RANGE],
])('%s under %s holds in every interleaving', (litmus, design) => {
  expect(explored({ design, litmus })).toEqual({ verdict: 'holds', message: '' });
});

test.each([
  ['slot-delete-write', 'tdp'],
  ['slot-delete-fault', 'tdp'],
  ['slot-delete-stay', 'tdp'],
  ['slot-delete-leave', 'tdp'],
  ['slot-delete-keep', 'tdp'],
  ['slot-move-write', 'tdp'],
  ['slot-delete-two', 'tdp'],
  ['slot-delete-leave', 'tdp-npt'],
  ['slot-add-write', 'tdp-npt'],
])('%s under %s holds with two preemptions', (litmus, design) => {
  expect(explored({ design, litmus, preemptions: 2 })).toEqual({ verdict: 'holds', message: '' });
});

test.each([
  // Who runs under the old root is waited for before it is taken apart (I9).
  ['slot-delete-write', 'tdp', 'root.wait', 'drop', 'tdp.root'],
  ['slot-delete-write', 'tdp', 'root.invalidate', 'drop', 'tdp.backing'],
  // A fault on a root that is being taken apart installs nothing.
  ['slot-delete-keep', 'tdp', 'root.is-invalid', 'drop', 'frames.owned'],
  ['slot-delete-unmap', 'tdp', 'root.zap.lock', 'drop', 'frame.free'],
  // The last one out frees the root.
  ['slot-delete-write', 'tdp', 'root.put', 'split', 'tdp.roots'],
  // What entries below an invalid root know of writes.
  ['slot-delete-keep', 'tdp', 'tdp.sweep.freeze', 'drop', 'tdp.dirty'],
  // R17: what is cached of the old root under the same tag.
  ['slot-delete-leave', 'tdp-npt', 'root.flush', 'drop', 'tlb.stale'],
  // Whoever found the slot is waited for before it is zapped (SRCU).
  ['slot-delete-fault', RANGE, 'slots.sync.wait', 'drop', 'tdp.backing'],
  ['slot-delete-write', RANGE, 'slots.zap.wait', 'drop', 'tlb.stale'],
  ['slot-delete-unmap-write', RANGE, 'slots.zap.lock', 'drop', 'tlb.stale'],
  // Whoever found no slot must not note the new generation (I8).
  ['slot-add-write', 'tdp', 'slots.sync.wait', 'drop', 'mmio.generation'],
  // The generation begins anew and nothing is zapped: an old note is believed again.
  ['slot-wrap', 'tdp', 'root.invalidate', 'drop', 'mmio.generation'],
  // An invalidation that ends under other slots than it began with.
  ['slot-delete-unmap', 'tdp', 'slots.switch.lock', 'drop', 'tdp.backing'],
  ['slot-delete-unmap', 'tdp', 'notifier.begin.lock', 'drop', 'tdp.backing'],
  ['slot-move-invalidate', 'tdp', 'notifier.begin', 'drop', 'progress.deadlock'],
])('%s under %s: %s made %s breaks %s', (litmus, design, label, how, promise) => {
  const weaken = [{ label, how }];
  expect(caught({ design, litmus, weaken, preemptions: 2 })).toBe(promise);
});

test('slots that wait in a store buffer while vCPUs are looked at are found too late', () => {
  const of = { design: RANGE, litmus: 'slot-delete-fault', order: 'tso' } as const;
  const weaken = [{ label: 'slots.publish-barrier', how: 'unordered' }];
  expect(caught({ ...of, weaken })).toBe('tdp.backing');
  expect(caught(of)).toBe('');
});

test('without the lock a fault that has looked installs in a root that is taken apart', () => {
  const weaken = [{ label: 'root.invalidate.lock', how: 'drop' }];
  expect(caught({ design: 'tdp', litmus: 'slot-delete-keep', weaken })).toBe('frames.owned');
});

test('without the lock of its list two vCPUs make a root each', () => {
  const weaken = [{ label: 'root.pages.lock', how: 'drop' }];
  const message = caught({ design: 'tdp', litmus: 'slot-delete-two', weaken, preemptions: 3 });
  expect(['tdp.roots', 'frames.owned']).toContain(message);
});

test.each(['slots.add.lock', 'slots.delete.lock'])('%s keeps the sets from a race', (label) => {
  const guard = { label, how: 'drop' } as const;
  const bounds = { steps: 100_000, goal: 'all', entries: 2, seed: 1 } as const;
  const litmus = 'slot-add-delete';
  const piece = { choice: 'tdp', litmus, memory: 'sc', guard, bounds } as const;
  const origin = { design: 'tdp', code: '' };
  const choice = parseDesign('tdp');
  const { result } = runPiece({ piece, choice, origin, isBuiltIn: true, isOver: () => false });
  expect([result.verdict, result.promise]).toEqual(['violated', 'memory.race']);
});
