/**
 * KPOP's objects in L0: one VM of an L1, with its address space and its vCPUs. An L2 vCPU is an L0
 * object: L0 runs it directly, and L1 only says when and with which operations first.
 */
import type { GuestContext } from '../../machine/guest.ts';
import type { Space } from '../mmu/kpop/space.ts';
import type { Running } from '../vcpu.ts';
import type { Answered, Answering } from './answers.ts';

export interface KpopVcpu {
  /** Word: 1 while some L1 vCPU runs this one, as KVM's vcpu mutex; atomic. */
  readonly claim: number;
  /** Host-physical address of the state page, pinned while the vCPU exists. */
  readonly state: number;
  readonly guest: GuestContext;
  readonly running: Running;
  /** Where L0 answers for L1 (POLICY). */
  readonly answered?: Answered | undefined;
}

export interface KpopVm {
  readonly space: Space;
  /** By handle index. */
  readonly vcpus: KpopVcpu[];
  /** L1 pages that L0 reaches by their frame: they are not given back. */
  readonly pinned: number[];
  /** Largest L2 page that MAP accepts, plus one. */
  readonly l2Pages: number;
  /** Where L0 answers for L1 (POLICY). */
  readonly answering?: Answering | undefined;
}
