/**
 * RCU for table pages: a frame that was unlinked is given back only after every thread has passed a
 * quiescent state. Being in guest mode is one: each vCPU thread has a mode word that is odd while
 * its guest runs and rises with every entry and exit, so readers pay nothing of their own
 * (KVM relies on the same: guest entry is an extended quiescent state).
 *
 * A read-side section is therefore the code between an exit and the next entry; it contains no
 * label of its own. Deferred frames are plain words of the CPU that deferred them.
 */
import type { Routine } from '../runtime/act.ts';
import { num } from '../runtime/act.ts';
import type { Context } from '../runtime/context.ts';

const CAPACITY = 512; // frames per batch
const TWO32 = 4294967296;
const BATCH_BYTES = (1 + CAPACITY) * 8;

/** A callback that really frees; runs after the grace period. */
export type Release = (cpu: Context, frame: number) => void;

/**
 * A thread that may hold pointers to tables: its mode word, and the seat it runs on. When it ends
 * for good it sets the high half of its mode.
 */
export interface Reader {
  readonly mode: number;
  readonly seat: number;
}

export class Rcu {
  readonly #readers: readonly Reader[]; // every thread that may read
  readonly #base: number;
  readonly #stride: number;
  readonly #release: Release;

  /** Bytes of words needed for `cpus` CPUs and `threads` readers. */
  static bytes(cpus: number, threads: number): number {
    return cpus * (2 * BATCH_BYTES + threads * 8);
  }

  constructor(base: number, readers: readonly Reader[], release: Release) {
    this.#base = base;
    this.#readers = readers;
    this.#stride = 2 * BATCH_BYTES + readers.length * 8;
    this.#release = release;
  }

  /**
   * Gives `frame` back once nobody can be reading it any more. The caller itself must not hold a
   * pointer into the tables: it passes a quiescent state if it has to wait.
   */
  *defer(cpu: Context, frame: number): Routine<void> {
    const collecting = this.#base + cpu.seat * this.#stride;
    cpu.attempt('rcu');
    const count = cpu.read(collecting);
    cpu.write(collecting + 8 + count * 8, frame);
    cpu.write(collecting, count + 1);
    yield* this.advance(cpu, count + 1 === CAPACITY ? 'wait' : 'try');
    cpu.conclude('rcu', 0);
  }

  /** For onlookers: where each CPU keeps the mode that reader `reader` had. */
  snapshotsOf(reader: number, cpus: number): number[] {
    return Array.from(
      { length: cpus },
      (_, cpu) => this.#base + cpu * this.#stride + 2 * BATCH_BYTES + reader * 8,
    );
  }

  /** Whether this CPU has frames whose grace period may be over: a look at private words. */
  hasWaiting(cpu: Context): boolean {
    return cpu.read(this.#base + cpu.seat * this.#stride + BATCH_BYTES) !== 0;
  }

  /** Frees the waiting batch if its grace period is over, then lets the collected one wait. */
  *advance(cpu: Context, patience: 'try' | 'wait'): Routine<void> {
    const collecting = this.#base + cpu.seat * this.#stride;
    const waiting = collecting + BATCH_BYTES;
    const snapshot = waiting + BATCH_BYTES;
    if (cpu.read(waiting) !== 0) {
      if (patience === 'wait') yield* this.#rest(cpu);
      for (let i = 0; i < this.#readers.length; i++) {
        const { mode } = this.#readers[i]!;
        const then = cpu.read(snapshot + i * 8);
        if (isPast(then, num(yield cpu.load(mode, 'rcu.check')))) continue;
        if (patience === 'try') return;
        yield cpu.wait([mode], () => isPast(then, cpu.peek(mode)), 'rcu.wait');
      }
      this.#free(cpu, waiting);
    }
    yield* this.#begin(cpu, collecting, waiting, snapshot);
  }

  /**
   * Returns when every reader has passed a quiescent state since the call. The caller must be none:
   * two that waited for each other here would never return. `wait`: label of the waiting.
   */
  *synchronize(cpu: Context, wait = 'rcu.sync.wait'): Routine<void> {
    for (const { mode } of this.#readers) {
      cpu.attempt('rcu.sync');
      const then = num(yield cpu.load(mode, 'rcu.sync.look'));
      yield cpu.wait([mode], () => isPast(then, cpu.peek(mode)), wait);
      cpu.conclude('rcu.sync', 0); // the reader is past it, whatever it was then
    }
  }

  /** Own mode moves on, so that neither the caller nor another one that waits waits for it. */
  *#rest(cpu: Context): Routine<void> {
    for (const { mode, seat } of this.#readers) {
      if (seat === cpu.seat) yield cpu.add(mode, 2, 'rcu.rest');
    }
  }

  #free(cpu: Context, batch: number): void {
    const count = cpu.read(batch);
    for (let i = 0; i < count; i++) this.#release(cpu, cpu.read(batch + 8 + i * 8));
    cpu.write(batch, 0);
  }

  *#begin(cpu: Context, from: number, to: number, snapshot: number): Routine<void> {
    const count = cpu.read(from);
    if (count === 0) return;
    for (let i = 0; i <= count; i++) cpu.write(to + i * 8, cpu.read(from + i * 8));
    cpu.write(from, 0);
    for (let i = 0; i < this.#readers.length; i++) {
      cpu.attempt('rcu.reader');
      cpu.write(snapshot + i * 8, num(yield cpu.load(this.#readers[i]!.mode, 'rcu.snapshot')));
      cpu.conclude('rcu.reader', 0);
    }
  }
}

/** Quiescent when seen (odd), moved since, or ended: it cannot hold an old pointer. */
export function isPast(then: number, now: number): boolean {
  return then % 2 === 1 || now !== then || now >= TWO32;
}
