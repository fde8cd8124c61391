/**
 * The machine's memory and acts on a SharedArrayBuffer: one worker thread drives one processor,
 * acts on words are performed with Atomics, plain words with plain accesses, interrupts cross by
 * counters. Every worker builds the same world; all that they share is words, which is the point.
 *
 * Leaves out: hardware's A/D updates, which the walker makes without an act (the format is used
 * with the flags off); several vectors in flight to one CPU at a time.
 */
import type { Cpu } from '../../../src/machine/cpu.ts';
import { READ, WRITE } from '../../../src/machine/format/judge.ts';
import type { GuestContext } from '../../../src/machine/guest.ts';
import { Instruction, VECTOR_CALL } from '../../../src/machine/instruction.ts';
import type { Machine } from '../../../src/machine/machine.ts';
import { FRAME_BYTES, Memory } from '../../../src/machine/memory.ts';
import { Op } from '../../../src/runtime/act.ts';
import type { Context, Frame } from '../../../src/runtime/context.ts';

/** Memory whose frames lie where their number says, so that all workers agree. */
export class FlatMemory extends Memory {
  constructor(frames: number) {
    super({ frames });
  }

  override indexOf(pa: number): number {
    return pa / 4 - ((pa / 4) % 2);
  }

  override place(pa: number): number {
    return this.indexOf(pa);
  }

  override base(pfn: number): number {
    return pfn * 1024;
  }

  override placeFrame(pfn: number): number {
    return pfn * 1024;
  }

  override isMaterialised(): boolean {
    return true;
  }

  override zeroFrame(pfn: number): void {
    this.words.fill(0, pfn * 1024, (pfn + 1) * 1024);
  }
}

/** Words of the control block: interrupts sent to each CPU, then threads that have ended. */
export const CONTROL_WORDS = 64;
const ENDED = 32;
const READY = 33;

export type Weak = 'drop' | 'plain';

export class ThreadEngine {
  readonly #m: Machine;
  readonly #cpu: Cpu;
  readonly #threads: number;
  readonly #control: Int32Array;
  readonly #halves: Int32Array;
  readonly #words: BigInt64Array;
  readonly #weaken: ReadonlyMap<string, Weak>;
  #taken = 0;
  acts = 0;
  interrupts = 0;

  constructor(
    machine: Machine,
    cpu: number,
    shared: { memory: SharedArrayBuffer; control: SharedArrayBuffer; threads: number },
    weaken: readonly (readonly [string, Weak])[],
  ) {
    this.#m = machine;
    this.#cpu = machine.cpus[cpu]!;
    this.#threads = shared.threads;
    this.#control = new Int32Array(shared.control);
    this.#halves = new Int32Array(shared.memory);
    this.#words = new BigInt64Array(shared.memory);
    this.#weaken = new Map(weaken);
  }

