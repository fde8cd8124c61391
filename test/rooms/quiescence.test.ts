/**
 * What holds when nobody runs any more: after random runs with several vCPUs, on several workloads,
 * with a thread of the host that takes entries away meanwhile. That each reader of the invariants
 * would notice is shown in invariant-twins.test.ts.
 */
import { describe, expect, it, vi } from 'vitest';
import { kpopTree } from '../../src/check/invariant/kpop-tree.ts';
import { shadowPages } from '../../src/check/invariant/shadow-pages.ts';
import { usedEntries } from '../../src/check/invariant/tables.ts';
import { churn, together } from './churn.ts';
import { complaints, planOf, type Quiescent, runToRest } from './quiescent.ts';

vi.mock('../../src/alloc/slab.ts', async (real) =>
  (await import('./observed.ts')).watch(await real<object>(), 'Slab' as never),
);
vi.mock('../../src/hypervisor/backing/anonymous.ts', async (real) =>
  (await import('./observed.ts')).watch(await real<object>(), 'AnonymousBacking' as never),
);
vi.mock('../../src/hypervisor/mmu/tdp/mmu.ts', async (real) =>
  (await import('./observed.ts')).watch(await real<object>(), 'TdpMmu' as never),
);
vi.mock('../../src/hypervisor/mmu/shadow/mmu.ts', async (real) =>
  (await import('./observed.ts')).watch(await real<object>(), 'ShadowMmu' as never),
);
vi.mock('../../src/hypervisor/mmu/kpop/space.ts', async (real) =>
  (await import('./observed.ts')).watch(await real<object>(), 'Space' as never),
);
vi.mock('../../src/guest/l1/kpop.ts', async (real) =>
  (await import('./observed.ts')).watch(await real<object>(), 'KpopGuest' as never),
);

/** Entries that hardware may use: a run that leaves none proves nothing. */
function presentLeaves({ host, tdp, shadow, space, l1Pages }: Quiescent): number {
  if (space !== undefined) {
    return kpopTree(host, space).places.filter(({ entry }) => entry.kind === 'leaf').length;
  }
  const leaves = usedEntries(host, tdp.format, tdp.root).filter(
    ({ entry }) => entry.kind === 'leaf',
  );
  return shadow === undefined ? leaves.length : shadowPages(host, shadow, l1Pages).length;
}

describe.each(['tdp', 'nested', 'kpop'])('%s', (design) => {
  it.each([
    ['touch:pages=40', 3, 1],
    ['touch:pages=5,stride=2m', 2, 2],
    ['touch:pages=3,stride=1g', 2, 3],
    ['refault:pages=30', 3, 4],
    ['unmap:ranges=300', 3, 5],
    ['munmap:rounds=6,pages=9', 4, 6],
  ])('%s with %i vCPUs: every promise of quiescence holds', (workload, vcpus, seed) => {
    const q = runToRest({ design, plan: planOf(workload, vcpus), vcpus, seed });
    expect(complaints(q)).toEqual([]);
    expect(presentLeaves(q)).toBeGreaterThan(3);
  });

  it('pages that four vCPUs touch at the same moment: no count, no frame is lost', () => {
    const q = runToRest({ design, plan: together(20), vcpus: 4, seed: 3 });
    expect(complaints(q)).toEqual([]);
  });
});

describe.each([
  'tdp',
  'tdp:lock=write',
  'nested',
  'nested:vmcs=trapped,storeflush=now',
  'kpop',
  'kpop:lock=vm,run=separate,shards=1',
])('%s', (design) => {
  it.each([1, 2, 3])('churn with reclaim and invalidations, seed %i: they hold', (seed) => {
    const vcpus = 2 + (seed % 3);
    const plan = churn({ seed, lives: 6, pages: 60 });
    const q = runToRest({ design, plan, vcpus, seed, invalidations: 40 });
    expect(complaints(q)).toEqual([]);
    expect(presentLeaves(q)).toBeGreaterThan(3);
  });
});
