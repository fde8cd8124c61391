/**
 * What L0 keeps for an L1 that uses the proof of concept: roots beside EPT01, one per address space
 * of L1's VMs, and which control block of L1's runs on which of them. Everything is under the
 * mmu_lock of L1's VM, as in KVM: loads and unloads write, MAP and entries read.
 *
 * Source: primer/x86.md 6.0, primer/protection.md 2.3 (a hash of kpop MMUs per VM, keyed by vCPU
 * holder and address space, counted references; roots of the TDP MMU tagged by the address space).
 * Differs: a control block has one address space loaded at a time, and L0 has room for a fixed
 * number of both.
 */
import { atomicLine, layout, plain } from '../../runtime/layout.ts';
import { AnonymousBacking } from '../backing/anonymous.ts';
import { TdpMmu } from '../mmu/tdp/mmu.ts';
import type { NestedVm } from '../nested/state.ts';
import type { Platform } from '../platform.ts';

/** A root in use: the address space it is of plus 1, or 0; and the control blocks that have it. */
export const RootWords = layout('poc.root', { space: plain, users: plain });

/** A control block's L1 page plus 1, or 0; the number of its root; next of the bucket, plus 1. */
export const LoadWords = layout('poc.load', { holder: plain, root: plain, next: plain });

const PocWords = layout('poc.vm', {
  /** Rises whenever a control block's root may be another; atomic, read at each entry. */
  loads: atomicLine,
});

export interface PocRoot {
  readonly words: number;
  readonly mmu: TdpMmu;
}

/** Room of an L1 VM for address spaces, and for control blocks per vCPU. */
const ROOTS = 4;
const LOADS_PER_VCPU = 2;

export interface PocTables {
  readonly roots: readonly PocRoot[];
  /** Heads of the buckets, one word per bucket. */
  readonly buckets: number;
  readonly bucketCount: number;
  /** Places of `LoadWords`. */
  readonly places: readonly number[];
  /** Word: `PocWords.loads`. */
  readonly loads: number;
  /** Frame of a table without entries: what a control block without a root runs L2 on. */
  readonly empty: number;
}

export interface PocVm extends NestedVm {
  readonly poc: PocTables;
}

/** What L0 knows of the pages of an address space by their number in L2: nothing. */
class Unnumbered extends AnonymousBacking {
  constructor(platform: Platform) {
    super(platform, []);
  }

  // The page was marked as it was mapped, by its number in L1.
  override *markDirty(): ReturnType<AnonymousBacking['markDirty']> {}
}

/** Roots and tables of an L1 VM whose own MMU in L0 is `tdp`; `format`: of what L2 runs on. */
export function makeTables(tdp: TdpMmu, format: TdpMmu['format'], vcpus: number): PocTables {
  const { vm, platform } = tdp;
  const { arena } = platform;
  const backing = new Unnumbered(platform);
  const roots = Array.from({ length: ROOTS }, () => {
    const lockClass = 'l0.mmu';
    const mmu = new TdpMmu({ vm, format, backing, lockClass, faultLock: 'read', beside: tdp });
    return { words: arena.place(RootWords), mmu };
  });
  const bucketCount = Math.max(1, vcpus);
  return {
    roots,
    buckets: arena.take(bucketCount * 8),
    bucketCount,
    places: Array.from({ length: vcpus * LOADS_PER_VCPU }, () => arena.place(LoadWords)),
    loads: arena.place(PocWords) + PocWords.at.loads,
    empty: arena.frames(1),
  };
}