  /** Boot is over: CPU 0 publishes its words, all go on with the shared ones. */
  share(): void {
    if (this.#cpu.id === 0) {
      this.#halves.set(this.#m.memory.words);
      Atomics.store(this.#control, READY, 1);
      Atomics.notify(this.#control, READY);
    } else {
      Atomics.wait(this.#control, READY, 0);
    }
    this.#m.memory.words = this.#halves;
  }

  /** Runs the processor's code to its end, then answers interrupts until all others have ended. */
  run(): void {
    const cpu = this.#cpu;
    let ended = false;
    for (;;) {
      this.#takeInterrupts();
      const context = cpu.current;
      if (context === undefined) {
        if (!ended) Atomics.add(this.#control, ENDED, 1);
        ended = true;
        if (Atomics.load(this.#control, ENDED) === this.#threads) return;
        Atomics.wait(this.#control, cpu.id, this.#taken, 1);
        continue;
      }
      const frame = context.top;
      if (frame.state === 'offered') this.#perform(context, frame);
      else this.#resume(context);
    }
  }

  /** In guest mode an interrupt may be on its way for a while: it is taken at every eighth act. */
  #takeInterrupts(): void {
    if (this.#cpu.guest !== undefined && this.acts % 8 !== 0) return;
    if (Atomics.load(this.#control, this.#cpu.id) === this.#taken) return;
    this.#taken++;
    this.interrupts++;
    this.#cpu.arrive({ at: 0, vector: VECTOR_CALL, notifies: undefined });
    this.#m.interrupt(this.#cpu);
  }

  #resume(context: Context): void {
    context.advance();
    if (context.finished) this.#m.finished(this.#cpu, context);
  }

  #perform(context: Context, frame: Frame): void {
    const cpu = this.#cpu;
    const { act } = frame;
    this.acts++;
    if (cpu.guest === undefined && cpu.latched.length !== 0 && !context.masked) {
      this.#m.perform(cpu); // pushes the interrupt handler
      return;
    }
    const weak = this.#weaken.get(act.label);
    if (weak === 'drop') {
      complete(frame, 0, 0);
    } else if (act.op === Op.wait) {
      if (act.ready!()) complete(frame, 0, 0);
      else Atomics.wait(this.#control, cpu.id, this.#taken, 0.01);
    } else if (act.op < Op.fence) {
      const pa = this.#physical(context, act.at, act.op === Op.load ? READ : WRITE);
      if (pa < 0) return; // it exited
      if (weak === 'plain') this.#addPlainly(frame, pa);
      else this.#atomically(frame, pa);
    } else if (act.op === Instruction.sendIpi) {
      Atomics.add(this.#control, act.at, 1);
      Atomics.notify(this.#control, act.at);
      complete(frame, 0, 0);
    } else {
      this.#m.perform(cpu);
    }
  }

  #physical(context: Context, at: number, access: typeof READ | typeof WRITE): number {
    if (context === this.#cpu.host) return at;
    return this.#m.translator.guestPhysical(this.#cpu, context as GuestContext, at, access);
  }

  #addPlainly(frame: Frame, pa: number): void {
    const at = this.#m.memory.indexOf(pa);
    const lo = this.#halves[at]!;
    const hi = this.#halves[at + 1]!;
    this.#halves[at] = lo + frame.act.lo;
    complete(frame, lo, hi);
  }

  #atomically(frame: Frame, pa: number): void {
    const { act } = frame;
    const words = this.#words;
    const at = pa / 8;
    const value = join(act.lo, act.hi);
    let old = 0n;
    let won = true;
    switch (act.op) {
      case Op.load:
        old = Atomics.load(words, at);
        break;
      case Op.store:
        Atomics.store(words, at, value);
        break;
      case Op.storeLow:
        Atomics.store(this.#halves, at * 2, act.lo);
        break;
      case Op.cas: {
        const seen = join(act.seenLo, act.seenHi);
        old = Atomics.compareExchange(words, at, seen, value);
        won = old === seen;
        break;
      }
      case Op.exchange:
        old = Atomics.exchange(words, at, value);
        break;
      case Op.add:
        old = Atomics.add(words, at, value);
        break;
      case Op.or:
        old = Atomics.or(words, at, value);
        break;
      default:
        old = Atomics.and(words, at, value);
    }
    complete(frame, Number(BigInt.asIntN(32, old)), Number(BigInt.asIntN(32, old >> 32n)));
    frame.word.ok = won;
  }
}

function join(lo: number, hi: number): bigint {
  return (BigInt(hi) << 32n) | BigInt(lo >>> 0);
}

function complete(frame: Frame, lo: number, hi: number): void {
  frame.word.lo = lo;
  frame.word.hi = hi;
  frame.word.ok = true;
  frame.state = 'done';
}

export const MEMORY_FRAMES = 1 << 14; // 64 MiB
export const MEMORY_BYTES = MEMORY_FRAMES * FRAME_BYTES;
