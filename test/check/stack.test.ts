/**
 * KPOP's whole stack: the product's L1 on the product's L0, L2 on top, in one explored scene. The
 * larger scenes, and the weaker memory order for all, are `kpop check kpop-stack`.
 */
import { describe, expect, test } from 'vitest';
import { explorable, parseDesign } from '../../src/design/index.ts';
import { findLitmus } from '../../src/experiment/check/pieces.ts';
import { buildScene, type Scene } from '../../src/experiment/check/scene.ts';
import { neverSeen } from '../../src/litmus/index.ts';
import type { MemoryOrder } from '../../src/machine/explored/acts.ts';
import type { Weakening } from '../../src/machine/explored/weakening.ts';
import { exploreStateful } from '../../src/schedule/explore/stateful.ts';

const deep = 'KPOP_DEEP' in process.env;

function sceneOf(id: string, order: MemoryOrder, weaken: readonly Weakening[] = []): Scene {
  return buildScene({
    choice: parseDesign('kpop-stack', explorable),
    litmus: findLitmus(id),
    order,
    weaken,
  });
}

describe('holds, and what it is about happens', () => {
  test.each<[string, MemoryOrder, number]>([
    ['stack-fault-invalidate', 'sc', 2],
    ['stack-fault-invalidate', 'tso', 2],
    ['stack-write-invalidate', 'sc', 2],
    ['stack-write-take', 'sc', deep ? 3 : 1],
    ['stack-fault-take', 'sc', 2],
    ['stack-fault-fault', 'sc', 2],
    ['stack-fault-remove', 'sc', deep ? 3 : 1],
    ['stack-ask-take', 'sc', deep ? 2 : 1],
    ['stack-write-invalidate-take', 'sc', deep ? 2 : 0],
  ])('%s, %s, %i preemptions', { timeout: deep ? 600_000 : 60_000 }, (id, order, preemptions) => {
    const report = exploreStateful(sceneOf(id, order).harts, { preemptions });
    expect([report.message, report.verdict]).toEqual(['', 'holds']);
    expect(report.exhausted).toBe(true);
    if (preemptions > 1) expect(neverSeen(findLitmus(id), report.seen)).toEqual([]);
  });
});

test('flush=request: L1 that does not ask for the flush frees a page that L2 still uses', () => {
  const choice = parseDesign('kpop-stack:flush=request', explorable);
  const litmus = findLitmus('stack-write-invalidate');
  const look = (weaken: readonly Weakening[]): string => {
    const { harts } = buildScene({ choice, litmus, order: 'sc', weaken });
    return exploreStateful(harts, { preemptions: 1, steps: 200_000 }).message;
  };
  expect(look([])).toBe('');
  expect(look([{ label: 'l1.flush', how: 'drop' }])).toMatch(/^(tlb\.stale|kpop\.finished):/);
});

describe('what the stack does without one guard of one level', () => {
  test.each<[string, Weakening['how'], string, MemoryOrder, string]>([
    // L1: the barrier between reservation and second look, and that second look.
    ['l1.fault.barrier', 'drop', 'stack-fault-invalidate', 'tso', 'l1.released'],
    ['l1.fault.recheck', 'stale', 'stack-fault-invalidate', 'sc', 'l1.released'],
    ['l1.settle.valid', 'blind', 'stack-fault-invalidate', 'sc', 'l1.lost'],
    // L0: the wait for the flush, asked for by L1; and the lock of an entry.
    ['kpop.kick.wait', 'drop', 'stack-write-invalidate', 'sc', 'tlb.stale'],
    ['kpop.entry.locked', 'drop', 'stack-fault-invalidate', 'sc', 'kpop.composed'],
    // L0's tables for L1 itself.
    ['flush.wait', 'drop', 'stack-ask-take', 'sc', 'tlb.stale'],
  ])('%s (%s), %s, %s: breaks %s', (label, how, id, order, promise) => {
    const { harts } = sceneOf(id, order, [{ label, how }]);
    const { message } = exploreStateful(harts, { preemptions: 2, steps: 200_000 });
    expect(message.slice(0, promise.length + 1)).toBe(`${promise}:`);
  });
});
