/**
 * Supervisor code of a guest on a host that runs none of it: #UD is delivered by software, and the
 * handler is emulated one instruction at a time, from its bytes in the guest's memory, until it
 * returns to the program.
 *
 * Source: what a KVM without VMX and SVM does, as its tracepoints tell (data/traces/kvm/README.md);
 * encodings: Intel SDM vol. 2; exception delivery and IRET: vol. 3, 6.14; TSS: vol. 3, 8.7.
 * Leaves out: every instruction that no handler of the recordings has; segment checks, interrupts.
 */
import { defect } from '../../base/assert.ts';
import { type Access, EXECUTE, READ, SUPERVISOR, USER, WRITE } from '../../machine/format/judge.ts';
import { type GateCall, INVALID_OPCODE } from '../../machine/instruction.ts';
import { FRAME_BYTES } from '../../machine/memory.ts';
import { Unit } from '../../machine/preset/price.ts';
import { completeAct } from '../../machine/world-switch.ts';
import type { Routine } from '../../runtime/act.ts';
import type { Context } from '../../runtime/context.ts';
import { Tracepoint } from '../../runtime/trace.ts';
import type { Vcpu } from '../vcpu.ts';
import { walkGuest } from './guest-walk.ts';
import { switchRoot, syncPageOf } from './roots.ts';
import { type ShadowVm, shadowOf } from './state.ts';

/** RFLAGS as the frame has them: only the bit that is always set. */
const FLAGS = 2;
/** Where the guest has its descriptor tables, its TSS and the stack of the handler. */
export interface SupervisorState {
  readonly idt: number;
  readonly gdt: number;
  readonly tss: number;
  readonly codeSelector: number;
  readonly userCode: number;
  readonly userStack: number;
}

interface Registers {
  rip: number;
  rsp: number;
  rdi: number;
  readonly rdx: number;
}

/** Error codes as software walks have them: what the access is. */
const CODE_WRITE = 2;
const CODE_USER = 4;
const CODE_FETCH = 16;

function codeOf(access: Access, privilege: 0 | 1): number {
  const kind = access === WRITE ? CODE_WRITE : access === EXECUTE ? CODE_FETCH : 0;
  return kind | (privilege === USER ? CODE_USER : 0);
}

/** Host-physical address of a linear one of the guest, by a software walk. */
export function* linearTo(
  cpu: Context,
  v: Vcpu,
  vm: ShadowVm,
  address: number,
  access: Access,
  privilege: 0 | 1,
): Routine<number> {
  const { gfn } = shadowOf(vm, v).root;
  const code = codeOf(access, privilege);
  for (;;) {
    const walk = yield* walkGuest(cpu, vm, gfn, { address, access, privilege, code });
    if (walk === 'changed') continue;
    if ('fault' in walk) return defect('supervisor', `0x${address.toString(16)} is not mapped`);
    const frame = yield* vm.backing.find(cpu, walk.gfn);
    if (frame < 0) return defect('supervisor', `0x${address.toString(16)} is no memory`);
    return frame * FRAME_BYTES + (address % FRAME_BYTES);
  }
}

/** Bytes at a linear address, as many as one instruction has at most and its page holds. */
function* fetchBytes(
  cpu: Context,
  v: Vcpu,
  vm: ShadowVm,
  rip: number,
  access: Access,
  privilege: 0 | 1,
): Routine<number[]> {
  const at = yield* linearTo(cpu, v, vm, rip, access, privilege);
  const words = at - (at % 8);
  const bytes = [...(yield* bytesAt(cpu, vm, words)), ...(yield* bytesAt(cpu, vm, words + 8))];
  return bytes.slice(at % 8, (at % 8) + 8);
}

/** The two halves of a word: it may hold more than a number can. */
function* halvesAt(
  cpu: Context,
  vm: ShadowVm,
  at: number,
): Routine<{ readonly lo: number; readonly hi: number }> {
  return vm.mmu.format.decode(yield cpu.load(at, 'supervisor.word'), 0);
}

