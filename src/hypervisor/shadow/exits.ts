/**
 * Exits of a guest whose tables are shadowed: every page fault, every load of CR3, every INVLPG;
 * and where the host runs no supervisor code, the gates of its programs.
 *
 * Source: arch/x86/kvm/vmx/vmx.c without EPT; arch/x86/kvm/mmu/mmu.c, kvm_mmu_page_fault (facts).
 */
import { defect } from '../../base/assert.ts';
import { ExitReason } from '../../machine/exit.ts';
import { EXECUTE, READ, SUPERVISOR, USER, WRITE } from '../../machine/format/judge.ts';
import {
  type GateCall,
  GENERAL_PROTECTION,
  INVALID_OPCODE,
  Instruction,
  PAGE_FAULT,
  vmread,
  vmwrite,
} from '../../machine/instruction.ts';
import { FRAME_BYTES } from '../../machine/memory.ts';
import { Unit } from '../../machine/preset/price.ts';
import { Field } from '../../machine/vmcs.ts';
import { completeAct } from '../../machine/world-switch.ts';
import { num, type Routine } from '../../runtime/act.ts';
import type { Context } from '../../runtime/context.ts';
import { Event, Tracepoint } from '../../runtime/trace.ts';
import { writeLock, writeUnlock } from '../../sync/rwlock.ts';
import { advance, retire } from '../emulate.ts';
import { nothingZapped, zapPage } from '../mmu/shadow/zap-page.ts';
import type { ExitHandler, Vcpu } from '../vcpu.ts';
import { shadowFault } from './fault.ts';
import type { Wanted } from './guest-walk.ts';
import { switchRoot, syncPageOf } from './roots.ts';
import { type ShadowVm, shadowOf } from './state.ts';
import {
  emulateOut,
  fetchInstruction,
  linearTo,
  passGate,
  type SupervisorState,
} from './supervisor.ts';
import { commitZap, trackedStore } from './write.ts';

/** Bits of a page-fault error code. */
const CODE_WRITE = 2;
const CODE_USER = 4;
const CODE_FETCH = 16;
/** The reason that user space sees: port I/O. */
const EXIT_IO = 2;
/** Decoding an instruction's operands from the exit's information, in controls checked. */
const DECODE_CHECKS = 8;

/** User space of the host, which a guest reaches by OUT. */
export type UserSpace = (cpu: Context, v: Vcpu, port: number, value: number) => Routine<void>;

export interface ShadowExits {
  readonly vm: ShadowVm;
  /** Where supervisor code of the guest is emulated, what it needs. */
  readonly supervisor: SupervisorState | undefined;
  readonly userSpace: UserSpace | undefined;
}

/** Handlers by exit reason, beside those that any owner has. */
export function shadowExits(exits: ShadowExits): readonly (readonly [number, ExitHandler])[] {
  const { vm } = exits;
  return [
    [ExitReason.exception, (cpu, v) => exception(cpu, v, exits)],
    [ExitReason.crAccess, (cpu, v) => loadCr3(cpu, v, vm)],
    [ExitReason.invlpg, (cpu, v) => invalidatePage(cpu, v, vm)],
    [ExitReason.io, (cpu, v) => writePort(cpu, v, exits)],
  ];
}

function* exception(cpu: Context, v: Vcpu, exits: ShadowExits): Routine<void> {
  const vector = num(yield vmread(cpu, Field.exitInterruption, 'shadow.exception.which'));
  const { vm, supervisor } = exits;
  if (vector === PAGE_FAULT) return yield* pageFault(cpu, v, vm);
  if (supervisor === undefined) defect('shadow', `vector ${vector} of a guest that has hardware`);
  if (vector === INVALID_OPCODE) return yield* passGate(cpu, v, vm, supervisor);
  if (vector !== GENERAL_PROTECTION) defect('shadow', `no handler for vector ${vector}`);
  yield* emulateOut(cpu, v, vm, supervisor);
  yield* toUserSpace(cpu, v, exits);
}

function* pageFault(cpu: Context, v: Vcpu, vm: ShadowVm): Routine<void> {
  const address = num(yield vmread(cpu, Field.exitQualification, 'shadow.fault.where'));
  const code = num(yield vmread(cpu, Field.exitInterruptionError, 'shadow.fault.why'));
  const access = (code & CODE_WRITE) !== 0 ? WRITE : (code & CODE_FETCH) !== 0 ? EXECUTE : READ;
  const privilege = (code & CODE_USER) !== 0 ? USER : SUPERVISOR;
  const want: Wanted = { address, access, privilege, code };
  const fault = yield* shadowFault(cpu, v, vm, want);
  if (fault.kind === 'guest') yield* inject(cpu, v, fault.code);
  else if (fault.kind === 'emulate') yield* emulateStore(cpu, v, vm, want, fault.gfn);
  else if (fault.kind === 'absent') defect('shadow', `0x${address.toString(16)}: no memory there`);
}

