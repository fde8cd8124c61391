/**
 * Machine instructions. In root mode they execute; in guest mode each either executes on the
 * guest's own state (MOV to CR3, INVLPG), on the shadow VMCS or the virtual APIC where the control
 * block enables that, or is a VM exit whose handler reads the offered act as the operands.
 */
import { defect } from '../base/assert.ts';
import type { Act, Word } from '../runtime/act.ts';
import type { Context, Frame } from '../runtime/context.ts';
import { Outcome } from '../runtime/processor.ts';
import { Event } from '../runtime/trace.ts';
import { pay } from './cost.ts';
import type { Cpu } from './cpu.ts';
import { ExitReason } from './exit.ts';
import { READ, WRITE } from './format/judge.ts';
import type { GuestContext } from './guest.ts';
import {
  type FieldCopy,
  type GateCall,
  GENERAL_PROTECTION,
  INVALID_OPCODE,
  Instruction,
  VECTOR_TIMER,
} from './instruction.ts';
import type { Machine } from './machine.ts';
import { FRAME_BYTES } from './memory.ts';
import { performAccess } from './perform-access.ts';
import { wakeWaiters } from './perform-memory.ts';
import { Charge } from './preset/price.ts';
import { performSvm, performVirtually } from './svm.ts';
import { acceptPosted, performApic, postInterrupt } from './virtual-apic.ts';
import { fieldAt, isShadowed } from './vmcs.ts';
import { enterGuest, exitToHost } from './world-switch.ts';

const { enter, vmread, vmwrite, vmptrld, invept, invvpid, invlpg, loadCr3, sendIpi } = Instruction;
const { cpuid, access, zeroFrame, copyFrame, copyFields, ring, work, systemCall } = Instruction;
const { armTimer, acceptPosted: look } = Instruction;
const { gate, vmrun } = Instruction;
const { advanced } = Outcome;
/** Prices. */
const { vmcsAccess, vmcsLoad, ipiSend, fieldCopied, zeroPage, instruction } = Charge;

export function performInstruction(m: Machine, cpu: Cpu, context: Context, frame: Frame): number {
  if (frame.act.op === ring) return ringBell(m, cpu, frame);
  return context === cpu.host
    ? inRootMode(m, cpu, context, frame)
    : inGuestMode(m, cpu, context as GuestContext, frame);
}

function inRootMode(m: Machine, cpu: Cpu, host: Context, frame: Frame): number {
  const { act, word } = frame;
  word.ok = true;
  switch (act.op) {
    case enter:
      return enterGuest(m, cpu, host, act.operand as GuestContext);
    case vmrun:
      needs(m, 'amd', 'VMRUN');
      cpu.block = act.at;
      return enterGuest(m, cpu, host, act.operand as GuestContext);
    case vmread:
      pay(m, cpu, vmcsAccess);
      readFieldOf(m, cpu.block, act.at, word);
      break;
    case vmwrite:
      pay(m, cpu, vmcsAccess);
      m.memory.setValueAt(m.memory.placeFrame(cpu.block) + 2 * act.at, act.operand as number);
      break;
    case vmptrld:
      needs(m, 'intel', 'VMPTRLD');
      pay(m, cpu, vmcsLoad);
      cpu.block = act.at;
      break;
    case invept:
      needs(m, 'intel', 'INVEPT');
      pay(m, cpu, Charge.invept);
      if (act.lo === 1) cpu.tlb.invept(act.at);
      else cpu.tlb.inveptAll();
      m.trace.event(Event.flush, cpu.id, cpu.now, act.op, act.at);
      break;
    case invvpid:
      pay(m, cpu, Charge.invvpid);
      if (act.lo === 1) cpu.tlb.invvpid(act.at);
      else cpu.tlb.invvpidAll();
      m.trace.event(Event.flush, cpu.id, cpu.now, act.op, act.at);
      break;
    case sendIpi: {
      pay(m, cpu, ipiSend);
      const target = m.cpus[act.at] ?? defect('sendIpi', `no CPU ${act.at}`);
      transmit(m, cpu, target, act.lo, undefined);
      break;
    }
    case zeroFrame:
      zero(m, cpu, act.at);
      break;
    case armTimer:
      pay(m, cpu, Charge.msr);
      cpu.armTimer(act.at === 0 ? 0 : cpu.now + act.at, VECTOR_TIMER);
      break;
    case look:
      acceptPosted(m, act.operand as GuestContext);
      break;
    case copyFields:
      moveFields(m, cpu, act.operand as FieldCopy);
      break;
    case cpuid:
      pay(m, cpu, Charge.cpuid);
      word.lo = act.at;
      word.hi = 0;
      break;
    default:
      if (m.vendor.id === 'amd' && performSvm(m, cpu, frame)) break;
      defect('inRootMode', `instruction ${act.op} (${act.label}) means nothing to a host`);
  }
  frame.state = 'done';
  return advanced;
}