function* bytesAt(cpu: Context, vm: ShadowVm, at: number): Routine<number[]> {
  const { lo, hi } = yield* halvesAt(cpu, vm, at);
  return [lo, hi].flatMap((half) => [0, 8, 16, 24].map((shift) => (half >>> shift) & 255));
}

/** Fetches the instruction at `rip` and says that it is emulated. */
export function* fetchInstruction(
  cpu: Context,
  v: Vcpu,
  vm: ShadowVm,
  rip: number,
  privilege: 0 | 1,
): Routine<number[]> {
  const bytes = yield* fetchBytes(cpu, v, vm, rip, EXECUTE, privilege);
  cpu.spend(Unit.instructionEmulated, 1);
  noteInstruction(cpu, rip, bytes, 0);
  return bytes;
}

/** Lengths of the instructions that are known, by the bytes that they begin with. */
const LENGTHS: readonly (readonly [code: string, length: number])[] = [
  ['48 83 04 24', 5],
  ['4c 89 1f', 3],
  ['0f', 3],
  ['ff', 2],
  ['48 cf', 2],
  ['ee', 1],
];

function lengthOf(bytes: readonly number[]): number {
  const code = codeOfBytes(bytes);
  return LENGTHS.find(([begin]) => code.startsWith(begin))?.[1] ?? bytes.length;
}

function codeOfBytes(bytes: readonly number[]): string {
  return bytes.map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
}

function noteInstruction(cpu: Context, rip: number, bytes: readonly number[], failed: 0 | 1): void {
  const half = (from: number): number =>
    bytes.slice(from, from + 4).reduceRight((sum, byte) => sum * 256 + byte, 0);
  cpu.tracepoint(Tracepoint.more, half(0), half(4));
  cpu.tracepoint(Tracepoint.emulateInsn, rip, failed + 2 * lengthOf(bytes));
}

/** A program went through its gate: #UD, the handler, and back with what is in RDI then. */
export function* passGate(
  cpu: Context,
  v: Vcpu,
  vm: ShadowVm,
  state: SupervisorState,
): Routine<void> {
  const { top } = v.own.guest;
  const call = top.act.operand as GateCall;
  // The bytes say whether the instruction is one that the hypervisor answers itself.
  yield* linearTo(cpu, v, vm, call.rip, READ, USER);
  cpu.tracepoint(Tracepoint.injException, INVALID_OPCODE, -1);
  const registers: Registers = { rip: 0, rsp: 0, rdi: call.argument, rdx: call.handler };
  yield* deliver(cpu, v, vm, state, registers);
  while (yield* step(cpu, v, vm, state, registers)) {
    // the next instruction
  }
  completeAct(top, registers.rdi | 0, Math.floor(registers.rdi / 2 ** 32));
}

/** Exception delivery: gate, stack, frame of five words, code segment. */
function* deliver(
  cpu: Context,
  v: Vcpu,
  vm: ShadowVm,
  state: SupervisorState,
  registers: Registers,
): Routine<void> {
  const gate = yield* linearTo(cpu, v, vm, state.idt + 16 * INVALID_OPCODE, READ, SUPERVISOR);
  const { lo, hi } = yield* halvesAt(cpu, vm, gate);
  registers.rip = (lo & 0xffff) + (hi >>> 16) * 0x10000;
  const stack = yield* linearTo(cpu, v, vm, state.tss + 4, READ, SUPERVISOR);
  registers.rsp = (yield* halvesAt(cpu, vm, stack - 4)).hi; // RSP0 lies across two words
  const { rip } = v.own.guest.top.act.operand as GateCall;
  for (const word of [state.userStack + 3, 0, FLAGS, state.userCode + 3, rip]) {
    registers.rsp -= 8;
    const at = yield* linearTo(cpu, v, vm, registers.rsp, WRITE, SUPERVISOR);
    yield cpu.store(at, word, 'supervisor.push');
  }
  yield* linearTo(cpu, v, vm, state.gdt + state.codeSelector, READ, SUPERVISOR);
}

