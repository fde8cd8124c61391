/**
 * How one CPU under exploration performs the act that its code offers: at once and in order (SC),
 * or with stores that wait in a buffer (TSO), or weakened.
 */
import { type Act, Op, type Order } from '../../runtime/act.ts';
import type { Context, Frame } from '../../runtime/context.ts';
import type { Tape } from '../../runtime/hart.ts';
import type { Cpu } from '../cpu.ts';
import { WRITE } from '../format/judge.ts';
import type { GuestContext } from '../guest.ts';
import { Instruction } from '../instruction.ts';
import type { Machine } from '../machine.ts';
import { type BufferedStore, StoreBuffer } from './store-buffer.ts';
import { type How, modified, type Weakening } from './weakening.ts';

export type MemoryOrder = 'sc' | 'tso';

/** Instructions that drain the store buffer (SDM vol. 3, "Serializing instructions"). */
const SERIALISING: ReadonlySet<number> = new Set([
  Instruction.invept,
  Instruction.invvpid,
  Instruction.invlpg,
  Instruction.loadCr3,
  Instruction.cpuid,
  Instruction.zeroFrame, // not serialising; modelled so because it writes a whole frame at once
]);

/** Lock acts of one label that were dropped: later acts on the word do nothing until its unlock. */
const QUEUE_OFFSET = 8;

export class ExploredActs {
  readonly buffer = new StoreBuffer();
  readonly #m: Machine;
  readonly #cpu: Cpu;
  readonly #tape: Tape;
  readonly #isTso: boolean;
  readonly #guestsAtOnce: boolean;
  readonly #weak: ReadonlyMap<string, How>;
  /** What each context saw last, by address: only of contexts with a stale label. */
  readonly #lastSeen = new Map<string, { by: number; at: number; lo: number; hi: number }>();
  /** Words of locks that were not taken. */
  readonly #untaken = new Set<number>();
  /** The value loaded by the first half of a split operation, until its second half. */
  #half: { lo: number; hi: number } | undefined;

  constructor(
    machine: Machine,
    cpu: Cpu,
    tape: Tape,
    options: {
      readonly order: MemoryOrder;
      readonly weaken: readonly Weakening[];
      readonly guestsAtOnce: boolean;
    },
  ) {
    this.#tape = tape;
    this.#m = machine;
    this.#cpu = cpu;
    this.#isTso = options.order === 'tso';
    this.#guestsAtOnce = options.guestsAtOnce;
    this.#weak = new Map(options.weaken.map(({ label, how }) => [label, how]));
  }

