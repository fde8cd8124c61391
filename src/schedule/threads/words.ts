/**
 * 64-bit words in a SharedArrayBuffer, with the hardware's own atomic operations. The only place
 * where a word is a BigInt: `Atomics` knows no other 64-bit numbers.
 */
import { join } from '../../base/bits.ts';
import { Op, type Word } from '../../runtime/act.ts';
import type { SharedWords, WordAct } from '../../runtime/threads.ts';

export class AtomicWords implements SharedWords {
  readonly halves: Int32Array;
  readonly #words: BigInt64Array;

  constructor(memory: SharedArrayBuffer) {
    this.halves = new Int32Array(memory);
    this.#words = new BigInt64Array(memory);
  }

  value(index: number): number {
    const value = Atomics.load(this.#words, index / 2);
    return join(Number(BigInt.asIntN(32, value)), Number(BigInt.asIntN(32, value >> 32n)));
  }

  perform(act: WordAct, index: number, word: Word): void {
    word.ok = true;
    const held = this.#performOn(act, index / 2, word);
    word.lo = Number(BigInt.asIntN(32, held));
    word.hi = Number(BigInt.asIntN(32, held >> 32n));
  }

  /** What the word held; 0 where only a store was asked for. */
  #performOn(act: WordAct, at: number, word: Word): bigint {
    const words = this.#words;
    const value = (BigInt(act.hi) << 32n) | BigInt(act.lo >>> 0);
    switch (act.op) {
      case Op.load:
        return Atomics.load(words, at);
      case Op.store:
        Atomics.store(words, at, value);
        return 0n;
      case Op.storeLow:
        Atomics.store(this.halves, at * 2, act.lo);
        return 0n;
      case Op.cas: {
        const seen = (BigInt(act.seenHi) << 32n) | BigInt(act.seenLo >>> 0);
        const held = Atomics.compareExchange(words, at, seen, value);
        word.ok = held === seen;
        return held;
      }
      case Op.exchange:
        return Atomics.exchange(words, at, value);
      case Op.add:
        return Atomics.add(words, at, value);
      case Op.or:
        return Atomics.or(words, at, value);
      default:
        return Atomics.and(words, at, value);
    }
  }
}