/** One instruction of the handler; false once it has returned to the program. */
function* step(
  cpu: Context,
  v: Vcpu,
  vm: ShadowVm,
  state: SupervisorState,
  registers: Registers,
): Routine<boolean> {
  const bytes = yield* fetchInstruction(cpu, v, vm, registers.rip, SUPERVISOR);
  const code = codeOfBytes(bytes);
  if (code.startsWith('48 83 04 24')) {
    yield* addToStack(cpu, v, vm, registers.rsp, bytes[4]!);
    registers.rip += 5;
  } else if (code.startsWith('ff e2')) registers.rip = registers.rdx;
  else if (code.startsWith('0f 20 df')) {
    registers.rdi = Math.max(shadowOf(vm, v).root.gfn, 0) * FRAME_BYTES;
    registers.rip += 3;
  } else if (code.startsWith('0f 22 df')) {
    yield* moveToCr3(cpu, v, vm, registers.rdi);
    registers.rip += 3;
  } else if (code.startsWith('0f 01 3f')) {
    yield* syncPageOf(cpu, v, vm, Math.floor(registers.rdi / FRAME_BYTES));
    shadowOf(vm, v).needsFlush = true; // this host has no flush of one page of another's space
    registers.rip += 3;
  } else if (code.startsWith('48 cf')) {
    yield* interruptReturn(cpu, v, vm, state, registers, bytes);
    return false;
  } else return defect('supervisor', `no instruction ${code} at 0x${registers.rip.toString(16)}`);
  return true;
}

/** `add qword [rsp], imm8`: a read and a write, each with a walk. */
function* addToStack(
  cpu: Context,
  v: Vcpu,
  vm: ShadowVm,
  rsp: number,
  amount: number,
): Routine<void> {
  yield* linearTo(cpu, v, vm, rsp, READ, SUPERVISOR);
  const at = yield* linearTo(cpu, v, vm, rsp, WRITE, SUPERVISOR);
  yield cpu.add(at, amount, 'supervisor.add');
}

export function* moveToCr3(cpu: Context, v: Vcpu, vm: ShadowVm, value: number): Routine<void> {
  const gfn = Math.floor(value / FRAME_BYTES);
  const { regime } = v.own.guest;
  regime.cr3 = gfn;
  regime.pcid = 0;
  yield* switchRoot(cpu, v, vm, { gfn, pcid: 0 }, false);
}

/**
 * IRETQ is none of the instructions that the emulator knows: it gives up, and the hypervisor reads
 * the bytes once more and returns to the program by itself.
 */
function* interruptReturn(
  cpu: Context,
  v: Vcpu,
  vm: ShadowVm,
  state: SupervisorState,
  registers: Registers,
  bytes: readonly number[],
): Routine<void> {
  noteInstruction(cpu, registers.rip, bytes, 1);
  yield* linearTo(cpu, v, vm, registers.rip, READ, SUPERVISOR);
  yield* linearTo(cpu, v, vm, registers.rsp, READ, SUPERVISOR);
  yield* linearTo(cpu, v, vm, state.gdt + state.userCode, READ, SUPERVISOR);
  yield* linearTo(cpu, v, vm, state.gdt + state.userStack, READ, SUPERVISOR);
}

/** Offset of the I/O map's base in a TSS. */
const IO_MAP_BASE = 0x66;

/** OUT of a program that may use the port by the TSS's bitmap: #GP, and emulation. */
export function* emulateOut(
  cpu: Context,
  v: Vcpu,
  vm: ShadowVm,
  state: SupervisorState,
): Routine<void> {
  const { at: port, operand } = v.own.guest.top.act;
  const rip = operand as number;
  yield* linearTo(cpu, v, vm, rip, READ, USER);
  yield* fetchInstruction(cpu, v, vm, rip, USER);
  yield* linearTo(cpu, v, vm, state.tss + IO_MAP_BASE, READ, SUPERVISOR);
  yield* linearTo(cpu, v, vm, state.tss + Math.floor(port / 8), READ, SUPERVISOR);
}
