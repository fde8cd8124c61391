/**
 * L0 runs L2 for L1: faults whose intent is known are filled here, everything else goes back to L1
 * as the result of its RUN, with an exit record in the state page. No VMCS of L1's exists, nothing
 * is merged, and L1 reads the record as plain memory.
 */
import {
  PROT_EXECUTE,
  PROT_READ,
  PROT_WRITE,
  RUN_INTERRUPTED,
  StatePage,
  Status,
} from '../../abi/kpop.ts';
import { defect } from '../../base/assert.ts';
import { ExitReason } from '../../machine/exit.ts';
import type { GuestContext } from '../../machine/guest.ts';
import { copyFields, vmread } from '../../machine/instruction.ts';
import { FRAME_BYTES } from '../../machine/memory.ts';
import { Unit } from '../../machine/preset/price.ts';
import { Field } from '../../machine/vmcs.ts';
import { completeAct } from '../../machine/world-switch.ts';
import { num, type Routine } from '../../runtime/act.ts';
import type { Context } from '../../runtime/context.ts';
import { Event } from '../../runtime/trace.ts';
import { accessOf } from '../mmu/common.ts';
import { enterSpace, leaveSpace } from '../mmu/kpop/flush.ts';
import { kpopFill } from '../mmu/kpop/map.ts';
import type { ExitHandler, ExitTable, Running, Vcpu } from '../vcpu.ts';
import type { KpopVcpu, KpopVm } from './vm.ts';

/** VMCS fields of the exit record, and the words of the state page that they become. */
const RECORD = [
  Field.exitQualification,
  Field.exitGuestPhysical,
  Field.exitGuestLinear,
  Field.exitInstructionLength,
  Field.guestRip,
];
const RECORD_WORDS = [
  StatePage.exitQualification,
  StatePage.exitGuestPhysical,
  StatePage.exitGuestLinear,
  StatePage.exitInstructionLength,
  StatePage.exitRip,
].map((offset) => offset / 8);

const NEEDED = { read: PROT_READ, write: PROT_WRITE, execute: PROT_EXECUTE } as const;

/** How an L2 vCPU is run on behalf of L1. */
export function runningL2(vm: KpopVm, guest: GuestContext, vmcs: number): Running {
  const space = vm.space;
  return {
    guest,
    vmcs,
    exits: l2Exits(vm),
    prepare: undefined,
    beforeEntry: (cpu, v) =>
      v.own.guest.pending.length === 0 ? enterSpace(cpu, space) : interrupted(cpu, v, vm),
    afterExit: (cpu) => leaveSpace(cpu, space),
  };
}

/** An interrupt for L1 comes before an entry of L2: its RUN ends. */
function* interrupted(cpu: Context, v: Vcpu, vm: KpopVm): Routine<boolean> {
  yield* returnToL1(cpu, v, vm, RUN_INTERRUPTED);
  return true;
}

function l2Exits(vm: KpopVm): ExitTable {
  const toL1: ExitHandler = function* reflect(cpu, v): Routine<void> {
    yield* returnToL1(cpu, v, vm, num(yield vmread(cpu, Field.exitReason, 'kpop.return.reason')));
  };
  return new Map<number, ExitHandler>([
    [ExitReason.eptViolation, (cpu, v) => violation(cpu, v, vm)],
    [ExitReason.externalInterrupt, afterInterrupt],
    [ExitReason.cpuid, toL1],
    [ExitReason.vmcall, toL1],
    [ExitReason.msrWrite, toL1],
  ]);
}

function* afterInterrupt(): Routine<void> {
  // What is pending for L1 is seen before the next entry.
}

function* violation(cpu: Context, v: Vcpu, vm: KpopVm): Routine<void> {
  const qualification = num(yield vmread(cpu, Field.exitQualification, 'kpop.violation.why'));
  const gpa = num(yield vmread(cpu, Field.exitGuestPhysical, 'kpop.violation.where'));
  const needed = NEEDED[accessOf(qualification)];
  const outcome = yield* kpopFill(cpu, vm.space, Math.floor(gpa / 4096), needed);
  if (outcome === 'ask-owner') yield* returnToL1(cpu, v, vm, ExitReason.eptViolation);
}

/** Ends L1's RUN with an exit record. */
export function* returnToL1(cpu: Context, v: Vcpu, vm: KpopVm, reason: number): Routine<void> {
  const { state, claim } = ofGuest(vm, v.active.guest);
  cpu.write(state + StatePage.exitReason, reason);
  if (reason !== RUN_INTERRUPTED) {
    const record = {
      fields: RECORD,
      into: RECORD_WORDS,
      from: v.active.vmcs,
      to: state / FRAME_BYTES,
    };
    yield copyFields(cpu, record, 'kpop.return.record');
  }
  cpu.spend(Unit.fieldCopied, StatePage.registerCount);
  cpu.writeRun(state + StatePage.registers, v.active.guest.registers);
  yield cpu.store(claim, 0, 'kpop.return.unclaim');
  v.active = v.own;
  cpu.note(Event.nested, reason, v.own.guest.level);
  completeAct(v.own.guest.top, Status.ok);
}

function ofGuest(vm: KpopVm, guest: GuestContext): KpopVcpu {
  const found = vm.vcpus.find((kv) => kv.guest === guest);
  return found ?? defect('kpop/run', `${guest.name} is no vCPU of this VM`);
}