  /** What this object adds to the local state, as numbers. */
  *state(): Generator<number> {
    for (const { pa, lo, hi, half, by } of this.buffer.stores) {
      yield pa;
      yield lo;
      yield hi;
      yield half ? by + 1 : -by;
    }
    yield -1;
    for (const at of this.#untaken) yield at;
    yield -2;
    if (this.#half !== undefined) {
      yield this.#half.lo;
      yield this.#half.hi;
    }
    for (const { by, at, lo, hi } of this.#lastSeen.values()) {
      yield by;
      yield at;
      yield lo;
      yield hi;
    }
  }

  /** An interrupt waits for the code that runs now. */
  canTakeInterrupt(): boolean {
    const cpu = this.#cpu;
    const context = cpu.current!;
    if (context.masked) return false;
    return context === cpu.host ? cpu.latched.length > 0 : cpu.guest!.apic.deliverable !== 0;
  }

  /** Whether the offered act is one that nobody can notice, and nothing else comes first. */
  isSilent(silent: ReadonlySet<number> | undefined): boolean {
    const { act } = this.#cpu.current!.top;
    if (silent?.has(act.op) !== true || this.#cpu.current !== this.#cpu.host) return false;
    return !this.#weak.has(act.label) && !this.canTakeInterrupt();
  }

  /** Whether acts of a label do nothing. */
  isDropped(label: string): boolean {
    return this.#weak.get(label) === 'drop';
  }

  /** Whether the offered wait is over. */
  isReady(): boolean {
    const { act } = this.#cpu.current!.top;
    if (act.op !== Op.wait || this.canTakeInterrupt()) return true;
    if (this.#weak.get(act.label) === 'drop' || this.#isUntaken(act.at)) return true;
    if (act.watch.some((at) => this.buffer.newest(at) !== undefined)) return false; // leave first
    return act.ready!();
  }

  /** What an act orders as it is performed: nothing if it is dropped or its order taken away. */
  orderOf({ label, op, order }: Act): Order {
    const how = this.#weak.get(label);
    if (how === 'drop' || how === 'relaxed') return 'relaxed';
    return how === 'unordered' && op === Op.fence ? 'relaxed' : order;
  }

  perform(): void {
    const cpu = this.#cpu;
    const context = cpu.current!;
    if (this.canTakeInterrupt()) {
      this.drainAll();
      this.#m.perform(cpu);
      return;
    }
    const frame = context.top;
    // Acts without a value leave the word as it is: what an earlier act yielded is not observed.
    frame.word.lo = 0;
    frame.word.hi = 0;
    frame.word.ok = true;
    const how = this.#weak.get(frame.act.label);
    if (this.#isUntaken(frame.act.at) && frame.act.op < Op.choose && context === cpu.host) {
      this.#skipLock(frame, how);
    } else if (how === undefined || !this.#performWeakly(context, frame, how)) {
      this.#performOrdered(context, frame);
    }
    if (this.#weak.size !== 0 && frame.act.op === Op.load) {
      this.#remember(context, frame);
    }
  }

  #remember(context: Context, frame: Frame): void {
    for (const how of this.#weak.values()) {
      if (how !== 'stale') continue;
      const { lo, hi } = frame.word;
      const { at } = frame.act;
      this.#lastSeen.set(`${context.id}:${at}`, { by: context.id, at, lo, hi });
    }
  }

  #isUntaken(at: number): boolean {
    if (this.#untaken.size === 0) return false;
    return this.#untaken.has(at) || this.#untaken.has(at - QUEUE_OFFSET);
  }

  /** An act on the word of a lock that was never taken: the rest of taking it, or its release. */
  #skipLock(frame: Frame, how: How | undefined): void {
    if (how === undefined) this.#untaken.delete(frame.act.at); // another label: the unlock
    complete(frame, 0, 0);
  }

  #performWeakly(context: Context, frame: Frame, how: How): boolean {
    // A load that a compare-and-swap goes by and a wait for the next try may have its label.
    const isOther = frame.act.op === Op.load || frame.act.op === Op.wait;
    if (isOther && how !== 'drop' && how !== 'stale') return false;
    switch (how) {
      case 'drop':
        return this.#drop(frame);
      case 'stale': {
        const seen = this.#lastSeen.get(`${context.id}:${frame.act.at}`);
        if (seen !== undefined) complete(frame, seen.lo, seen.hi);
        return seen !== undefined;
      }
      case 'blind':
        return this.#blind(context, frame);
      case 'split':
        this.#split(context, frame);
        return true;
      case 'relaxed':
        return false; // performed as ever: what it orders is said by `orderOf`
      default:
        return this.#unordered(context, frame);
    }
  }

  #drop(frame: Frame): boolean {
    const { act } = frame;
    // Notes tell a lock from another locked operation: whoever takes one has just wanted it.
    if (isLocked(act.op) && this.#takesLock(act.label)) this.#untaken.add(act.at);
    complete(frame, 0, 0);
    return true;
  }

