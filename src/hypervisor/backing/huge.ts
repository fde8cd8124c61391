/**
 * Huge pages of the host behind a VM: for each aligned block of guest pages one word, as the PMD or
 * PUD of the VMM's address space would be. A block is empty, or one huge page, or a huge page that
 * was split because a part of it was given back; it never becomes huge again.
 *
 * The frame of a split block stays in its word, so splitting is one compare-and-swap and fills no
 * table: the word of a page says only what differs from the block (given back, or a new frame).
 *
 * Leaves out: khugepaged and promotion, the zeroing of a huge page in the order of distance, page
 * table locks, falling back to small pages where no block is free.
 */
import type { Arena } from '../../alloc/arena.ts';
import { zeroFrame } from '../../machine/instruction.ts';
import type { Memory } from '../../machine/memory.ts';
import { Unit } from '../../machine/preset/price.ts';
import { num, type Routine, won } from '../../runtime/act.ts';
import type { Context } from '../../runtime/context.ts';
import type { Platform } from '../platform.ts';

/** Size of the host's pages: level of the second stage that serves one, and 4 KiB pages in it. */
export interface HugeSize {
  readonly level: number;
  readonly pages: number;
}

/** What a look-up answers is a frame plus so much times the level of the page that it lies in. */
const LEVEL = 2 ** 44;

export function frameOf(found: number): number {
  return found % LEVEL;
}

export function levelOf(found: number): number {
  return Math.floor(found / LEVEL);
}

/** Of a page's word in a split block. */
const GIVEN_BACK = 1;
/** Levels of the host's own tables above a 4 KiB page. */
const HOST_LEVELS = 4;

interface View {
  read(at: number): number;
}

function isHuge(block: number): boolean {
  return block !== 0 && block % 2 === 0;
}

function isSplit(block: number): boolean {
  return block % 2 === 1;
}

function blockFrame(block: number): number {
  return Math.floor(block / 2) - 1;
}

function hugeAt(frame: number): number {
  return 2 * (frame + 1);
}

/** The whole blocks of one slot. */
export class Blocks {
  readonly #platform: Platform;
  readonly size: HugeSize;
  /** Whole blocks: guest pages [first, end). */
  readonly #first: number;
  readonly #end: number;
  readonly #words: number;
  readonly #dirty: number;
  /** Words of the slot's pages, from page `base` on. */
  readonly #pages: number;
  readonly #base: number;

