/**
 * How a checker sees memory: words of one level, in that level's own addresses, read without a
 * step, a price or a cache line; and an onlooker, who runs the system's own readers on a copy of
 * what he sees.
 */
import { high, join } from '../../base/bits.ts';
import type { Word64 } from '../../machine/format/format.ts';
import { FRAME_BYTES, type Memory } from '../../machine/memory.ts';
import { type Act, Op, type Routine, type Word } from '../../runtime/act.ts';
import { Context, type PlainMemory } from '../../runtime/context.ts';

/** Words of one level's memory at one moment. */
export interface View {
  read(at: number): number;
  word(at: number): Word64;
}

/** Host-physical memory. */
export function hostView(memory: Memory): View {
  const word = (at: number): Word64 => {
    const index = memory.indexOf(at);
    return { lo: memory.words[index], hi: memory.words[index + 1] };
  };
  return { read: (at) => memory.read(at), word };
}

/** The same, and says which half-words are read; a hole is named by a negative index. */
export function overheardView(memory: Memory, heard: (index: number) => void): View {
  const word = (at: number): Word64 => {
    const index = memory.indexOf(at);
    heard(index);
    heard(index + 1);
    return { lo: memory.words[index], hi: memory.words[index + 1] };
  };
  const read = (at: number): number => {
    const { lo, hi } = word(at);
    return join(lo, hi);
  };
  return { read, word };
}

/** Memory of a guest hypervisor, by the host frame behind each of its pages. */
export function guestView(host: View, frameOf: (gfn: number) => number): View {
  const toHost = (at: number): number =>
    frameOf(Math.floor(at / FRAME_BYTES)) * FRAME_BYTES + (at % FRAME_BYTES);
  return { read: (at) => host.read(toHost(at)), word: (at) => host.word(toHost(at)) };
}

/** Writes of an onlooker, laid over what he sees. */
class Overlay implements PlainMemory, View {
  readonly #below: View;
  readonly #written = new Map<number, Word64>();

  constructor(below: View) {
    this.#below = below;
  }

  read(context: Context, at: number): number;
  read(at: number): number;
  read(contextOrAt: Context | number, at?: number): number {
    const { lo, hi } = this.word(at ?? (contextOrAt as number));
    return join(lo, hi);
  }

  word(at: number): Word64 {
    return this.#written.get(at) ?? this.#below.word(at);
  }

  put(at: number, word: Word64): void {
    this.#written.set(at, word);
  }

  write(_context: Context, at: number, value: number): void {
    this.put(at, { lo: value | 0, hi: high(value) });
  }

  readRun(_context: Context, at: number, into: Float64Array): void {
    for (let i = 0; i < into.length; i++) into[i] = this.read(at + 8 * i);
  }

  writeRun(context: Context, at: number, from: Float64Array): void {
    for (let i = 0; i < from.length; i++) this.write(context, at + 8 * i, from[i]!);
  }

  peek(_context: Context, at: number): number {
    return this.read(at);
  }

  spend(): void {
    // looking costs nothing
  }

  note(): void {
    // and leaves no trace
  }

  tracepoint(): void {
    // nor does anybody listen
  }
}

/**
 * Runs routines of the system with every write kept to itself: so a list is read by the code that
 * knows its layout, and a free list is emptied to see what is in it.
 */
export class Onlooker {
  readonly me: Context;
  readonly memory: Overlay;

  /** `seat`: whose per-CPU words the routines work on. */
  constructor(view: View, seat = 0) {
    this.memory = new Overlay(view);
    this.me = new Context(-1, 'onlooker', this.memory);
    this.me.seat = seat;
    this.me.cpu = seat;
  }

  /** What the routine returns; undefined if it would have to wait for somebody. */
  run<T>(code: (me: Context) => Routine<T>): T | undefined {
    const { result } = this.#look(code, (act, word) => perform(this.memory, act, word));
    return result;
  }

  /** What the routine returns; undefined if it offers any act: for lists of private words. */
  runPrivate<T>(code: (me: Context) => Routine<T>): T | undefined {
    return this.#look(code, () => false).result;
  }

  /** Address of the first act that the routine offers, which is not performed; -1 if none. */
  firstAddress(code: (me: Context) => Routine<unknown>): number {
    return this.#look(code, () => false).stoppedAt;
  }

  /** Runs the code until it returns, or until `does` refuses an act. */
  #look<T>(
    code: (me: Context) => Routine<T>,
    does: (act: Act, word: Word) => boolean,
  ): { readonly result: T | undefined; readonly stoppedAt: number } {
    const { me } = this;
    let result: T | undefined;
    const body = function* run(): Routine<void> {
      result = yield* code(me);
    };
    me.push(body());
    for (;;) {
      me.advance();
      if (me.finished) return { result, stoppedAt: -1 };
      const { act, word } = me.top;
      if (!does(act, word)) {
        me.kill();
        return { result: undefined, stoppedAt: act.at };
      }
      me.top.state = 'done';
    }
  }
}

/** False for a wait that does not hold; instructions have no effect here. */
function perform(memory: Overlay, act: Act, word: Word): boolean {
  if (act.op === Op.wait) return act.ready!();
  if (act.op > Op.and) return true;
  const { lo, hi } = memory.word(act.at);
  word.lo = lo;
  word.hi = hi;
  word.ok = act.op !== Op.cas || (lo === act.seenLo && hi === act.seenHi);
  if (word.ok) memory.put(act.at, after(act, lo, hi));
  return true;
}

function after(act: Act, lo: number, hi: number): Word64 {
  switch (act.op) {
    case Op.load:
    case Op.fence:
      return { lo, hi };
    case Op.storeLow:
      return { lo: act.lo, hi };
    case Op.add: {
      const sum = (lo >>> 0) + (act.lo >>> 0);
      return { lo: sum | 0, hi: (hi + act.hi + (sum > 0xffffffff ? 1 : 0)) | 0 };
    }
    case Op.or:
      return { lo: lo | act.lo, hi: hi | act.hi };
    case Op.and:
      return { lo: lo & act.lo, hi: hi & act.hi };
    default: // store, exchange, compare-and-swap that won
      return { lo: act.lo, hi: act.hi };
  }
}

/** A number as sentences show it. */
export function hex(value: number): string {
  return value < 0 ? 'none' : `0x${value.toString(16)}`;
}
