/**
 * The machine as an explorer drives it: no prices, stores that may linger in a store buffer (TSO),
 * and labelled primitives weakened by the runtime, the routines being what they are.
 *
 * Under TSO a plain or atomic store act waits in its CPU's buffer; locked operations, fences,
 * serialising instructions and the delivery of interrupts drain it first (Intel SDM vol. 3, 12.10),
 * a VM entry does not. Plain words go straight to memory: they are private or guarded by a lock,
 * whose release drains or follows them.
 */

import type { Cpu } from '../../src/machine/cpu.ts';
import { type BufferedStore, StoreBuffer } from '../../src/machine/explored/store-buffer.ts';
import { WRITE } from '../../src/machine/format/judge.ts';
import type { GuestContext } from '../../src/machine/guest.ts';
import { Instruction } from '../../src/machine/instruction.ts';
import type { Machine } from '../../src/machine/machine.ts';
import { FRAME_BYTES, Memory } from '../../src/machine/memory.ts';
import { Op } from '../../src/runtime/act.ts';
import type { Context, Frame } from '../../src/runtime/context.ts';
import { Outcome, type Processor } from '../../src/runtime/processor.ts';
import { type ExploredEngine, Hasher } from '../../src/schedule/explore/engine.ts';

/**
 * How the primitive with this label is weakened: `drop` does nothing (a lock or a compare-and-swap
 * then seems to have succeeded, a wait is over at once); `last-seen` yields what the context saw
 * there last, without looking; `plain` makes a locked operation a load and a store.
 */
export interface Weakening {
  readonly label: string;
  readonly how: 'drop' | 'last-seen' | 'plain';
}

/** Memory that tells what plain words are read, and remembers which frames were looked at. */
export class HeardMemory extends Memory {
  heard: (value: number) => void = () => undefined;
  /** Frames whose hash must be computed anew: whoever writes asks first where a word lies. */
  readonly touched = new Set<number>();

  override indexOf(pa: number): number {
    this.touched.add(Math.floor(pa / FRAME_BYTES));
    return super.indexOf(pa);
  }

  override place(pa: number): number {
    this.touched.add(Math.floor(pa / FRAME_BYTES));
    return super.place(pa);
  }

  override zeroFrame(pfn: number): void {
    this.touched.add(pfn);
    super.zeroFrame(pfn);
  }

  override base(pfn: number): number {
    this.touched.add(pfn);
    return super.base(pfn);
  }

  override placeFrame(pfn: number): number {
    this.touched.add(pfn);
    return super.placeFrame(pfn);
  }

  override read(pa: number): number {
    const value = super.read(pa);
    this.heard(value);
    return value;
  }

  override valueAt(at: number): number {
    const value = super.valueAt(at);
    this.heard(value);
    return value;
  }
}

export interface ExploredOptions {
  readonly order: 'sc' | 'tso';
  readonly weaken?: readonly Weakening[];
  /** Frames of second-stage roots, and the guest pages below which the TLBs are compared. */
  readonly roots: readonly number[];
  readonly pages: number;
}

/** Instructions that drain the store buffer (SDM vol. 3, "Serializing instructions"). */
const SERIALISING: ReadonlySet<number> = new Set([
  Instruction.invept,
  Instruction.invvpid,
  Instruction.invlpg,
  Instruction.loadCr3,
  Instruction.cpuid,
  Instruction.zeroFrame, // not serialising; modelled so because it writes a whole frame at once
]);

export class ExploredMachine implements ExploredEngine {
  readonly processors: readonly Processor[];
  readonly lookahead = 0;
  readonly buffers: readonly StoreBuffer[];
  readonly #m: Machine;
  readonly #options: ExploredOptions;
  readonly #weaken: ReadonlyMap<string, Weakening['how']>;
  readonly #frames = new Map<number, number>(); // hash of each frame
  readonly #lastSeen = new Map<string, { lo: number; hi: number }>();

  constructor(machine: Machine, options: ExploredOptions) {
    this.#m = machine;
    this.#options = options;
    this.processors = machine.processors;
    this.buffers = machine.cpus.map(() => new StoreBuffer());
    this.#weaken = new Map((options.weaken ?? []).map(({ label, how }) => [label, how]));
  }

