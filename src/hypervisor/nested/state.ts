/**
 * What L0 keeps for one L1 vCPU that runs guests of its own: which VMCS12 is current, its cached
 * copy, the VMCS02 that hardware runs, and the shadow of the guest's EPT12. Private to the vCPU's
 * thread, except the pages it points to.
 *
 * Source: arch/x86/kvm/vmx/nested.c (facts; primer/x86.md 4.1).
 */
import type { Routine } from '../../runtime/act.ts';
import type { Context } from '../../runtime/context.ts';
import type { Spinlock } from '../../sync/spinlock.ts';
import type { Stage2Fault } from '../mmu/common.ts';
import type { ShadowMmu } from '../mmu/shadow/mmu.ts';
import type { GuestTables } from '../mmu/shadow/tables.ts';
import type { TdpMmu } from '../mmu/tdp/mmu.ts';
import type { Running, Vcpu } from '../vcpu.ts';
import type { NestedSide, Refused } from './side.ts';

/** Where L2's second stage comes from: what mirrors L1's tables, or what L1 has asked for. */
export interface NestedStage {
  /** Before an entry of L2, interrupts on: hardware is to run it on the right root. */
  prepare(cpu: Context, v: Vcpu): Routine<void>;
  /** L2's fault: undefined if it tries again, or what kind of exit it is for L1. */
  fault(cpu: Context, v: Vcpu, fault: Stage2Fault): Routine<Refused | undefined>;
}

/** What all vCPUs of one L1 VM share, wherever L2's second stage comes from. */
export interface NestedVm {
  /** L0's MMU for L1: its lock protects L2's tables too, its backing says what L1 pages are. */
  readonly tdp: TdpMmu;
  /** Which virtualisation extension L1 finds. */
  readonly side: NestedSide;
  readonly stage: NestedStage;
  /** Whether VMREAD and VMWRITE of shadowed fields go without an exit. */
  readonly vmcsShadowing: boolean;
  /** SVM: whether STGI, CLGI, VMLOAD and VMSAVE of L1 go without an exit. */
  readonly virtualGif: boolean;
  readonly vcpus: NestedVcpu[];
}

/** An L1 VM whose tables L0 shadows. */
export interface ShadowedVm extends NestedVm {
  readonly shadow: ShadowMmu;
  /** EPT12 as the shadow mirrors it. */
  readonly tables: GuestTables;
  /** Whether a trapped table store flushes TLBs at once, or leaves that to L1's INVEPT. */
  readonly storeFlush: 'now' | 'lazy';
  /** Word: something was zapped without a flush since the last one; atomic. */
  readonly unflushed: number;
  /** Word: rises when the SP of some EPT12 root ceases to be; atomic. */
  readonly rootGeneration: number;
  /** Where leaf tables may be out of step: held while one is marked so. */
  readonly unsyncLock: Spinlock | undefined;
}

export interface NestedVcpu {
  /** Host frame of the cached copy of VMCS12, or of the snapshot of VMCB12. */
  readonly cached: number;
  /** VMX: host frame of the shadow VMCS. */
  readonly shadowVmcs: number;
  /** What hardware runs L2 with: VMCS02, or VMCB02. */
  readonly vmcs02: number;
  /** L1 page of the control block that is current: VMCS12, or VMCB12. */
  block12: number;
  /** L1 wrote a field outside the shadowed set since the last entry. */
  dirty: boolean;
  /** L1 executed INVEPT: the root is looked up again, and hardware flushes. */
  invalidated: boolean;
  /** The root that L2 runs on (of a shadow: its SP's header), and since when; 0 = none. */
  root: number;
  /** Frame of its table, as it was under the lock. */
  rootTable: number;
  /** L1 page that it belongs to: of the root that is mirrored, or of the control block. */
  rootGfn: number;
  rootGeneration: number;
  /** Runs L2; made when L1 first enters it. */
  running: Running | undefined;
}

export function nestedOf(vm: NestedVm, v: Vcpu): NestedVcpu {
  return vm.vcpus[v.index]!;
}
