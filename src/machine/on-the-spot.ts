/**
 * Acts performed where they are offered: as long as this CPU is the earliest of all and no
 * interrupt is due, the scheduler would perform the act next anyway, and nobody could tell the
 * difference. Words that need no walk have a short way here; everything else is performed as it is
 * for a scheduler, and an act that exits stays offered. Waits and choices are never performed so.
 *
 * Only the timed scheduler opens this way, by `Processor.until`.
 */
import { type Act, Op } from '../runtime/act.ts';
import type { Context, Frame, OnTheSpot } from '../runtime/context.ts';
import { pay } from './cost.ts';
import type { Cpu } from './cpu.ts';
import { READ, WRITE } from './format/judge.ts';
import type { GuestContext } from './guest.ts';
import { Instruction } from './instruction.ts';
import type { Machine } from './machine.ts';
import type { Memory } from './memory.ts';
import { performInstruction, readFieldOf } from './perform-instruction.ts';
import { applyAt, performMemory } from './perform-memory.ts';
import { Charge } from './preset/price.ts';

const { load, and, fence } = Op;
const { vmread } = Instruction;
const { vmcsAccess } = Charge;
const TO_READ = 1 << READ;
const TO_WRITE = 1 << WRITE;
/** Of an address: which word of its frame. */
const IN_FRAME = 0xff8;
const BYTES = 4096;
const PER_BYTE = 1 / BYTES;

/** Reads the word at index `at` of memory for `act`. */
function loadAt(m: Machine, cpu: Cpu, act: Act, at: number): void {
  const { now } = cpu;
  const { word } = act;
  const { words } = m.memory;
  cpu.now = now + m.lines.read(cpu.id, at, now);
  word.lo = words[at]!;
  word.hi = words[at + 1]!;
  word.ok = true;
  retire(cpu, act);
}

/** Changes the word at index `at` of memory as `act` says. */
function modifyAt(m: Machine, cpu: Cpu, act: Act, at: number): void {
  applyAt(m, cpu, act, act.word, at);
  retire(cpu, act);
}

/** VMREAD in root mode. */
function readField(m: Machine, cpu: Cpu, act: Act): void {
  pay(m, cpu, vmcsAccess);
  readFieldOf(m, cpu.block, act.at, act.word);
  act.word.ok = true;
  retire(cpu, act);
}

/** The act is performed; an interrupt that is due by now comes before any further code. */
function retire(cpu: Cpu, act: Act): void {
  cpu.performed++;
  act.isPerformed = true;
  act.goesOn = cpu.interruptAt > cpu.now;
}

/** Any act, as for a scheduler: one that exits, or enters a guest, is left to be yielded. */
function performAny(m: Machine, cpu: Cpu, context: Context, frame: Frame): void {
  const { act } = frame;
  frame.state = 'offered';
  if (act.op <= fence) performMemory(m, cpu, context, frame);
  else performInstruction(m, cpu, context, frame);
  if (wasPerformed(frame)) retire(cpu, act);
  else cpu.performed++;
}

function wasPerformed({ state }: Frame): boolean {
  return state === 'done';
}

export class HostOnTheSpot implements OnTheSpot {
  readonly #m: Machine;
  readonly #memory: Memory;

  constructor(machine: Machine) {
    this.#m = machine;
    this.#memory = machine.memory;
  }

  load(context: Context, act: Act, at: number): boolean {
    const cpu = context.on as Cpu;
    if (!isFirst(cpu) || cpu.latched.length !== 0) return false;
    loadAt(this.#m, cpu, act, this.#memory.indexOf(at));
    return true;
  }

  perform(context: Context, frame: Frame): void {
    const cpu = context.on as Cpu;
    if (!isFirst(cpu) || cpu.latched.length !== 0) return;
    const { act } = frame;
    if (act.op === vmread) readField(this.#m, cpu, act);
    else if (act.op > and) performAny(this.#m, cpu, context, frame);
    else modifyAt(this.#m, cpu, act, this.#memory.place(act.at));
  }
}

export class GuestOnTheSpot implements OnTheSpot {
  readonly #m: Machine;
  readonly #memory: Memory;

  constructor(machine: Machine) {
    this.#m = machine;
    this.#memory = machine.memory;
  }

  load(context: Context, act: Act, at: number): boolean {
    const guest = context as GuestContext;
    const cpu = guest.on as Cpu | undefined; // none while it is prepared before anybody runs
    if (cpu === undefined || !isFirst(cpu) || guest.apic.deliverable !== 0) return false;
    const frame = frameOf(cpu, guest, at, TO_READ);
    if (frame < 0) return false;
    loadAt(this.#m, cpu, act, this.#memory.base(frame) + ((at & IN_FRAME) >> 2));
    return true;
  }

  perform(context: Context, frame: Frame): void {
    const guest = context as GuestContext;
    const cpu = guest.on as Cpu | undefined;
    if (cpu === undefined || !isFirst(cpu) || guest.apic.deliverable !== 0) return;
    const { act } = frame;
    const { op, at } = act;
    const pfn = op > and ? -1 : frameOf(cpu, guest, at, op === load ? TO_READ : TO_WRITE);
    if (pfn < 0) performAny(this.#m, cpu, guest, frame);
    else modifyAt(this.#m, cpu, act, this.#memory.placeFrame(pfn) + ((at & IN_FRAME) >> 2));
  }
}

/** Frame of a guest's word if the TLB has it; -1: there is a walk to make, or an exit. */
function frameOf(cpu: Cpu, guest: GuestContext, at: number, right: number): number {
  const space = cpu.guestPhysicalSpace(guest.regime.tag);
  return cpu.tlb.lookup(space, Math.floor(at * PER_BYTE), right);
}

/** Nobody comes first: no interrupt, no other CPU, not even at the same time. */
function isFirst(cpu: Cpu): boolean {
  return cpu.now < cpu.until && cpu.now < cpu.interruptAt;
}
