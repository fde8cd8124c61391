/**
 * Plain words: accesses without a step, for data that is private to one context or protected by a
 * lock it holds. They take time and move cache lines like any other access.
 *
 * A guest's plain words must lie in resident pages: whoever allocates a page touches it first, with
 * a step, so that a missing translation here, or a store to a write-protected page, is a defect.
 * Reclaim of pages that hold a guest hypervisor's own plain data is therefore left out (its atomic
 * words may fault at any time).
 */
import { defect } from '../base/assert.ts';
import type { Context, PlainMemory } from '../runtime/context.ts';
import type { Processor } from '../runtime/processor.ts';
import { pay } from './cost.ts';
import { type Access, READ, WRITE } from './format/judge.ts';
import type { GuestContext } from './guest.ts';
import { isWithinLine } from './lines.ts';
import type { Machine } from './machine.ts';
import { FRAME_BYTES } from './memory.ts';
import { FIRST_UNIT } from './preset/price.ts';

const PER_BYTE = 1 / FRAME_BYTES;
const FRAME_HALVES = FRAME_BYTES / 4;
/** Of an address: which word of its frame. */
const IN_FRAME = 0xff8;

abstract class Accounting {
  protected readonly m: Machine;

  constructor(machine: Machine) {
    this.m = machine;
  }

  spend(context: Context, unit: number, count: number): void {
    pay(this.m, context.on!, FIRST_UNIT + unit, count);
  }

  note(context: Context, event: number, a: number, b: number): void {
    const { id, now } = context.on!;
    this.m.trace.event(event, id, now, a, b);
  }

  tracepoint(context: Context, kind: number, a: number, b: number): void {
    const { tracepoints } = this.m;
    if (tracepoints === undefined) return;
    const { id, now } = context.on!;
    tracepoints.event(kind, id, now, a, b);
  }
}

export class HostPlainMemory extends Accounting implements PlainMemory {
  read(context: Context, at: number): number {
    return readAt(this.m, context.on!, this.m.memory.indexOf(at));
  }

  write(context: Context, at: number, value: number): void {
    writeAt(this.m, context.on!, this.m.memory.place(at), value);
  }

  readRun(context: Context, at: number, into: Float64Array): void {
    readRunAt(this.m, context.on!, this.m.memory.indexOf(at), into);
  }

  writeRun(context: Context, at: number, from: Float64Array): void {
    writeRunAt(this.m, context.on!, this.m.memory.place(at), from);
  }

  peek(_context: Context, at: number): number {
    return this.m.memory.read(at);
  }
}

export class GuestPlainMemory extends Accounting implements PlainMemory {
  read(context: Context, at: number): number {
    const { m } = this;
    const frame = m.memory.base(this.#frameOf(context, at, READ));
    return readAt(m, context.on!, frame + ((at & IN_FRAME) >> 2));
  }

  write(context: Context, at: number, value: number): void {
    const { m } = this;
    const frame = m.memory.placeFrame(this.#frameOf(context, at, WRITE));
    writeAt(m, context.on!, frame + ((at & IN_FRAME) >> 2), value);
  }

  readRun(context: Context, at: number, into: Float64Array): void {
    const { m } = this;
    const frame = m.memory.base(this.#frameOf(context, at, READ));
    readRunAt(m, context.on!, frame + ((at & IN_FRAME) >> 2), into);
  }

  writeRun(context: Context, at: number, from: Float64Array): void {
    const { m } = this;
    const frame = m.memory.placeFrame(this.#frameOf(context, at, WRITE));
    writeRunAt(m, context.on!, frame + ((at & IN_FRAME) >> 2), from);
  }

  peek(context: Context, at: number): number {
    const pa = this.m.translator.peek(context as GuestContext, at, READ);
    return this.m.memory.read(pa < 0 ? notResident(context, at) : pa);
  }

  #frameOf(context: Context, at: number, access: Access): number {
    const page = Math.floor(at * PER_BYTE);
    const frame = this.m.translator.peekFrame(context as GuestContext, page, access);
    return frame < 0 ? notResident(context, at) : frame;
  }
}

function notResident(context: Context, at: number): never {
  return defect('GuestPlainMemory', `0x${at.toString(16)} of ${context.name} not resident`);
}

/** `at`: index of the word's low half in the memory. */
function readAt(m: Machine, cpu: Processor, at: number): number {
  const { now } = cpu;
  cpu.now = now + m.lines.read(cpu.id, at, now);
  return m.memory.valueAt(at);
}

function readRunAt(m: Machine, cpu: Processor, at: number, into: Float64Array): void {
  const { memory, lines } = m;
  const { id } = cpu;
  let { now } = cpu;
  assertOneFrame(at, into.length);
  for (let i = 0; i < into.length; i++) {
    const index = at + 2 * i;
    now += i > 0 && isWithinLine(index) ? lines.again(id, now) : lines.read(id, index, now);
    into[i] = memory.valueAt(index);
  }
  cpu.now = now;
}

function writeRunAt(m: Machine, cpu: Processor, at: number, from: Float64Array): void {
  const { memory, lines } = m;
  const { id } = cpu;
  let { now } = cpu;
  assertOneFrame(at, from.length);
  for (let i = 0; i < from.length; i++) {
    const index = at + 2 * i;
    now +=
      i > 0 && isWithinLine(index) ? lines.again(id, now) : lines.modify(id, index, now, false);
    memory.setValueAt(index, from[i]!);
  }
  cpu.now = now;
}

/** Words that follow one another for the program do so in memory as far as the frame goes. */
function assertOneFrame(at: number, words: number): void {
  const halves = (at & (FRAME_HALVES - 1)) + 2 * words;
  if (halves > FRAME_HALVES) defect('PlainMemory', 'a run of words leaves its page');
}

function writeAt(m: Machine, cpu: Processor, at: number, value: number): void {
  const { now } = cpu;
  cpu.now = now + m.lines.modify(cpu.id, at, now, false);
  m.memory.setValueAt(at, value);
}
