/**
 * What differs between emulating VMX and emulating SVM for a guest hypervisor. Everything that
 * concerns memory (the shadow of L1's tables, its roots, tracked writes) is common.
 */
import type { BootMemory } from '../../alloc/frames.ts';
import type { Routine } from '../../runtime/act.ts';
import type { Context } from '../../runtime/context.ts';
import type { ExitHandler, Vcpu } from '../vcpu.ts';
import type { NestedVcpu, NestedVm } from './state.ts';

/** The guest's tables do not permit an access of L2: L1's business. */
export interface Refused {
  /** An entry was malformed, rather than absent or too narrow. */
  readonly malformed: boolean;
  /** Rights found on the way, as bits 3-5 of an EPT violation's qualification. */
  readonly rights: number;
}

export interface NestedSide {
  /** Prepares the block that hardware runs L2 with: its tag. */
  prepareBlock(boot: BootMemory, vm: NestedVm, v: Vcpu): void;
  /** L1 page of the root of the tables that L1's control block names. */
  rootOf(cpu: Context, nested: NestedVcpu): number;
  /** Hardware is to run L2 on the tables rooted in host frame `table`. */
  useRoot(cpu: Context, nested: NestedVcpu, table: number, levels: number): void;
  /** Delivers an exit of L2 to L1: an interrupt, what the last exit was, a fault that is L1's. */
  reflectInterrupt(cpu: Context, v: Vcpu, vm: NestedVm): Routine<void>;
  reflectInstruction(cpu: Context, v: Vcpu, vm: NestedVm): Routine<void>;
  reflectFault(cpu: Context, v: Vcpu, vm: NestedVm, fault: RefusedFault): Routine<void>;
  /** Handlers of L1's own virtualisation instructions. */
  instructions(vm: NestedVm): readonly (readonly [number, ExitHandler])[];
}

export interface RefusedFault extends Refused {
  /** What hardware said of the fault in the shadow, in the vendor's bits. */
  readonly code: number;
  readonly gpa: number;
}
