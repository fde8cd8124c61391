/**
 * Anonymous host memory behind a VM: for each guest page the frame that backs it, allocated and
 * zeroed at the first fault, as a host's page table of the VMM's address space would say. Pages are
 * grouped in slots (memslots); slots are fixed after boot.
 *
 * Leaves out: page-table locks, swap, huge pages, mmap_lock and the allocator's contention: they
 * bound real systems and are the same for every design here.
 */
import { defect } from '../../base/assert.ts';
import { zeroFrame } from '../../machine/instruction.ts';
import type { Memory } from '../../machine/memory.ts';
import { Unit } from '../../machine/preset/price.ts';
import { num, type Routine, won } from '../../runtime/act.ts';
import type { Context } from '../../runtime/context.ts';
import type { Platform } from '../platform.ts';

/** Levels of the host's own tables that a look-up walks in software. */
const HOST_LEVELS = 4;

export interface Slot {
  readonly base: number;
  readonly pages: number;
  /** One word per page: frame + 1, or 0. */
  readonly words: number;
  /** One word per page: 1 once somebody who unmapped it has found it written to. */
  readonly dirty: number;
}

export class AnonymousBacking {
  readonly #platform: Platform;
  readonly #slots: readonly Slot[];

  /** `ranges`: guest page ranges in ascending order. */
  constructor(platform: Platform, ranges: readonly { base: number; pages: number }[]) {
    this.#platform = platform;
    const { arena } = platform;
    this.#slots = ranges.map(({ base, pages }) => {
      return { base, pages, words: arena.take(pages * 8), dirty: arena.take(pages * 8) };
    });
  }

  /** Whether the page is memory at all. */
  has(gfn: number): boolean {
    return this.#find(gfn) !== undefined;
  }

  /** Whether the range lies inside one slot. */
  covers(range: { readonly first: number; readonly end: number }): boolean {
    const slot = this.#find(range.first);
    return slot !== undefined && range.end > range.first && range.end <= slot.base + slot.pages;
  }

  /** Frame behind `gfn`, made resident if it is not; -1 if the page is no memory. May sleep. */
  *find(cpu: Context, gfn: number): Routine<number> {
    cpu.spend(Unit.levelWalked, HOST_LEVELS);
    const word = this.#word(gfn);
    if (word < 0) return -1;
    const { frames } = this.#platform;
    cpu.attempt('backing.find');
    for (;;) {
      const seen = num(yield cpu.load(word, 'backing.look'));
      if (seen !== 0) return seen - 1;
      const listed = frames.takeListed(cpu);
      const frame = listed !== 0 ? listed : yield* frames.refill(cpu);
      yield zeroFrame(cpu, frame, 'backing.zero');
      if (won(yield cpu.cas(word, 0, frame + 1, 'backing.install'))) {
        cpu.conclude('backing.find', frame);
        return frame;
      }
      // Somebody else was faster; by now their page may have been taken away again.
      frames.give(cpu, frame);
      cpu.again('backing.find');
    }
  }

  /** Frame behind `gfn` if it is resident now, without making it so; -1 otherwise. */
  *resident(cpu: Context, gfn: number): Routine<number> {
    cpu.spend(Unit.levelWalked, HOST_LEVELS);
    const word = this.#word(gfn);
    return word < 0 ? -1 : num(yield cpu.load(word, 'backing.resident')) - 1;
  }

  /** Takes the page away and frees its frame; nobody may be able to reach it any more. */
  *release(cpu: Context, gfn: number): Routine<void> {
    const word = this.#word(gfn);
    if (word < 0) defect('AnonymousBacking.release', `page ${gfn} is no memory`);
    const old = num(yield cpu.exchange(word, 0, 'backing.release'));
    if (old !== 0) this.#platform.frames.give(cpu, old - 1);
  }

  /**
   * Notes that the page was written to, as whoever takes a dirty entry away must: the entry was the
   * only one to know (`folio_mark_dirty`).
   */
  *markDirty(cpu: Context, gfn: number): Routine<void> {
    const slot =
      this.#find(gfn) ?? defect('AnonymousBacking.markDirty', `page ${gfn} is no memory`);
    yield cpu.store(slot.dirty + (gfn - slot.base) * 8, 1, 'backing.dirty');
  }

  /** At quiescence: whether the page was noted as written to. */
  isMarkedDirty(memory: { read(at: number): number }, gfn: number): boolean {
    const slot = this.#find(gfn);
    return slot !== undefined && memory.read(slot.dirty + (gfn - slot.base) * 8) !== 0;
  }

  /** Takes every page away: the VM is gone. */
  *releaseAll(cpu: Context): Routine<void> {
    for (const { base, pages } of this.#slots) {
      for (let gfn = base; gfn < base + pages; gfn++) yield* this.release(cpu, gfn);
    }
  }

  /** Before anybody runs: `pfn` backs `gfn`. */
  install(memory: Memory, gfn: number, pfn: number): void {
    memory.write(this.#word(gfn), pfn + 1);
  }

  /** At quiescence: the frame behind `gfn`, or -1. */
  peekFrame(memory: { read(at: number): number }, gfn: number): number {
    return memory.read(this.#word(gfn)) - 1;
  }

  #word(gfn: number): number {
    const slot = this.#find(gfn);
    return slot === undefined ? -1 : slot.words + (gfn - slot.base) * 8;
  }

  #find(gfn: number): Slot | undefined {
    let low = 0;
    let high = this.#slots.length - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      const slot = this.#slots[middle]!;
      if (gfn < slot.base) high = middle - 1;
      else if (gfn >= slot.base + slot.pages) low = middle + 1;
      else return slot;
    }
    return undefined;
  }
}
