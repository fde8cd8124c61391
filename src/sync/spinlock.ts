/**
 * A fair spinlock in one word: the low half is the ticket now served, the high half the next one to
 * draw. Waiting is one act, and a hand-over moves one line to the next waiter only: the traffic of
 * a queued lock (qspinlock), with the layout of a ticket lock.
 *
 * Leaves out: paravirtual kicks, preemption of the holder.
 */
import { defect } from '../base/assert.ts';
import { num, type Routine, won } from '../runtime/act.ts';
import type { Context } from '../runtime/context.ts';
import { Event } from '../runtime/trace.ts';
import { type LockClass, lockClass } from './lock-class.ts';

const TWO32 = 4294967296;
/** Tickets that a word can tell apart when it is read as a number. */
const TICKETS = 2 ** 21;
const RESET_FROM = 2 ** 20;

export interface Spinlock {
  readonly at: number;
  readonly kind: number;
}

export function spinlock(at: number, kind: LockClass): Spinlock {
  return { at, kind: lockClass(kind) };
}

/** Takes the lock; `label` names the site. */
export function* lock(cpu: Context, l: Spinlock, label: string): Routine<void> {
  if (l.kind >= 0) cpu.note(Event.want, l.kind, 0);
  cpu.attempt('spinlock');
  const drawn = num(yield cpu.addWord(l.at, 0, 1, label));
  const ticket = Math.floor(drawn / TWO32);
  const free = drawn >>> 0 === ticket;
  if (!free) yield cpu.wait([l.at], () => cpu.peek(l.at) >>> 0 === ticket, label);
  if (l.kind >= 0) cpu.note(Event.acquire, l.kind, free ? 0 : 1);
  cpu.conclude('spinlock', 0); // whose turn it is says the word alone from here on
}

export function* unlock(cpu: Context, l: Spinlock, label: string): Routine<void> {
  if (l.kind >= 0) cpu.note(Event.release, l.kind, 0);
  cpu.attempt('spinlock');
  // Only the holder changes the low half, so it may read it without a lock prefix.
  const ticket = cpu.peek(l.at) >>> 0;
  const isReset = ticket + 1 >= RESET_FROM && (yield* resetIfAlone(cpu, l, ticket, label));
  if (!isReset) yield cpu.storeLow(l.at, ticket + 1, label);
  cpu.conclude('spinlock', 1);
}

/** Starts the tickets anew if nobody waits: words are read as numbers, exact below 2^53. */
function* resetIfAlone(cpu: Context, l: Spinlock, ticket: number, label: string): Routine<boolean> {
  if (ticket + 1 >= TICKETS) defect('spinlock', `${label}: no pause in ${TICKETS} tickets`);
  const alone = { lo: ticket | 0, hi: ticket + 1 };
  return won(yield cpu.casWord(l.at, alone, { lo: 0, hi: 0 }, label));
}