  onWake(): void {
    this.#m.onWake(() => undefined);
  }

  onRead(heard: (value: number) => void): void {
    (this.#m.memory as HeardMemory).heard = heard;
  }

  interrupt(processor: Processor): boolean {
    return this.#m.interrupt(processor);
  }

  finished(processor: Processor, context: Context): void {
    this.#m.finished(processor, context);
  }

  isReady(processor: Processor): boolean {
    const cpu = processor as Cpu;
    const context = cpu.current!;
    const { act } = context.top;
    if (act.op !== Op.wait || this.#canTake(cpu, context)) return true;
    if (this.#weaken.get(act.label) === 'drop') return true;
    const own = this.buffers[cpu.id]!;
    if (act.watch.some((at) => own.newest(at) !== undefined)) return false; // leave first
    return act.ready!();
  }

  /** An interrupt waits for the code that runs now. */
  #canTake(cpu: Cpu, context: Context): boolean {
    if (context.masked) return false;
    return context === cpu.host ? cpu.latched.length > 0 : cpu.guest!.apic.deliverable !== 0;
  }

  perform(processor: Processor): number {
    const cpu = processor as Cpu;
    const context = cpu.current!;
    if (this.#canTake(cpu, context)) {
      this.#drain(cpu);
      return this.#m.perform(cpu);
    }
    const frame = context.top;
    const how = this.#weaken.get(frame.act.label);
    if (how !== undefined && this.#performWeakly(cpu, context, frame, how)) return Outcome.advanced;
    const outcome =
      this.#options.order === 'tso' ? this.#buffered(cpu, context, frame) : this.#m.perform(cpu);
    if (frame.act.op === Op.load) {
      this.#lastSeen.set(`${context.id}:${frame.act.at}`, { ...frame.word });
    }
    return outcome;
  }

  #performWeakly(cpu: Cpu, context: Context, frame: Frame, how: Weakening['how']): boolean {
    const { act, word } = frame;
    if (how === 'drop') {
      complete(frame, 0, 0);
      return true;
    }
    if (how === 'last-seen') {
      const seen = this.#lastSeen.get(`${context.id}:${act.at}`);
      if (seen === undefined) return false;
      complete(frame, seen.lo, seen.hi);
      return true;
    }
    const pa = this.#physical(cpu, context, act.at);
    if (pa < 0) return true; // it exited
    const old = this.#load(cpu, pa);
    const next = modified(act, old);
    if (next !== undefined) this.#store(cpu, { pa, ...next, half: false, by: context.id });
    complete(frame, old.lo, old.hi);
    word.ok = next !== undefined;
    return true;
  }

  #buffered(cpu: Cpu, context: Context, frame: Frame): number {
    const { act } = frame;
    if (act.op === Op.store || act.op === Op.storeLow) {
      const pa = this.#physical(cpu, context, act.at);
      if (pa < 0) return Outcome.advanced;
      const half = act.op === Op.storeLow;
      this.#store(cpu, { pa, lo: act.lo, hi: act.hi, half, by: context.id });
      complete(frame, 0, 0);
      return Outcome.advanced;
    }
    if (act.op === Op.load && !this.buffers[cpu.id]!.isEmpty) {
      const pa = context === cpu.host ? act.at : this.#m.translator.peek(cpu.guest!, act.at);
      if (pa >= 0 && this.buffers[cpu.id]!.newest(pa) !== undefined) {
        const seen = this.#load(cpu, pa);
        complete(frame, seen.lo, seen.hi);
        return Outcome.advanced;
      }
    }
    const locked = act.op !== Op.load && act.op !== Op.wait && act.op < Op.choose;
    if (locked || SERIALISING.has(act.op)) this.#drain(cpu);
    return this.#m.perform(cpu);
  }

  #physical(cpu: Cpu, context: Context, at: number): number {
    if (context === cpu.host) return at;
    return this.#m.translator.guestPhysical(cpu, context as GuestContext, at, WRITE);
  }

  /** The CPU's own view: its newest store to the word, else memory. */
  #load(cpu: Cpu, pa: number): { lo: number; hi: number } {
    const own = this.buffers[cpu.id]!;
    if (own.newest(pa)?.half === true) this.#drain(cpu);
    const store = own.newest(pa);
    if (store !== undefined) return { lo: store.lo, hi: store.hi };
    const at = this.#m.memory.indexOf(pa);
    return { lo: this.#m.memory.words[at]!, hi: this.#m.memory.words[at + 1]! };
  }

