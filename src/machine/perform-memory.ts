/**
 * Memory acts: loads, stores and locked operations on 64-bit words, fences, waits. In guest mode
 * the address is guest-physical and is translated by the second stage first; if that fails, the act
 * stays offered and the guest exits: the answer is always "again".
 */
import { type Act, Op, type Word } from '../runtime/act.ts';
import type { Context, Frame } from '../runtime/context.ts';
import { Outcome } from '../runtime/processor.ts';
import type { Cpu } from './cpu.ts';
import { type Access, READ, WRITE } from './format/judge.ts';
import type { GuestContext } from './guest.ts';
import type { Machine } from './machine.ts';

export function performMemory(m: Machine, cpu: Cpu, context: Context, frame: Frame): number {
  const { act, word } = frame;
  if (act.op === Op.fence) {
    cpu.now += m.cost.hardware.fence;
    frame.state = 'done';
    return Outcome.advanced;
  }
  if (act.op === Op.wait) return performWait(m, cpu, context, frame);
  if (act.op === Op.choose) {
    word.lo = 0; // the timed scheduler has no choices to make: the first alternative
    word.hi = 0;
    frame.state = 'done';
    return Outcome.advanced;
  }
  let pa = act.at;
  if (context !== cpu.host) {
    const kind: Access = act.op === Op.load ? READ : WRITE;
    pa = m.translator.guestPhysical(cpu, context as GuestContext, act.at, kind);
    if (pa < 0) return Outcome.advanced; // it exited
  }
  applyToWord(m, cpu, act, word, pa);
  frame.state = 'done';
  return Outcome.advanced;
}

/** Performs a word act at a host-physical address; also how L0 emulates a guest's trapped store. */
export function applyToWord(m: Machine, cpu: Cpu, act: Act, word: Word, pa: number): void {
  if (act.op === Op.load) {
    const at = m.memory.indexOf(pa);
    cpu.now += m.lines.read(cpu.id, at, cpu.now);
    word.lo = m.memory.words[at]!;
    word.hi = m.memory.words[at + 1]!;
    word.ok = true;
    return;
  }
  const at = m.memory.place(pa);
  const locked = act.op !== Op.store && act.op !== Op.storeLow;
  cpu.now += m.lines.modify(cpu.id, at, cpu.now, locked);
  modifyWord(m.memory.words, at, act, word);
  if (m.waiters.isWatched(at)) wakeWaiters(m, cpu, at);
}

function modifyWord(words: Int32Array, at: number, act: Act, word: Word): void {
  word.ok = true;
  if (act.op === Op.store || act.op === Op.storeLow) {
    word.lo = 0; // a store does not look at what was there
    word.hi = 0;
    words[at] = act.lo;
    if (act.op === Op.store) words[at + 1] = act.hi;
    return;
  }
  const lo = words[at]!;
  const hi = words[at + 1]!;
  word.lo = lo;
  word.hi = hi;
  switch (act.op) {
    case Op.cas:
      word.ok = lo === act.seenLo && hi === act.seenHi;
      if (!word.ok) return;
      words[at] = act.lo;
      words[at + 1] = act.hi;
      return;
    case Op.add: {
      const sum = (lo >>> 0) + (act.lo >>> 0);
      words[at] = sum | 0;
      words[at + 1] = (hi + act.hi + (sum > 0xffffffff ? 1 : 0)) | 0;
      return;
    }
    case Op.or:
      words[at] = lo | act.lo;
      words[at + 1] = hi | act.hi;
      return;
    case Op.and:
      words[at] = lo & act.lo;
      words[at + 1] = hi & act.hi;
      return;
    default: // exchange
      words[at] = act.lo;
      words[at + 1] = act.hi;
  }
}

/** Those whose predicate holds now re-read the line after it has moved to them. */
export function wakeWaiters(m: Machine, cpu: Cpu, at: number): void {
  for (const waiter of m.waiters.freedBy(at)) {
    m.wake(waiter, cpu.now + m.cost.transfer(cpu.id, waiter.id));
  }
}

function performWait(m: Machine, cpu: Cpu, context: Context, frame: Frame): number {
  const { act } = frame;
  m.waiters.remove(cpu);
  const indices = act.watch.map((at) => {
    const pa = context === cpu.host ? at : m.translator.peek(context as GuestContext, at);
    return m.memory.place(pa);
  });
  for (const index of indices) cpu.now += m.lines.read(cpu.id, index, cpu.now);
  if (act.ready!()) {
    frame.state = 'done';
    return Outcome.advanced;
  }
  m.waiters.add(cpu, indices, act.ready!);
  return Outcome.blocked;
}
