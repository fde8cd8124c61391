/**
 * The run loop of a KPOP guest hypervisor: RUN, look at the exit record in the state page, handle,
 * again. What the record says is plain memory of L1.
 */
import { KpopCall, KpopExit, RUN_INTERRUPTED, RUN_REFUSED, StatePage } from '../../abi/kpop.ts';
import { OwnerCall } from '../../abi/owner.ts';
import { defect } from '../../base/assert.ts';
import { answerCall, type Owner } from '../../hypervisor/owner.ts';
import type { GuestContext } from '../../machine/guest.ts';
import { sendIpi, VECTOR_KICK, vmcall } from '../../machine/instruction.ts';
import { Unit } from '../../machine/preset/price.ts';
import { completeAct } from '../../machine/world-switch.ts';
import type { Routine } from '../../runtime/act.ts';
import type { KpopGuest } from './kpop.ts';

/** Body of an L1 vCPU that runs one L2 vCPU. */
export function* kpopVcpuThread(
  cpu: GuestContext,
  l1: KpopGuest,
  owner: Owner,
  l2: GuestContext,
): Routine<void> {
  const state = l1.statePage(cpu.seat);
  while (!l2.finished) {
    cpu.rest(0, 0); // what is pending is the thread's, not the loop's
    yield vmcall(cpu, KpopCall.run, [cpu.seat], 'l1.run');
    cpu.spend(Unit.exitDispatch, 1);
    const statuses = l1.fusedStatuses(cpu);
    if (statuses !== undefined) yield* l1.settle(cpu, statuses);
    const reason = cpu.read(state + StatePage.exitReason);
    if (reason === KpopExit.fault) {
      const gpa = cpu.read(state + StatePage.exitGuestPhysical);
      yield cpu.call(l1.fault(cpu, Math.floor(gpa / 4096)));
    } else {
      yield* handle(cpu, owner, l2, state, reason);
    }
  }
  yield vmcall(cpu, OwnerCall.done, [], 'l1.done');
}

/** Whatever ended a RUN, but a fault. */
function* handle(
  cpu: GuestContext,
  owner: Owner,
  l2: GuestContext,
  state: number,
  reason: number,
): Routine<void> {
  switch (reason) {
    case RUN_INTERRUPTED:
    case RUN_REFUSED:
      return; // interrupts were taken on the way here; a refused MAP will fault again
    case KpopExit.cpuid:
      cpu.spend(Unit.listElement, 8);
      cpu.spend(Unit.fieldCopied, 4);
      return retire(cpu, l2, state, l2.top.act.at + 0x100);
    case KpopExit.hypercall:
      if (yield* answerCall(cpu, owner, l2)) retire(cpu, l2, state, 0);
      return;
    case KpopExit.msrWrite:
      return yield* sendIpiOf(cpu, l2, state);
    default:
      defect('kpopVcpuThread', `no handler for exit ${reason}`);
  }
}

/**
 * L2's ICR write: post the vector in the sibling's virtual APIC, and interrupt the L1 CPU it is
 * on.
 */
function* sendIpiOf(cpu: GuestContext, l2: GuestContext, state: number): Routine<void> {
  const { act } = l2.top;
  l2.siblings[act.at]!.post(act.lo);
  if (act.at !== cpu.seat) yield sendIpi(cpu, act.at, VECTOR_KICK, 'l1.ipi');
  retire(cpu, l2, state, 0);
}

/** Retires L2's instruction: registers and instruction pointer are in the state page. */
function retire(cpu: GuestContext, l2: GuestContext, state: number, value: number): void {
  const length = cpu.read(state + StatePage.exitInstructionLength);
  cpu.write(state + StatePage.exitRip, cpu.read(state + StatePage.exitRip) + length);
  cpu.write(state + StatePage.dirty, 1);
  cpu.spend(Unit.fieldCopied, 2);
  completeAct(l2.top, value);
}