  /** Stores whatever was there, and takes it for what was expected. */
  #blind(context: Context, frame: Frame): boolean {
    const { act } = frame;
    if (act.op !== Op.cas) return false;
    const pa = this.#physical(context, act.at);
    if (pa < 0) return true; // it exited
    this.drainAll();
    this.#apply({ pa, lo: act.lo, hi: act.hi, half: false, by: context.id });
    complete(frame, act.seenLo, act.seenHi);
    return true;
  }

  #takesLock(label: string): boolean {
    return /(^|[.-])(re)?lock$/.test(label);
  }

  /** First the load, then, as a step of its own, the store. */
  #split(context: Context, frame: Frame): void {
    const pa = this.#physical(context, frame.act.at);
    if (pa < 0) return; // it exited
    if (this.#half === undefined) {
      this.#half = this.#load(pa);
      return; // the act stays offered
    }
    const old = this.#half;
    this.#half = undefined;
    const next = modified(frame.act, old);
    if (next !== undefined) this.#store({ pa, ...next, half: false, by: context.id });
    complete(frame, old.lo, old.hi);
    frame.word.ok = next !== undefined;
  }

  /** A locked operation whose store goes to the buffer; a fence that does nothing. */
  #unordered(context: Context, frame: Frame): boolean {
    const { act } = frame;
    if (act.op === Op.fence) {
      complete(frame, 0, 0);
      return true;
    }
    const pa = this.#physical(context, act.at);
    if (pa < 0) return true; // it exited
    const old = this.#load(pa);
    const next = modified(act, old);
    if (next !== undefined) this.#store({ pa, ...next, half: false, by: context.id });
    complete(frame, old.lo, old.hi);
    frame.word.ok = next !== undefined;
    return true;
  }

  #performOrdered(context: Context, frame: Frame): void {
    if (!this.#isTso || (this.#guestsAtOnce && context !== this.#cpu.host)) {
      this.#m.perform(this.#cpu);
      return;
    }
    const { act } = frame;
    if (act.op === Op.store || act.op === Op.storeLow) {
      const pa = this.#physical(context, act.at);
      if (pa < 0) return; // it exited
      const half = act.op === Op.storeLow;
      this.#store({ pa, lo: act.lo, hi: act.hi, half, by: context.id });
      complete(frame, 0, 0);
      return;
    }
    if (act.op === Op.load && this.#forwarded(context, frame)) return;
    if (isLocked(act.op) || act.op === Op.fence || SERIALISING.has(act.op)) this.drainAll();
    this.#m.perform(this.#cpu);
  }

  /** The CPU's own load sees its newest store to the word. */
  #forwarded(context: Context, frame: Frame): boolean {
    if (this.buffer.isEmpty) return false;
    const { at } = frame.act;
    const isHost = context === this.#cpu.host;
    const pa = isHost ? at : this.#m.translator.peek(this.#cpu.guest!, at);
    if (pa < 0 || this.buffer.newest(pa) === undefined) return false;
    const seen = this.#load(pa);
    complete(frame, seen.lo, seen.hi);
    return true;
  }

  #physical(context: Context, at: number): number {
    if (context === this.#cpu.host) return at;
    return this.#m.translator.guestPhysical(this.#cpu, context as GuestContext, at, WRITE);
  }

  #load(pa: number): { lo: number; hi: number } {
    if (this.buffer.newest(pa)?.half === true) this.drainAll();
    const store = this.buffer.newest(pa);
    if (store !== undefined) return { lo: store.lo, hi: store.hi };
    const at = this.#m.memory.indexOf(pa);
    return { lo: this.#m.memory.words[at]!, hi: this.#m.memory.words[at + 1]! };
  }

  #store(store: BufferedStore): void {
    if (!this.#isTso) {
      this.#apply(store);
      return;
    }
    this.buffer.push(store);
    this.#tape.touches.storeWaits();
  }

  #apply(store: BufferedStore): void {
    const at = this.#m.memory.place(store.pa);
    this.#m.memory.words[at] = store.lo;
    if (!store.half) this.#m.memory.words[at + 1] = store.hi;
  }

  drainOne(): void {
    const store = this.buffer.leave();
    if (store === undefined) return;
    this.#tape.touches.storeLeaves();
    this.#apply(store);
  }

  drainAll(): void {
    while (!this.buffer.isEmpty) this.drainOne();
  }
}

function isLocked(op: number): boolean {
  return op === Op.cas || op === Op.exchange || (op >= Op.add && op <= Op.and);
}

function complete(frame: Frame, lo: number, hi: number): void {
  frame.word.lo = lo;
  frame.word.hi = hi;
  frame.word.ok = true;
  frame.state = 'done';
}
