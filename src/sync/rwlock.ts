/**
 * A fair reader-writer lock as the kernel's qrwlock: one word counts readers from bit 9 up, bit 8
 * says that a writer waits, bits 7:0 that one holds the lock; whoever does not get it at once
 * queues on a spinlock in the next word. A reader adds and subtracts on the one word, so readers
 * hold the lock together and still move its line from CPU to CPU: that is what bounds them.
 *
 * Source of the protocol: kernel/locking/qrwlock.c (facts only).
 */
import { num, type Routine, type Word, won } from '../runtime/act.ts';
import type { Context } from '../runtime/context.ts';
import { Event } from '../runtime/trace.ts';
import { type LockClass, lockClass } from './lock-class.ts';
import { lock, type Spinlock, unlock } from './spinlock.ts';

const HELD = 0xff;
const WAITING = 0x100;
const READER = 0x200;

export interface RwLock {
  readonly at: number;
  readonly queue: Spinlock;
  readonly kind: number;
}

/** For onlookers: whether a lock's word says that a writer holds it. */
export function isHeldForWrite(word: number): boolean {
  return (word & HELD) !== 0;
}

/**
 * For whoever holds it for writing: whether somebody waits for it, and a long holder had better let
 * him have it (`rwlock_needbreak`).
 */
export function* isContended(cpu: Context, l: RwLock, label: string): Routine<boolean> {
  cpu.attempt('rwlock.contended');
  const waits = isQueuedAt(yield cpu.load(l.queue.at, label));
  cpu.conclude('rwlock.contended', waits ? 1 : 0);
  return waits;
}

/** The ticket that is served is not the next one to be drawn. */
function isQueuedAt({ lo, hi }: Word): boolean {
  return lo !== hi;
}

/** Two consecutive words at `at`, best on a line of their own. */
export function rwlock(at: number, kind: LockClass): RwLock {
  const number = lockClass(kind);
  return { at, kind: number, queue: { at: at + 8, kind: QUEUE } };
}

/** Queue locks are part of their rwlock and not reported on their own. */
const QUEUE = -1;

export function* readLock(cpu: Context, l: RwLock, label: string): Routine<void> {
  cpu.note(Event.want, l.kind, 0);
  cpu.attempt('rwlock');
  const seen = num(yield cpu.add(l.at, READER, label));
  const free = (seen & (WAITING | HELD)) === 0;
  if (!free) {
    yield cpu.add(l.at, -READER, label);
    yield* lock(cpu, l.queue, label);
    yield cpu.add(l.at, READER, label);
    yield cpu.wait([l.at], () => (cpu.peek(l.at) & HELD) === 0, label);
    yield* unlock(cpu, l.queue, label);
  }
  cpu.note(Event.acquire, l.kind, free ? 0 : 1);
  cpu.conclude('rwlock', 0);
}

export function* readUnlock(cpu: Context, l: RwLock, label: string): Routine<void> {
  cpu.note(Event.release, l.kind, 0);
  cpu.attempt('rwlock');
  yield cpu.add(l.at, -READER, label);
  cpu.conclude('rwlock', 1);
}

export function* writeLock(cpu: Context, l: RwLock, label: string): Routine<void> {
  cpu.note(Event.want, l.kind, 0);
  cpu.attempt('rwlock');
  const free = won(yield cpu.cas(l.at, 0, HELD, label));
  if (!free) yield* queueForWrite(cpu, l, label);
  cpu.note(Event.acquire, l.kind, free ? 0 : 1);
  cpu.conclude('rwlock', 2);
}

function* queueForWrite(cpu: Context, l: RwLock, label: string): Routine<void> {
  yield* lock(cpu, l.queue, label);
  if (!won(yield cpu.cas(l.at, 0, HELD, label))) {
    yield cpu.or(l.at, WAITING, label);
    cpu.attempt(label);
    for (;;) {
      yield cpu.wait([l.at], () => cpu.peek(l.at) === WAITING, label);
      if (won(yield cpu.cas(l.at, WAITING, HELD, label))) break;
      cpu.again(label);
    }
  }
  yield* unlock(cpu, l.queue, label);
}

export function* writeUnlock(cpu: Context, l: RwLock, label: string): Routine<void> {
  cpu.note(Event.release, l.kind, 0);
  cpu.attempt('rwlock');
  // Readers may add to the same word meanwhile, so this subtracts instead of storing zero.
  yield cpu.add(l.at, -HELD, label);
  cpu.conclude('rwlock', 3);
}
