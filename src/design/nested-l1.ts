/**
 * L1 as a KVM that runs its guest by emulated VMX or SVM: its vCPU threads, their interrupts, and
 * the axes of how L0 emulates their entries. What resolves L2's memory is the design's business.
 */
import { OwnerCall } from '../abi/owner.ts';
import { answerCalls } from '../hypervisor/flush/request-kick.ts';
import { postVector } from '../hypervisor/interrupt.ts';
import { vcpuThread } from '../hypervisor/run-loop.ts';
import type { ExitTable, Vcpu, Vm } from '../hypervisor/vcpu.ts';
import type { BlockOptions } from '../hypervisor/virt/virt.ts';
import type { GuestContext } from '../machine/guest.ts';
import { VECTOR_CALL, VECTOR_TIMER, vmcall } from '../machine/instruction.ts';
import type { Routine } from '../runtime/act.ts';
import type { GuestVm } from './guest-vm.ts';
import { addVcpus, handled, nothing } from './host.ts';
import type { L1 } from './l1.ts';
import type { Axis } from './system.ts';

export const ENTRY_AXES = {
  vmcs: {
    values: ['shadowed', 'trapped'],
    default: 'shadowed',
    describe: 'VMCS shadowing: whether hot VMREADs and VMWRITEs of L1 go without an exit',
    vendor: 'intel',
  },
  svm: {
    values: ['virtual', 'trapped'],
    default: 'virtual',
    describe: 'vGIF and virtual VMLOAD: STGI, CLGI, VMLOAD and VMSAVE of L1 go without an exit',
    vendor: 'amd',
    alike: { trapped: 'virtual' },
  },
} as const satisfies Readonly<Record<string, Axis>>;

interface L1Thread {
  readonly options: BlockOptions;
  readonly exits: ExitTable;
  /** What a vCPU's thread does before its first entry, and once its guest has ended. */
  readonly begin?: (cpu: GuestContext, v: Vcpu) => Routine<void>;
  readonly end?: (cpu: GuestContext, v: Vcpu) => Routine<void>;
}

/** One thread of L1 for each vCPU of its guest, on L1's vCPU of the same number. */
export function startL1Vcpus(l1: L1, vm: Vm, guest: GuestVm, thread: L1Thread): void {
  addVcpus(vm, guest.contexts, thread.options, thread.exits);
  vm.vcpus.forEach((v, i) => {
    const context = l1.contexts[i]!;
    context.vector = (vector) => handled(context, l1Handler(context, v, vector));
    context.push(l1Thread(context, v, thread));
  });
}

function l1Handler(cpu: GuestContext, v: Vcpu, vector: number): Routine<void> {
  if (vector === VECTOR_CALL) return answerCalls(cpu, v);
  // Its own timer, which it had armed for what it runs; or a kick, whose exit was the point.
  return vector === VECTOR_TIMER ? postVector(cpu, v, VECTOR_TIMER) : nothing();
}

function* l1Thread(cpu: GuestContext, v: Vcpu, { begin, end }: L1Thread): Routine<void> {
  yield* vcpuThread(cpu, v, begin?.(cpu, v) ?? nothing());
  if (end !== undefined) yield* end(cpu, v);
  yield vmcall(cpu, OwnerCall.done, [], 'l1.done');
}