/** The guest's own business: its handler runs after the next entry. */
function* inject(cpu: Context, v: Vcpu, code: number): Routine<void> {
  const { guest } = v.own;
  if (guest.top.act.op !== Instruction.access) {
    defect('shadow', `${guest.name} faults in code of its kernel`);
  }
  cpu.tracepoint(Tracepoint.injException, PAGE_FAULT, code);
  yield vmwrite(cpu, Field.entryInterruption, PAGE_FAULT, 'shadow.inject');
  guest.access.faulted = true;
  completeAct(guest.top, code, 0, false);
}

/** A write to a table that the guest may not write to by itself. */
function* emulateStore(
  cpu: Context,
  v: Vcpu,
  vm: ShadowVm,
  want: Wanted,
  gfn: number,
): Routine<void> {
  const { guest } = v.own;
  const { op } = guest.top.act;
  if (op === Instruction.access || op === Instruction.copyFrame) {
    return yield* unprotect(cpu, vm, gfn);
  }
  cpu.spend(Unit.instructionEmulated, 1);
  if (guest.rip !== undefined) {
    yield* fetchInstruction(cpu, v, vm, guest.rip, want.privilege);
    yield* linearTo(cpu, v, vm, want.address, WRITE, want.privilege);
  }
  yield* vm.mmu.topUp(cpu);
  const isDone = yield* trackedStore(cpu, v, vm, gfn * FRAME_BYTES + (want.address % FRAME_BYTES));
  if (isDone) yield* advance(cpu, v);
}

/** Data is written to what was a table once: nothing that writes tables, so it is none any more. */
function* unprotect(cpu: Context, vm: ShadowVm, gfn: number): Routine<void> {
  const zapped = nothingZapped();
  yield* writeLock(cpu, vm.lock, 'shadow.unprotect.lock');
  for (const page of yield* vm.mmu.pagesOf(cpu, gfn)) {
    if (!vm.mmu.isObsolete(cpu, page)) yield* zapPage(cpu, vm.mmu, page, zapped);
  }
  yield* commitZap(cpu, vm, zapped, false);
  yield* writeUnlock(cpu, vm.lock, 'shadow.unprotect.unlock');
  for (const frame of zapped.frames) vm.mmu.platform.frames.give(cpu, frame);
}

function* loadCr3(cpu: Context, v: Vcpu, vm: ShadowVm): Routine<void> {
  const { guest } = v.own;
  const { act } = guest.top;
  cpu.spend(Unit.controlChecked, DECODE_CHECKS);
  const isGate = act.op === Instruction.gate;
  const cr3 = isGate
    ? { gfn: Math.floor((act.operand as GateCall).argument / FRAME_BYTES), pcid: 0 }
    : { gfn: act.at === 0 ? -1 : act.at, pcid: act.lo };
  const keep = !isGate && act.hi === 0;
  guest.regime.cr3 = Math.max(cr3.gfn, 0);
  guest.regime.pcid = cr3.pcid;
  yield* switchRoot(cpu, v, vm, cr3, keep);
  yield* retire(cpu, v, 0);
}

function* invalidatePage(cpu: Context, v: Vcpu, vm: ShadowVm): Routine<void> {
  const { act } = v.own.guest.top;
  const isGate = act.op === Instruction.gate;
  const page = isGate ? Math.floor((act.operand as GateCall).argument / FRAME_BYTES) : act.at;
  cpu.spend(Unit.controlChecked, DECODE_CHECKS);
  yield* vm.mmu.topUp(cpu);
  yield* syncPageOf(cpu, v, vm, page);
  shadowOf(vm, v).needsFlush = true; // INVVPID of one address is left out: of the whole tag
  yield* retire(cpu, v, 0);
}

function* writePort(cpu: Context, v: Vcpu, exits: ShadowExits): Routine<void> {
  cpu.spend(Unit.controlChecked, DECODE_CHECKS);
  yield* advance(cpu, v);
  yield* toUserSpace(cpu, v, exits);
}

function* toUserSpace(cpu: Context, v: Vcpu, { userSpace }: ShadowExits): Routine<void> {
  const { act } = v.own.guest.top;
  const { at: port, lo: value } = act;
  cpu.tracepoint(Tracepoint.pio, port, value);
  cpu.tracepoint(Tracepoint.userspaceExit, EXIT_IO, 0);
  cpu.note(Event.userspace, EXIT_IO, 0);
  completeAct(v.own.guest.top, 0);
  if (userSpace !== undefined) yield* userSpace(cpu, v, port, value);
}