  constructor(
    platform: Platform,
    size: HugeSize,
    slot: { readonly base: number; readonly pages: number; readonly words: number },
  ) {
    const { arena }: { arena: Arena } = platform;
    this.#platform = platform;
    this.size = size;
    this.#first = Math.ceil(slot.base / size.pages) * size.pages;
    this.#end = Math.floor((slot.base + slot.pages) / size.pages) * size.pages;
    const blocks = Math.max(0, (this.#end - this.#first) / size.pages);
    this.#words = arena.take(blocks * 8);
    this.#dirty = arena.take(blocks * 8);
    this.#pages = slot.words;
    this.#base = slot.base;
  }

  /** Whether the page lies in a whole block. */
  covers(gfn: number): boolean {
    return gfn >= this.#first && gfn < this.#end;
  }

  firstOf(gfn: number): number {
    return gfn - (gfn % this.size.pages);
  }

  /** Frame and level of a page, made resident if it is not. May sleep. */
  *find(cpu: Context, gfn: number): Routine<number> {
    const { level, pages } = this.size;
    const offset = gfn % pages;
    cpu.spend(Unit.levelWalked, HOST_LEVELS - level);
    const word = this.#word(gfn);
    cpu.attempt('backing.find-huge');
    for (;;) {
      const block = num(yield cpu.load(word, 'backing.block-look'));
      if (isHuge(block)) {
        cpu.conclude('backing.find-huge', block);
        return blockFrame(block) + offset + level * LEVEL;
      }
      if (isSplit(block)) {
        cpu.conclude('backing.find-huge', block);
        return yield* this.#findSmall(cpu, gfn, blockFrame(block) + offset);
      }
      const { frames } = this.#platform;
      const first = yield* frames.takeBlock(cpu, pages);
      for (let i = 0; i < pages; i++) yield zeroFrame(cpu, first + i, 'backing.zero');
      if (!won(yield cpu.cas(word, 0, hugeAt(first), 'backing.block-install'))) {
        for (let i = 0; i < pages; i++) frames.give(cpu, first + i); // somebody else was faster
      }
      cpu.again('backing.find-huge');
    }
  }

  /** In a split block; `original`: the frame that the page had in the huge one. */
  *#findSmall(cpu: Context, gfn: number, original: number): Routine<number> {
    const word = this.#pageWord(gfn);
    const { frames } = this.#platform;
    cpu.spend(Unit.levelWalked, this.size.level);
    cpu.attempt('backing.find');
    for (;;) {
      const seen = num(yield cpu.load(word, 'backing.look'));
      if (seen !== GIVEN_BACK) {
        cpu.conclude('backing.find', seen);
        return seen === 0 ? original : seen - 1;
      }
      const frame = yield* frames.take(cpu);
      yield zeroFrame(cpu, frame, 'backing.zero');
      if (won(yield cpu.cas(word, GIVEN_BACK, frame + 1, 'backing.install-piece'))) {
        cpu.conclude('backing.find', frame + 1);
        return frame;
      }
      frames.give(cpu, frame);
      cpu.again('backing.find');
    }
  }

  /** Frame of a page that is resident now; -1 otherwise. */
  *resident(cpu: Context, gfn: number): Routine<number> {
    const block = num(yield cpu.load(this.#word(gfn), 'backing.block-resident'));
    if (block === 0) return -1;
    const original = blockFrame(block) + (gfn % this.size.pages);
    if (isHuge(block)) return original;
    return frameIn(num(yield cpu.load(this.#pageWord(gfn), 'backing.resident')), original);
  }

  /** Takes one page away: a huge page is split first. Its frame, or -1 if there was none. */
  *release(cpu: Context, gfn: number): Routine<number> {
    const word = this.#word(gfn);
    const block = num(yield cpu.load(word, 'backing.block-release'));
    if (block === 0) return -1;
    // Whoever loses finds it split: there is no other change.
    if (isHuge(block)) yield cpu.cas(word, block, block + 1, 'backing.block-split');
    const old = num(yield cpu.exchange(this.#pageWord(gfn), GIVEN_BACK, 'backing.release-piece'));
    return frameIn(old, blockFrame(block) + (gfn % this.size.pages));
  }

  /** Whether the host's page around `gfn` is or may still become a huge one. */
  *mayBeHuge(cpu: Context, gfn: number): Routine<boolean> {
    return !isSplit(num(yield cpu.load(this.#word(gfn), 'backing.block-widen')));
  }

  /** A dirty huge entry was taken away: some page of the block was written to. */
  *markDirty(cpu: Context, gfn: number): Routine<void> {
    yield cpu.store(this.#index(this.#dirty, gfn), 1, 'backing.block-dirty');
  }

  isMarkedDirty(view: View, gfn: number): boolean {
    return view.read(this.#index(this.#dirty, gfn)) !== 0;
  }

  /** Before anybody runs: makes the block around `gfn` resident; frame of the page. */
  install(memory: Memory, gfn: number): number {
    const word = this.#word(gfn);
    if (memory.read(word) === 0) {
      const { frames } = this.#platform;
      memory.write(word, hugeAt(frames.reserveBlock(memory, this.size.pages)));
    }
    return this.peekFrame(memory, gfn);
  }

  /** At quiescence: the frame behind `gfn`, or -1. */
  peekFrame(view: View, gfn: number): number {
    const block = view.read(this.#word(gfn));
    if (block === 0) return -1;
    const original = blockFrame(block) + (gfn % this.size.pages);
    return isHuge(block) ? original : frameIn(view.read(this.#pageWord(gfn)), original);
  }

  #word(gfn: number): number {
    return this.#index(this.#words, gfn);
  }

  #index(array: number, gfn: number): number {
    return array + Math.floor((gfn - this.#first) / this.size.pages) * 8;
  }

  #pageWord(gfn: number): number {
    return this.#pages + (gfn - this.#base) * 8;
  }
}

/** What a page's word in a split block means. */
function frameIn(word: number, original: number): number {
  if (word === GIVEN_BACK) return -1;
  return word === 0 ? original : word - 1;
}
