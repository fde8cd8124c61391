/**
 * On SVM and NPT the flush handshake and the unmapping hold, and break without what makes them
 * hold: the flush is what the next VMRUN is asked for, under the one tag that AMD has.
 */
import { describe, expect, test } from 'vitest';
import { explorable, parseDesign } from '../../src/design/index.ts';
import { findLitmus } from '../../src/experiment/check/pieces.ts';
import { buildScene } from '../../src/experiment/check/scene.ts';
import type { MemoryOrder } from '../../src/machine/explored/acts.ts';
import type { Weakening } from '../../src/machine/explored/weakening.ts';
import { exploreStateful } from '../../src/schedule/explore/stateful.ts';

function lookAt(
  design: string,
  litmus: string,
  order: MemoryOrder,
  weaken: readonly Weakening[] = [],
) {
  const choice = parseDesign(design, explorable);
  const { harts } = buildScene({ choice, litmus: findLitmus(litmus), order, weaken, entries: 2 });
  return exploreStateful(harts, { preemptions: 2, steps: 400_000 });
}

describe.each(['tdp-npt', 'kpop-npt'])('%s', (design) => {
  test.each<[string, MemoryOrder]>([
    ['write-unmap', 'sc'],
    ['write-unmap', 'tso'],
    ['stay-unmap', 'sc'],
  ])('%s, %s: holds', (litmus, order) => {
    const { verdict, message } = lookAt(design, litmus, order);
    expect([message, verdict]).toEqual(['', 'holds']);
  });
});

describe.each([
  ['tdp-npt:flush=broadcast', ['write-unmap', 'stay-unmap', 'fault-unmap']],
  ['nested-npt', ['write-unmap', 'write-leave-unmap', 'clear-flush-one', 'move-flush']],
] as const)('%s', (design, programs) => {
  test.each(programs)('%s: holds', (litmus) => {
    const { verdict, message } = lookAt(design, litmus, 'tso');
    expect([message, verdict]).toEqual(['', 'holds']);
  });
});

describe('without one guard', () => {
  // L1 and L2 have one ASID: what is cached of one must not serve the other.
  test.each([
    ['nested.vmrun.flush', /^nested\.promised:/],
    ['nested.vmexit.flush', /^tlb\.stale:/],
  ])('nested-npt: %s', (label, promise) => {
    const weaken = [{ label, how: 'drop' as const }];
    expect(lookAt('nested-npt', 'write-leave-unmap', 'sc', weaken).message).toMatch(promise);
  });

  test.each<[string, string, Weakening['how'], string, MemoryOrder]>([
    // What the next VMRUN is to drop is not written down.
    ['tdp-npt', 'run.flush', 'drop', 'write-unmap', 'sc'],
    ['kpop-npt', 'kpop.enter.flush', 'drop', 'write-unmap', 'sc'],
    // R2: the entry says that it is in guest mode, and looks at requests before that is visible.
    ['tdp-npt', 'run.in-guest', 'unordered', 'write-unmap', 'tso'],
    ['kpop-npt', 'kpop.enter.fence', 'unordered', 'write-leave-unmap', 'tso'],
    ['tdp-npt', 'flush.wait', 'drop', 'write-unmap', 'sc'],
    ['kpop-npt', 'kpop.kick.wait', 'drop', 'write-unmap', 'sc'],
    // Invalidations that nobody asks for, and such that nobody waits for.
    ['tdp-npt:flush=broadcast', 'flush.broadcast', 'drop', 'write-unmap', 'sc'],
    ['tdp-npt:flush=broadcast', 'flush.sync', 'drop', 'write-unmap', 'sc'],
  ])(
    '%s: %s (%s), %s, %s: a page is used after it was taken',
    (design, label, how, litmus, order) => {
      expect(lookAt(design, litmus, order, [{ label, how }]).message).toMatch(
        /^(tlb\.stale|frame\.free):/,
      );
    },
  );
});