function inGuestMode(m: Machine, cpu: Cpu, guest: GuestContext, frame: Frame): number {
  const { act, word } = frame;
  const { regime } = guest;
  word.ok = true;
  switch (act.op) {
    case access:
      return performAccess(m, cpu, guest, frame);
    case zeroFrame: {
      const pa = m.translator.guestPhysical(cpu, guest, act.at * FRAME_BYTES, WRITE);
      if (pa < 0) return advanced; // it exited
      zero(m, cpu, pa / FRAME_BYTES);
      break;
    }
    case loadCr3:
      if (regime.shadowRoot !== 0) return trap(m, cpu, guest, act);
      pay(m, cpu, Charge.loadCr3);
      regime.cr3 = act.at;
      regime.pcid = act.lo;
      if (act.hi === 1) flushPcid(m, cpu, guest, act);
      break;
    case invlpg:
      if (regime.shadowRoot !== 0) return trap(m, cpu, guest, act);
      pay(m, cpu, Charge.invlpg);
      m.translator.invlpg(cpu, guest, act.at);
      m.trace.event(Event.flush, cpu.id, cpu.now, act.op, regime.vpid);
      break;
    case gate:
      return throughGate(m, cpu, guest, act);
    case work:
      pay(m, cpu, instruction, act.hi);
      break;
    case systemCall:
      pay(m, cpu, Charge.systemCall);
      break;
    case copyFrame:
      if (!copyWithin(m, cpu, guest, act)) return advanced; // it exited
      break;
    case vmread:
    case vmwrite:
      if (regime.shadowVmcs === 0 || !isShadowed(act.at)) return trap(m, cpu, guest, act);
      pay(m, cpu, vmcsAccess);
      if (act.op === vmread) readFieldOf(m, regime.shadowVmcs, act.at, word);
      else m.memory.write(fieldAt(regime.shadowVmcs, act.at), act.operand as number);
      break;
    case sendIpi:
      if (!regime.virtualIpis) return trap(m, cpu, guest, act);
      pay(m, cpu, ipiSend);
      post(m, cpu, guest.siblings[act.at]!, act.lo);
      break;
    default: {
      if (performApic(m, cpu, guest, act)) break;
      const how = performVirtually(m, cpu, guest, frame);
      if (how === 'traps') return trap(m, cpu, guest, act);
      if (how === 'exited') return advanced;
    }
  }
  frame.state = 'done';
  return advanced;
}

function moveFields(m: Machine, cpu: Cpu, copy: FieldCopy): void {
  const each = m.cost.of[vmcsAccess]! + m.cost.of[fieldCopied]!;
  const { length } = copy.fields;
  if (m.ledger !== undefined) {
    m.ledger.charge(cpu.id, cpu.now, vmcsAccess, length);
    m.ledger.charge(cpu.id, cpu.now + length * m.cost.of[vmcsAccess]!, fieldCopied, length);
  }
  cpu.now += length * each;
  const { memory } = m;
  const to = memory.place(fieldAt(copy.to, 0));
  const from = memory.place(fieldAt(copy.from, 0));
  const into = copy.into ?? copy.fields;
  const { words } = memory;
  for (let i = 0; i < copy.fields.length; i++) {
    const source = from + 2 * copy.fields[i]!;
    const target = to + 2 * into[i]!;
    words[target] = words[source]!;
    words[target + 1] = words[source + 1]!;
  }
}

function ringBell(m: Machine, cpu: Cpu, frame: Frame): number {
  const { at } = frame.act;
  m.memory.write(at, m.memory.read(at) + 1);
  const index = m.memory.place(at);
  if (m.waiters.isWatched(index)) wakeWaiters(m, cpu, index);
  frame.state = 'done';
  return advanced;
}

/** The frame's lines are the CPU's own afterwards, as after any store. */
export function zero(m: Machine, cpu: Cpu, pfn: number): void {
  pay(m, cpu, zeroPage);
  m.trace.event(Event.zero, cpu.id, cpu.now, pfn, 0);
  if (!m.memory.isMaterialised(pfn)) return;
  m.memory.zeroFrame(pfn);
  m.lines.own(cpu.id, m.memory.place(pfn * FRAME_BYTES), FRAME_BYTES / 4);
}