  #store(cpu: Cpu, store: BufferedStore): void {
    if (this.#options.order === 'tso') this.buffers[cpu.id]!.push(store);
    else this.#apply(store);
  }

  #apply(store: BufferedStore): void {
    const at = this.#m.memory.place(store.pa);
    this.#m.memory.words[at] = store.lo;
    if (!store.half) this.#m.memory.words[at + 1] = store.hi;
  }

  #drain(cpu: Cpu): void {
    const buffer = this.buffers[cpu.id]!;
    while (!buffer.isEmpty) this.#apply(buffer.leave()!);
  }

  hardwareMoves(processor: Processor): number {
    return this.buffers[processor.id]!.isEmpty ? 0 : 1;
  }

  performHardware(processor: Processor): void {
    this.#apply(this.buffers[processor.id]!.leave()!);
  }

  hash(into: Hasher): void {
    this.#hashMemory(into);
    for (const cpu of this.#m.cpus) {
      into.add(cpu.guest?.id ?? -1);
      into.add(cpu.block);
      for (const { vector } of cpu.latched) into.add(vector);
      into.add(-2);
      for (const { vector } of cpu.inFlight) into.add(vector);
      into.add(-3);
      for (const store of this.buffers[cpu.id]!.stores) {
        for (const value of [store.pa, store.lo, store.hi]) into.add(value);
      }
      this.#hashTlb(into, cpu);
    }
  }

  /** What the TLB may answer, not where it keeps it. */
  #hashTlb(into: Hasher, cpu: Cpu): void {
    for (const root of this.#options.roots) {
      const space = cpu.guestPhysicalSpace(root);
      for (let page = 0; page < this.#options.pages; page++) {
        into.add(cpu.tlb.lookup(space, page, 1));
        into.add(cpu.tlb.lookup(space, page, 2));
      }
    }
  }

  #hashMemory(into: Hasher): void {
    const memory = this.#m.memory as HeardMemory;
    for (const pfn of memory.touched) this.#frames.set(pfn, hashFrame(memory, pfn));
    memory.touched.clear();
    let low = 0; // sums over all frames, in whatever order they were touched
    let high = 0;
    for (const hash of this.#frames.values()) {
      low = (low + (hash | 0)) | 0;
      high = (high + Math.floor(hash / 4294967296)) | 0;
    }
    into.add(low);
    into.add(high);
  }
}

/** Hash of a frame's number and words; 0 for one that is all zero. */
function hashFrame(memory: Memory, pfn: number): number {
  if (!memory.isMaterialised(pfn)) return 0;
  const hasher = new Hasher();
  const first = memory.indexOf(pfn * FRAME_BYTES);
  const { words } = memory;
  let any = false;
  for (let i = 0; i < FRAME_BYTES / 4; i++) {
    const half = words[first + i]!;
    if (half === 0) continue;
    any = true;
    hasher.add(pfn * 1024 + i);
    hasher.add(half);
  }
  return any ? hasher.value : 0;
}

function complete(frame: Frame, lo: number, hi: number): void {
  frame.word.lo = lo;
  frame.word.hi = hi;
  frame.word.ok = true;
  frame.state = 'done';
}

/** What a locked operation would store; undefined for a compare-and-swap that fails. */
function modified(
  act: Frame['act'],
  old: { lo: number; hi: number },
): { lo: number; hi: number } | undefined {
  switch (act.op) {
    case Op.cas:
      return old.lo === act.seenLo && old.hi === act.seenHi
        ? { lo: act.lo, hi: act.hi }
        : undefined;
    case Op.add: {
      const sum = (old.lo >>> 0) + (act.lo >>> 0);
      return { lo: sum | 0, hi: (old.hi + act.hi + (sum > 0xffffffff ? 1 : 0)) | 0 };
    }
    case Op.or:
      return { lo: old.lo | act.lo, hi: old.hi | act.hi };
    case Op.and:
      return { lo: old.lo & act.lo, hi: old.hi & act.hi };
    default:
      return { lo: act.lo, hi: act.hi };
  }
}
