/**
 * VM entry and VM exit. Entry loads the guest's regime from the control block (vmx.ts, svm.ts);
 * exit writes the exit information there and gives the CPU back to the host thread. The act that a
 * guest offered stays offered unless the host completes it: it is tried again at the next entry.
 *
 * Leaves out: guest-state and host-state checks (software checks them where L0 emulates an entry),
 * MSR load lists, event injection through the control block (virtual interrupts are posted).
 */
import { defect } from '../base/assert.ts';
import type { Word } from '../runtime/act.ts';
import type { Context, Frame } from '../runtime/context.ts';
import { Outcome } from '../runtime/processor.ts';
import { Event } from '../runtime/trace.ts';
import { pay } from './cost.ts';
import type { Cpu } from './cpu.ts';
import type { GuestContext } from './guest.ts';
import type { Machine } from './machine.ts';
import { Charge } from './preset/price.ts';
import { acceptPosted } from './virtual-apic.ts';

export interface ExitInformation {
  readonly reason: number;
  /** Of a failed walk: exit qualification, or EXITINFO1. */
  readonly qualification?: number;
  readonly guestPhysical?: number;
  readonly guestLinear?: number;
  /** Vector of an exception, and its error code. */
  readonly vector?: number;
  readonly errorCode?: number;
}

/** VMLAUNCH, VMRESUME or VMRUN in root mode. */
export function enterGuest(m: Machine, cpu: Cpu, host: Context, guest: GuestContext): number {
  if (guest.finished) defect('enterGuest', `${guest.name} has no code`);
  if (guest.cpu >= 0) defect('enterGuest', `${guest.name} runs on CPU ${guest.cpu} already`);
  cpu.newRegime();
  m.vendor.load(m, cpu, guest);
  pay(m, cpu, Charge.vmEntry);
  m.trace.event(Event.entry, cpu.id, cpu.now, cpu.exitReason, guest.level);
  cpu.guest = guest;
  cpu.current = guest;
  guest.cpu = cpu.id;
  guest.on = cpu;
  host.top.state = 'offered'; // the entry is complete only when the guest exits
  acceptPosted(m, guest);
  if (cpu.latched.length === 0) return Outcome.advanced;
  cpu.latched = cpu.latched.filter((arrived) => arrived.notifies !== guest);
  if (cpu.latched.length !== 0) {
    exitToHost(m, cpu, { reason: m.vendor.interrupt });
  }
  return Outcome.advanced;
}

/** VM exit: the guest's act stays offered. */
export function exitToHost(m: Machine, cpu: Cpu, information: ExitInformation): void {
  const guest = cpu.guest ?? defect('exitToHost', `CPU ${cpu.id} is in root mode`);
  m.vendor.record(m, cpu, information);
  m.trace.event(Event.exit, cpu.id, cpu.now, information.reason, guest.level);
  pay(m, cpu, Charge.vmExit);
  cpu.exitReason = information.reason;
  if (guest.access.began >= 0) guest.access.leftGuest = true;
  acceptPosted(m, guest);
  guest.cpu = -1;
  guest.on = undefined;
  cpu.guest = undefined;
  cpu.current = cpu.host;
  cpu.host!.top.state = 'done'; // its VM entry has returned
}

/** The same with the word of another act: a trapped store that somebody else carried out. */
export function completeActLike(frame: Frame, word: Word): void {
  completeAct(frame, word.lo, word.hi, word.ok);
}

/** Completes the act that `frame` offered, with a value: how an emulated instruction retires. */
export function completeAct(frame: Frame, lo: number, hi = 0, ok = true): void {
  if (frame.state !== 'offered') defect('completeAct', 'nothing is offered');
  frame.word.lo = lo;
  frame.word.hi = hi;
  frame.word.ok = ok;
  frame.state = 'done';
}
