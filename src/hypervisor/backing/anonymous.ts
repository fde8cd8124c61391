/**
 * Anonymous host memory behind a VM: for each guest page the frame that backs it, allocated and
 * zeroed at the first fault, as a host's page table of the VMM's address space would say. Pages are
 * grouped in slots (memslots); slots are fixed after boot.
 *
 * Where the host has huge pages, whole blocks of a slot are backed by them (`huge.ts`).
 *
 * Leaves out: page-table locks, swap, mmap_lock and the allocator's contention: they bound real
 * systems and are the same for every design here.
 */
import { defect } from '../../base/assert.ts';
import { zeroFrame } from '../../machine/instruction.ts';
import type { Memory } from '../../machine/memory.ts';
import { Unit } from '../../machine/preset/price.ts';
import { num, type Routine, won } from '../../runtime/act.ts';
import type { Context } from '../../runtime/context.ts';
import type { PageRange } from '../mmu/common.ts';
import type { Platform } from '../platform.ts';
import { Blocks, type HugeSize } from './huge.ts';

/** Levels of the host's own tables that a look-up walks in software. */
const HOST_LEVELS = 4;

export interface Slot {
  readonly base: number;
  readonly pages: number;
  /** One word per page: frame + 1, or 0. */
  readonly words: number;
  /** One word per page: 1 once somebody who unmapped it has found it written to. */
  readonly dirty: number;
  /** Blocks of huge pages; undefined where the host has none. */
  readonly blocks: Blocks | undefined;
}

export class AnonymousBacking {
  readonly #platform: Platform;
  readonly #slots: readonly Slot[];
  readonly huge: HugeSize | undefined;

  /** `ranges`: guest page ranges in ascending order; `huge`: the host's page size beyond 4 KiB. */
  constructor(
    platform: Platform,
    ranges: readonly { base: number; pages: number }[],
    huge?: HugeSize,
  ) {
    this.#platform = platform;
    this.huge = huge;
    const { arena } = platform;
    this.#slots = ranges.map(({ base, pages }) => {
      const words = arena.take(pages * 8);
      const dirty = arena.take(pages * 8);
      const slot = { base, pages, words };
      const blocks = huge === undefined ? undefined : new Blocks(platform, huge, slot);
      return { base, pages, words, dirty, blocks };
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

  /**
   * Frame behind `gfn`, made resident if it is not; -1 if the page is no memory. May sleep. Where
   * the host has huge pages the answer also holds the level (`levelOf`, `frameOf`).
   */
  *find(cpu: Context, gfn: number): Routine<number> {
    const blocks = this.huge === undefined ? undefined : this.#blocks(gfn);
    if (blocks !== undefined) return yield* blocks.find(cpu, gfn);
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
    const blocks = this.#blocks(gfn);
    if (blocks !== undefined) return yield* blocks.resident(cpu, gfn);
    const word = this.#word(gfn);
    return word < 0 ? -1 : num(yield cpu.load(word, 'backing.resident')) - 1;
  }

  /** Takes the page away and frees its frame; nobody may be able to reach it any more. */
  *release(cpu: Context, gfn: number): Routine<void> {
    const word = this.#word(gfn);
    if (word < 0) defect('AnonymousBacking.release', `page ${gfn} is no memory`);
    const blocks = this.#blocks(gfn);
    if (blocks !== undefined) {
      const frame = yield* blocks.release(cpu, gfn);
      if (frame >= 0) this.#platform.frames.give(cpu, frame);
      return;
    }
    const old = num(yield cpu.exchange(word, 0, 'backing.release'));
    if (old !== 0) this.#platform.frames.give(cpu, old - 1);
  }

  /**
   * Notes that the page was written to, as whoever takes a dirty entry away must: the entry was the
   * only one to know (`folio_mark_dirty`). A huge entry, of a `level` above 0, speaks for the whole
   * huge page.
   */
  *markDirty(cpu: Context, gfn: number, level = 0): Routine<void> {
    const slot =
      this.#find(gfn) ?? defect('AnonymousBacking.markDirty', `page ${gfn} is no memory`);
    if (level > 0 && slot.blocks?.covers(gfn) === true) {
      return yield* slot.blocks.markDirty(cpu, gfn);
    }
    yield cpu.store(slot.dirty + (gfn - slot.base) * 8, 1, 'backing.dirty');
  }

  /** At quiescence: whether the page was noted as written to. */
  isMarkedDirty(memory: { read(at: number): number }, gfn: number): boolean {
    const slot = this.#find(gfn);
    if (slot === undefined) return false;
    if (memory.read(slot.dirty + (gfn - slot.base) * 8) !== 0) return true;
    return slot.blocks?.covers(gfn) === true && slot.blocks.isMarkedDirty(memory, gfn);
  }

  /** Takes every page away: the VM is gone. */
  *releaseAll(cpu: Context): Routine<void> {
    for (const { base, pages } of this.#slots) {
      for (let gfn = base; gfn < base + pages; gfn++) yield* this.release(cpu, gfn);
    }
  }

  /**
   * The ranges, each widened to whole huge pages where it meets one: the host takes a part of a
   * huge page away by way of the whole (`__split_huge_pmd` announces all of it).
   */
  *widened(cpu: Context, ranges: readonly PageRange[]): Routine<readonly PageRange[]> {
    if (this.huge === undefined) return ranges;
    const { pages } = this.huge;
    const wide: PageRange[] = [];
    for (const { first, end } of ranges) {
      const from = (yield* this.mayBeHuge(cpu, first)) ? first - (first % pages) : first;
      const last = end - 1;
      const to = (yield* this.mayBeHuge(cpu, last)) ? last - (last % pages) + pages : end;
      wide.push({ first: from, end: to });
    }
    return wide;
  }

  /** Whether a huge page lies around `gfn`, or may come to lie there. */
  *mayBeHuge(cpu: Context, gfn: number): Routine<boolean> {
    const blocks = this.#blocks(gfn);
    return blocks !== undefined && (yield* blocks.mayBeHuge(cpu, gfn));
  }

  /** Before anybody runs: makes the huge page around `gfn` resident; frame of `gfn`, -1 if none. */
  installHuge(memory: Memory, gfn: number): number {
    return this.#blocks(gfn)?.install(memory, gfn) ?? -1;
  }

  /** Before anybody runs: `pfn` backs `gfn`. */
  install(memory: Memory, gfn: number, pfn: number): void {
    memory.write(this.#word(gfn), pfn + 1);
  }

  /** At quiescence: the frame behind `gfn`, or -1. */
  peekFrame(memory: { read(at: number): number }, gfn: number): number {
    const blocks = this.#blocks(gfn);
    if (blocks !== undefined) return blocks.peekFrame(memory, gfn);
    return memory.read(this.#word(gfn)) - 1;
  }

  #word(gfn: number): number {
    const slot = this.#find(gfn);
    return slot === undefined ? -1 : slot.words + (gfn - slot.base) * 8;
  }

  /** The huge pages that `gfn` may lie in. */
  #blocks(gfn: number): Blocks | undefined {
    if (this.huge === undefined) return undefined;
    const blocks = this.#find(gfn)?.blocks;
    return blocks?.covers(gfn) === true ? blocks : undefined;
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
