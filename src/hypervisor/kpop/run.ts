/**
 * L0 runs L2 for L1: faults whose intent is known are filled here, everything else goes back to L1
 * as the result of its RUN, with an exit record in the state page. No VMCS of L1's exists, nothing
 * is merged, and L1 reads the record as plain memory.
 */
import {
  KpopExit,
  PROT_EXECUTE,
  PROT_READ,
  PROT_WRITE,
  RUN_INTERRUPTED,
  StatePage,
  Status,
} from '../../abi/kpop.ts';
import { defect } from '../../base/assert.ts';
import type { GuestContext } from '../../machine/guest.ts';
import { acceptInterrupts } from '../../machine/instruction.ts';
import { FRAME_BYTES } from '../../machine/memory.ts';
import { Unit } from '../../machine/preset/price.ts';
import { completeAct } from '../../machine/world-switch.ts';
import { num, type Routine } from '../../runtime/act.ts';
import type { Context } from '../../runtime/context.ts';
import { Event } from '../../runtime/trace.ts';
import { enterSpace, leaveSpace } from '../mmu/kpop/flush.ts';
import { kpopFill } from '../mmu/kpop/map.ts';
import { ignorePmlFull } from '../pml.ts';
import type { ExitHandler, ExitTable, Running, Vcpu } from '../vcpu.ts';
import { type Answered, answersOf, endRun, prepareAnswered } from './answers.ts';
import type { KpopVcpu, KpopVm } from './vm.ts';

const NEEDED = { read: PROT_READ, write: PROT_WRITE, execute: PROT_EXECUTE } as const;

/** How an L2 vCPU is run on behalf of L1. */
export function runningL2(
  vm: KpopVm,
  guest: GuestContext,
  block: number,
  answered?: Answered,
): Running {
  const space = vm.space;
  return {
    guest,
    block,
    exits: l2Exits(vm, answered),
    prepare: answered === undefined ? undefined : (cpu, v) => prepareAnswered(cpu, v, answered),
    beforeEntry: (cpu, v) => {
      const { posted, apic } = v.own.guest;
      if (posted !== 0) return lookFirst(cpu, v, vm);
      return apic.deliverable === 0 ? enterSpace(cpu, v, space) : interrupted(cpu, v, vm);
    },
    afterExit: (cpu) => leaveSpace(cpu, space),
  };
}

/** Hardware may have posted an interrupt for L1. */
function* lookFirst(cpu: Context, v: Vcpu, vm: KpopVm): Routine<boolean> {
  const { guest } = v.own;
  yield acceptInterrupts(cpu, guest, 'kpop.enter.posted');
  if (guest.apic.deliverable !== 0) return yield* interrupted(cpu, v, vm);
  return yield* enterSpace(cpu, v, vm.space);
}

/** An interrupt for L1 comes before an entry of L2: its RUN ends. */
function* interrupted(cpu: Context, v: Vcpu, vm: KpopVm): Routine<boolean> {
  yield* returnToL1(cpu, v, vm, RUN_INTERRUPTED);
  return true;
}

function l2Exits(vm: KpopVm, answered: Answered | undefined): ExitTable {
  const { exits } = vm.space.platform.virt;
  const told = new Map([
    [exits.cpuid, KpopExit.cpuid],
    [exits.hypercall, KpopExit.hypercall],
    [exits.msrWrite, KpopExit.msrWrite],
    [exits.msrRead, KpopExit.msrRead],
    [exits.halt, KpopExit.halt],
  ]);
  const toL1: ExitHandler = function* reflect(cpu, v): Routine<void> {
    const reason = num(yield v.virt.reason(cpu, v.active.block, 'kpop.return.reason'));
    yield* returnToL1(cpu, v, vm, told.get(reason)!);
  };
  return new Map<number, ExitHandler>([
    [exits.fault, (cpu, v) => violation(cpu, v, vm)],
    [exits.interrupt, afterInterrupt],
    ...(exits.logFull === undefined ? [] : [[exits.logFull, ignorePmlFull] as const]),
    ...[...told.keys()].map((reason) => [reason, toL1] as const),
    ...(answered === undefined ? [] : answersTo(vm, answered, toL1)),
  ]);
}

/** Exits that L0 answers where L1's policy says so. */
function answersTo(
  { space, answering }: KpopVm,
  answered: Answered,
  toL1: ExitHandler,
): (readonly [number, ExitHandler])[] {
  const { exits } = space.platform.virt;
  const { cpuid, msr, halt } = answersOf(answering!, answered, toL1);
  return [
    [exits.cpuid, cpuid],
    [exits.msrRead, msr],
    [exits.msrWrite, msr],
    [exits.halt, halt],
  ];
}

function* afterInterrupt(): Routine<void> {
  // What is pending for L1 is seen before the next entry.
}

function* violation(cpu: Context, v: Vcpu, vm: KpopVm): Routine<void> {
  const { block } = v.active;
  const code = num(yield v.virt.faultCode(cpu, block, 'kpop.violation.why'));
  const gpa = num(yield v.virt.faultAddress(cpu, block, 'kpop.violation.where'));
  const needed = NEEDED[v.virt.accessOf(code)];
  const outcome = yield* kpopFill(cpu, vm.space, Math.floor(gpa / FRAME_BYTES), needed);
  if (outcome === 'ask-owner') yield* returnToL1(cpu, v, vm, KpopExit.fault);
}

/** Ends L1's RUN with an exit record. */
export function* returnToL1(cpu: Context, v: Vcpu, vm: KpopVm, reason: number): Routine<void> {
  const { state, claim, answered } = ofGuest(vm, v.active.guest);
  cpu.write(state + StatePage.exitReason, reason);
  if (reason !== RUN_INTERRUPTED) {
    yield v.virt.recordExit(cpu, v.active.block, state, 'kpop.return.record');
  }
  cpu.spend(Unit.fieldCopied, StatePage.registerCount);
  cpu.writeRun(state + StatePage.registers, v.active.guest.registers);
  if (answered !== undefined) yield endRun(cpu, answered);
  yield cpu.store(claim, 0, 'kpop.return.unclaim');
  v.active = v.own;
  cpu.note(Event.nested, reason, v.own.guest.level);
  completeAct(v.own.guest.top, Status.ok);
}

function ofGuest(vm: KpopVm, guest: GuestContext): KpopVcpu {
  const found = vm.vcpus.find((kv) => kv.guest === guest);
  return found ?? defect('kpop/run', `${guest.name} is no vCPU of this VM`);
}
