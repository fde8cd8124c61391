/**
 * A program's access: from its first try until it goes through it may fault in the guest's own
 * tables (the kernel is told, by the word) and leave the guest (the host is told, by the exit). The
 * time from first try to completion is what the latency figures count.
 */
import type { Act } from '../runtime/act.ts';
import type { Frame } from '../runtime/context.ts';
import { Outcome } from '../runtime/processor.ts';
import { Event } from '../runtime/trace.ts';
import { pay } from './cost.ts';
import type { Cpu } from './cpu.ts';
import type { Access } from './format/judge.ts';
import type { AccessLines, GuestContext } from './guest.ts';
import type { Machine } from './machine.ts';
import { Charge } from './preset/price.ts';

export function performAccess(m: Machine, cpu: Cpu, guest: GuestContext, frame: Frame): number {
  const { act, word } = frame;
  const { access } = guest;
  if (access.began < 0) {
    if (workBefore(m, cpu, guest, act.hi)) return Outcome.advanced;
    access.began = cpu.now;
    access.leftGuest = false;
    access.faulted = false;
  }
  const outcome = m.translator.linear(cpu, guest, act.at, act.lo as Access, offsetOf(act));
  if (outcome === 'exit') return Outcome.advanced;
  frame.state = 'done';
  word.ok = outcome === 'ok';
  if (outcome === 'guest') {
    word.lo = m.translator.guestFaultCode;
    word.hi = 0;
    pay(m, cpu, Charge.exception);
    access.faulted = true;
    return Outcome.advanced;
  }
  const took = cpu.now - access.began;
  if (access.leftGuest) m.trace.event(Event.fault, cpu.id, cpu.now, took, 0);
  else if (access.faulted) m.trace.event(Event.guestFault, cpu.id, cpu.now, took, 0);
  access.began = -1;
  access.workLeft = -1;
  return Outcome.advanced;
}

/** Where in its page the access lies, if its program says so. */
function offsetOf({ operand }: Act): number {
  return operand === undefined ? 0 : (operand as number);
}

/**
 * The instructions that the program runs before the access, in stretches that no other CPU can
 * reach into: the act stays offered between them, so that an interrupt is taken when it arrives
 * and the walk happens in its turn. False once there is nothing left.
 */
function workBefore(m: Machine, cpu: Cpu, guest: GuestContext, instructions: number): boolean {
  const { access } = guest;
  if (access.workLeft < 0) access.workLeft = instructions * m.cost.hardware.instruction;
  if (access.workLeft === 0) return false;
  const stretch = Math.min(access.workLeft, m.lookahead, cpu.interruptAt - cpu.now);
  m.ledger?.charge(cpu.id, cpu.now, Charge.instruction, stretch / m.cost.hardware.instruction);
  cpu.now += stretch;
  access.workLeft -= stretch;
  return true;
}

/**
 * The private path: as many of the accesses `from`, `from + 1`, … as hit the TLB before the CPU's
 * horizon, without a step; returns the first that did not. A hit changes nothing that anyone else
 * can see, so it is the same as performing each access as an act (a test holds both equal).
 */
export function runPrivate(
  m: Machine,
  cpu: Cpu,
  guest: GuestContext,
  lines: AccessLines,
  from: number,
): number {
  const { tlb, horizon } = cpu;
  const space = cpu.combinedSpace(guest.regime);
  const perInstruction = m.cost.hardware.instruction;
  const { pageOf, pages, kinds, instructions } = lines;
  const end = pages.length;
  let { now } = cpu;
  let i = from;
  while (i < end) {
    const after = now + instructions[i]! * perInstruction;
    if (after > horizon || tlb.lookup(space, pageOf[pages[i]!]!, 1 << kinds[i]!) < 0) break;
    now = after;
    i++;
  }
  if (m.ledger !== undefined && i > from) {
    const count = (now - cpu.now) / perInstruction;
    m.ledger.charge(cpu.id, cpu.now, Charge.instruction, count);
  }
  cpu.now = now;
  return i;
}
