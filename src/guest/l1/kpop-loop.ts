/**
 * The run loop of a KPOP guest hypervisor: RUN, look at the exit record in the state page, handle,
 * again. What the record says is plain memory of L1.
 */
import {
  DIRTY_INJECT,
  DIRTY_RIP,
  INJECT_LIMIT,
  KpopCall,
  KpopExit,
  packVectors,
  RUN_INTERRUPTED,
  RUN_REFUSED,
  StatePage,
} from '../../abi/kpop.ts';
import { OwnerCall } from '../../abi/owner.ts';
import { defect } from '../../base/assert.ts';
import { answerCall, type Owner } from '../../hypervisor/owner.ts';
import type { GuestContext } from '../../machine/guest.ts';
import {
  armTimer,
  endInterrupt,
  halt,
  Instruction,
  sendIpi,
  VECTOR_KICK,
  VECTOR_TIMER,
  vmcall,
  work,
} from '../../machine/instruction.ts';
import { FRAME_BYTES } from '../../machine/memory.ts';
import { Unit } from '../../machine/preset/price.ts';
import { vectorBit, vectorsOf } from '../../machine/virtual-apic.ts';
import { completeAct } from '../../machine/world-switch.ts';
import type { Routine } from '../../runtime/act.ts';
import type { KpopGuest } from './kpop.ts';
import { publishPolicy } from './kpop-policy.ts';

/** Body of an L1 vCPU that runs one L2 vCPU. */
export function* kpopVcpuThread(
  cpu: GuestContext,
  l1: KpopGuest,
  owner: Owner,
  l2: GuestContext,
): Routine<void> {
  const state = l1.statePage(cpu.seat);
  const inbox: number[] = [];
  cpu.vector = (vector) => takeInterrupt(cpu, state, inbox, vector);
  const thread = { l1, owner, l2, state, inbox };
  if (l1.policyPage !== 0 && cpu.seat === 0) yield* publishPolicy(cpu, l1.policyPage, 1);
  while (!l2.finished) {
    cpu.rest(0, 0); // what is pending is the thread's, not the loop's
    cpu.masked = true; // an interrupt from here on ends the RUN
    if (inbox.length > 0) inject(cpu, state, inbox);
    yield vmcall(cpu, KpopCall.run, [cpu.seat], 'l1.run');
    cpu.masked = false;
    cpu.spend(Unit.exitDispatch, 1);
    const statuses = l1.fusedStatuses(cpu);
    if (statuses !== undefined) yield* l1.settle(cpu, statuses);
    const reason = cpu.read(state + StatePage.exitReason);
    if (reason === KpopExit.fault) {
      const gpa = cpu.read(state + StatePage.exitGuestPhysical);
      yield cpu.call(l1.fault(cpu, Math.floor(gpa / FRAME_BYTES)));
    } else {
      yield* handle(cpu, thread, reason);
    }
  }
  yield vmcall(cpu, OwnerCall.done, [], 'l1.done');
}

/** What the thread of one L1 vCPU knows; private to it. */
interface Thread {
  readonly l1: KpopGuest;
  readonly owner: Owner;
  readonly l2: GuestContext;
  readonly state: number;
  /** Virtual interrupts that L2 gets with the next RUN. */
  readonly inbox: number[];
}

/** An interrupt of L1's CPU: its own timer, or a kick by a CPU that posted something for L2. */
function* takeInterrupt(
  cpu: GuestContext,
  state: number,
  inbox: number[],
  vector: number,
): Routine<void> {
  if (vector === VECTOR_TIMER)
    inbox.push(VECTOR_TIMER); // armed for L2 only
  else inbox.push(...vectorsOf(yield cpu.exchange(state + StatePage.vectors, 0, 'l1.accept')));
  if (cpu.apic.signalsEnd) yield endInterrupt(cpu, 'l1.interrupt.end');
}

/** Hands L2's virtual interrupts to L0, with the next RUN. */
function inject(cpu: GuestContext, state: number, inbox: number[]): void {
  const dirty = cpu.read(state + StatePage.dirty);
  if ((dirty & DIRTY_INJECT) !== 0) return; // a RUN was refused before it took the last ones
  cpu.write(state + StatePage.inject, packVectors(inbox.splice(0, INJECT_LIMIT)));
  cpu.write(state + StatePage.dirty, dirty | DIRTY_INJECT);
}

/** Whatever ended a RUN, but a fault. */
function* handle(cpu: GuestContext, thread: Thread, reason: number): Routine<void> {
  const { owner, l2, state } = thread;
  switch (reason) {
    case RUN_INTERRUPTED:
      yield work(cpu, 1, 'l1.interrupted'); // interrupts are taken here
      return;
    case RUN_REFUSED:
      return; // L2 will fault again
    case KpopExit.cpuid:
      cpu.spend(Unit.listElement, 8);
      cpu.spend(Unit.fieldCopied, 4);
      return retire(cpu, l2, state, l2.top.act.at + 0x100);
    case KpopExit.hypercall:
      if (yield* answerCall(cpu, owner, l2)) retire(cpu, l2, state, 0);
      return;
    case KpopExit.msrWrite:
    case KpopExit.msrRead:
      return yield* emulateMsr(cpu, thread);
    case KpopExit.halt:
      retire(cpu, l2, state, 0);
      return yield* idle(cpu, thread.inbox);
    default:
      defect('kpopVcpuThread', `no handler for exit ${reason}`);
  }
}

/** L2's access to an MSR: its interrupt command register, timer, end of interrupt, or another. */
function* emulateMsr(cpu: GuestContext, { l1, l2, state, inbox }: Thread): Routine<void> {
  const { op, at, lo } = l2.top.act;
  switch (op) {
    case Instruction.sendIpi:
      if (at === cpu.seat) inbox.push(lo);
      else {
        yield cpu.or(l1.statePage(at) + StatePage.vectors, vectorBit(lo), 'l1.post');
        yield sendIpi(cpu, at, VECTOR_KICK, 'l1.ipi'); // it takes what was posted when it may
      }
      break;
    case Instruction.armTimer:
      yield armTimer(cpu, at, 'l1.timer');
      break;
    case Instruction.endInterrupt:
      l2.apic.end();
      break;
    default:
      cpu.spend(Unit.fieldCopied, 1);
  }
  retire(cpu, l2, state, 0);
}

/** L2 waits for an interrupt, and so does L1's CPU. */
function* idle(cpu: GuestContext, inbox: readonly number[]): Routine<void> {
  while (inbox.length === 0) {
    cpu.masked = true; // what comes after the look ends the HLT
    yield halt(cpu, 'l1.halt');
    cpu.masked = false;
    yield work(cpu, 1, 'l1.woken'); // interrupts are taken here
  }
}

/** Retires L2's instruction: registers and instruction pointer are in the state page. */
function retire(cpu: GuestContext, l2: GuestContext, state: number, value: number): void {
  const length = cpu.read(state + StatePage.exitInstructionLength);
  cpu.write(state + StatePage.exitRip, cpu.read(state + StatePage.exitRip) + length);
  cpu.write(state + StatePage.dirty, DIRTY_RIP);
  cpu.spend(Unit.fieldCopied, 2);
  completeAct(l2.top, value);
}
