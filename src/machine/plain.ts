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
import { type Access, READ, WRITE } from './format/judge.ts';
import type { GuestContext } from './guest.ts';
import type { Machine } from './machine.ts';

abstract class Accounting {
  protected readonly m: Machine;

  constructor(machine: Machine) {
    this.m = machine;
  }

  spend(context: Context, unit: number, count: number): void {
    this.m.cpus[context.cpu]!.now += this.m.cost.software[unit]! * count;
  }

  note(context: Context, event: number, a: number, b: number): void {
    this.m.trace.event(event, context.cpu, this.m.cpus[context.cpu]!.now, a, b);
  }
}

export class HostPlainMemory extends Accounting implements PlainMemory {
  read(context: Context, at: number): number {
    return plainRead(this.m, context.cpu, at);
  }

  write(context: Context, at: number, value: number): void {
    plainWrite(this.m, context.cpu, at, value);
  }

  peek(_context: Context, at: number): number {
    return this.m.memory.read(at);
  }
}

export class GuestPlainMemory extends Accounting implements PlainMemory {
  read(context: Context, at: number): number {
    return plainRead(this.m, context.cpu, this.#resident(context, at, READ));
  }

  write(context: Context, at: number, value: number): void {
    plainWrite(this.m, context.cpu, this.#resident(context, at, WRITE), value);
  }

  peek(context: Context, at: number): number {
    return this.m.memory.read(this.#resident(context, at, READ));
  }

  #resident(context: Context, at: number, access: Access): number {
    const pa = this.m.translator.peek(context as GuestContext, at, access);
    if (pa < 0) defect('GuestPlainMemory', `0x${at.toString(16)} of ${context.name} not resident`);
    return pa;
  }
}

function plainRead(m: Machine, id: number, pa: number): number {
  const cpu = m.cpus[id]!;
  const at = m.memory.indexOf(pa);
  cpu.now += m.lines.read(id, at, cpu.now);
  return m.memory.valueAt(at);
}

function plainWrite(m: Machine, id: number, pa: number, value: number): void {
  const cpu = m.cpus[id]!;
  const at = m.memory.place(pa);
  cpu.now += m.lines.modify(id, at, cpu.now, false);
  m.memory.setValueAt(at, value);
}
