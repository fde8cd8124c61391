/**
 * Memory whose words other threads see. While a system is built its words are private, as every
 * thread builds the same; from `share` on they are everybody's. Plain words are plain accesses to
 * both halves, as they would be on hardware; whatever decides a wait is read at once.
 */
import type { SharedWords } from '../../runtime/threads.ts';
import { FlatMemory } from '../flat-memory.ts';

export class SharedMemory extends FlatMemory {
  #shared: SharedWords | undefined;
  /** Told the index of every plain write, once words are shared. */
  whenWritten: ((index: number) => void) | undefined;

  share(words: SharedWords): void {
    this.#shared = words;
    this.words = words.halves;
  }

  /** What `peek` and onlookers read. */
  override read(pa: number): number {
    return this.#shared === undefined ? super.read(pa) : this.#shared.value(this.indexOf(pa));
  }

  /** As the hardware's locked operation: nothing if somebody was faster. */
  override setFlags(at: number, seen: number, bits: number): boolean {
    return Atomics.compareExchange(this.words, at, seen, seen | bits) === seen;
  }

  override setValueAt(at: number, value: number): void {
    super.setValueAt(at, value);
    if (this.#shared !== undefined) this.whenWritten?.(at);
  }
}