/** Copies a page of the guest's memory; false if either page is missing and the guest exited. */
function copyWithin(m: Machine, cpu: Cpu, guest: GuestContext, act: Act): boolean {
  const from = m.translator.guestPhysical(cpu, guest, (act.operand as number) * FRAME_BYTES, READ);
  if (from < 0) return false;
  const to = m.translator.guestPhysical(cpu, guest, act.at * FRAME_BYTES, WRITE);
  if (to < 0) return false;
  pay(m, cpu, Charge.copyPage);
  m.trace.event(Event.copy, cpu.id, cpu.now, to / FRAME_BYTES, FRAME_BYTES);
  m.memory.copyFrame(from / FRAME_BYTES, to / FRAME_BYTES);
  if (m.memory.isMaterialised(to / FRAME_BYTES)) {
    m.lines.own(cpu.id, m.memory.place(to), FRAME_BYTES / 4);
  }
  return true;
}

function flushPcid(m: Machine, cpu: Cpu, guest: GuestContext, act: Act): void {
  cpu.tlb.dropPcid(guest.regime.vpid, guest.regime.pcid);
  m.trace.event(Event.flush, cpu.id, cpu.now, act.op, guest.regime.vpid);
}

/** The instruction is privileged here: it becomes an exit, its act the operands. */
function trap(m: Machine, cpu: Cpu, guest: GuestContext, act: Act): number {
  const reason =
    m.vendor.traps[act.op] ?? defect('trap', `no exit reason for instruction ${act.op}`);
  if (act.op === Instruction.out && guest.deprivileged) {
    exitToHost(m, cpu, { reason: ExitReason.exception, vector: GENERAL_PROTECTION });
    return advanced;
  }
  if (act.op === Instruction.vmcall) {
    guest.registers[0] = act.at;
    (act.operand as readonly number[]).forEach((value, i) => {
      guest.registers[i + 1] = value;
    });
  }
  exitToHost(m, cpu, { reason });
  return advanced;
}

/**
 * A program's way into supervisor code: where that is not run by hardware, #UD exits; where it is,
 * its privileged instruction exits if the hypervisor's tables are what hardware walks.
 *
 * Leaves out: the native handler under EPT (no recording of it is compared).
 */
function throughGate(m: Machine, cpu: Cpu, guest: GuestContext, act: Act): number {
  if (guest.regime.shadowRoot === 0) {
    defect('throughGate', 'a gate of a guest whose own tables are walked');
  }
  if (guest.deprivileged) {
    exitToHost(m, cpu, { reason: ExitReason.exception, vector: INVALID_OPCODE });
    return advanced;
  }
  pay(m, cpu, Charge.exception);
  const { deed } = act.operand as GateCall;
  if (deed === 'read-cr3') {
    const { word } = guest.top;
    const at = guest.regime.cr3 * FRAME_BYTES;
    word.lo = at | 0;
    word.hi = Math.floor(at / 2 ** 32);
    guest.top.state = 'done';
    return advanced;
  }
  exitToHost(m, cpu, { reason: deed === 'invlpg' ? ExitReason.invlpg : ExitReason.crAccess });
  return advanced;
}

/** An instruction that the other vendor's processors do not have is #UD. */
function needs(m: Machine, vendor: Machine['vendor']['id'], instruction: string): void {
  if (m.vendor.id !== vendor)
    defect('inRootMode', `${instruction}: no instruction of this machine`);
}

/** The field of index `field` of the VMCS in frame `vmcs`. */
export function readFieldOf(m: Machine, vmcs: number, field: number, word: Word): void {
  const index = m.memory.base(vmcs) + 2 * field;
  word.lo = m.memory.words[index]!;
  word.hi = m.memory.words[index + 1]!;
}

/** Sends one physical interrupt; `notifies`: the guest whose posted interrupts it announces. */
function transmit(
  m: Machine,
  from: Cpu,
  to: Cpu,
  vector: number,
  notifies: GuestContext | undefined,
): void {
  const at = from.now + m.cost.ipi(from.id, to.id);
  m.ledger?.reach(from.id, from.now, to.id, m.cost.ipiPrice(from.id, to.id));
  m.trace.event(Event.ipi, from.id, from.now, to.id, vector);
  to.arrive({ at, vector, notifies });
  m.wake(to, at);
}

/** IPI virtualisation: a guest's IPI to a sibling, without an exit of the sender. */
function post(m: Machine, from: Cpu, target: GuestContext, vector: number): void {
  postInterrupt(m, from, target, vector, (to) => transmit(m, from, to, vector, target));
}
