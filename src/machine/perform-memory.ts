/**
 * Memory acts: loads, stores and locked operations on 64-bit words, fences, waits. In guest mode
 * the address is guest-physical and is translated by the second stage first; if that fails, the act
 * stays offered and the guest exits: the answer is always "again".
 */
import { type Act, Op, type Word } from '../runtime/act.ts';
import type { Context, Frame } from '../runtime/context.ts';
import { Outcome } from '../runtime/processor.ts';
import { pay } from './cost.ts';
import type { Cpu } from './cpu.ts';
import { type Access, READ, WRITE } from './format/judge.ts';
import type { GuestContext } from './guest.ts';
import type { Machine } from './machine.ts';
import { Charge } from './preset/price.ts';

const { load, store, storeLow, cas, add, or, and, fence, wait } = Op;
const { advanced, blocked } = Outcome;

export function performMemory(m: Machine, cpu: Cpu, context: Context, frame: Frame): number {
  const { act } = frame;
  const { op } = act;
  if (op > and) return performOther(m, cpu, context, frame);
  let pa = act.at;
  if (context !== cpu.host) {
    const kind: Access = op === load ? READ : WRITE;
    pa = m.translator.guestPhysical(cpu, context as GuestContext, pa, kind);
    if (pa < 0) return advanced; // it exited
  }
  applyToWord(m, cpu, act, frame.word, pa);
  frame.state = 'done';
  return advanced;
}

/** Acts that touch no word: a fence, a wait, a choice. */
function performOther(m: Machine, cpu: Cpu, context: Context, frame: Frame): number {
  const { act, word } = frame;
  if (act.op === wait) return performWait(m, cpu, context, frame);
  if (act.op === fence) {
    pay(m, cpu, Charge.fence);
  } else {
    word.lo = 0; // the timed scheduler has no choices to make: the first alternative
    word.hi = 0;
  }
  frame.state = 'done';
  return advanced;
}

/** Performs a word act at a host-physical address; also how L0 emulates a guest's trapped store. */
export function applyToWord(m: Machine, cpu: Cpu, act: Act, word: Word, pa: number): void {
  const { memory } = m;
  if (act.op === load) {
    const { now } = cpu;
    const at = memory.indexOf(pa);
    cpu.now = now + m.lines.read(cpu.id, at, now);
    word.lo = memory.words[at]!;
    word.hi = memory.words[at + 1]!;
    word.ok = true;
    return;
  }
  applyAt(m, cpu, act, word, memory.place(pa));
}

/** Performs a word act other than a load on the word at index `at` of memory. */
export function applyAt(m: Machine, cpu: Cpu, act: Act, word: Word, at: number): void {
  const { op } = act;
  const { now } = cpu;
  cpu.now = now + m.lines.modify(cpu.id, at, now, op !== store && op !== storeLow);
  modifyWord(m.memory.words, at, act, word);
  if (m.waiters.isWatched(at)) wakeWaiters(m, cpu, at);
}

function modifyWord(words: Int32Array, at: number, act: Act, word: Word): void {
  word.ok = true;
  if (act.op === store || act.op === storeLow) {
    word.lo = 0; // a store does not look at what was there
    word.hi = 0;
    words[at] = act.lo;
    if (act.op === store) words[at + 1] = act.hi;
    return;
  }
  const lo = words[at]!;
  const hi = words[at + 1]!;
  word.lo = lo;
  word.hi = hi;
  switch (act.op) {
    case cas:
      word.ok = lo === act.seenLo && hi === act.seenHi;
      if (!word.ok) return;
      words[at] = act.lo;
      words[at + 1] = act.hi;
      return;
    case add: {
      const sum = (lo >>> 0) + (act.lo >>> 0);
      words[at] = sum | 0;
      words[at + 1] = (hi + act.hi + (sum > 0xffffffff ? 1 : 0)) | 0;
      return;
    }
    case or:
      words[at] = lo | act.lo;
      words[at + 1] = hi | act.hi;
      return;
    case and:
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
    m.ledger?.reach(cpu.id, cpu.now, waiter.id, m.cost.transferPrice(cpu.id, waiter.id));
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
    return advanced;
  }
  m.waiters.add(cpu, indices, act.ready!);
  return blocked;
}
