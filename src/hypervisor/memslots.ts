/**
 * Memslots: the ranges of guest pages that user space gives a VM, with what may change about each
 * while vCPUs run, and for each the bitmap of pages that were written to. Look-ups take no lock:
 * they are SRCU readers in KVM, and here lie between an exit and the next entry of a vCPU, which is
 * what `sync/rcu.ts` waits for. Changes are made under the slots lock.
 *
 * Source: virt/kvm/kvm_main.c (facts; primer/x86.md 2.1, 2.6).
 * Leaves out: slots that are created or moved while a VM runs, address spaces (SMM), the ring.
 */
import { defect } from '../base/assert.ts';
import type { Word } from '../runtime/act.ts';
import { num, type Routine } from '../runtime/act.ts';
import type { Context } from '../runtime/context.ts';
import { atomic, atomicLine, layout } from '../runtime/layout.ts';
import { type Spinlock, spinlock } from '../sync/spinlock.ts';
import type { Platform } from './platform.ts';

const SlotsWords = layout('kvm.slots', { lock: atomicLine, logging: atomic });
const SlotWords = layout('kvm.slot', { flags: atomicLine });

/** Flag of a slot: its pages are to be logged when they are written to. */
export const SLOT_LOGS = 1;
/** Pages whose bits one word of a bitmap holds. */
const PER_WORD = 64;

interface View {
  read(at: number): number;
  word(at: number): { readonly lo: number; readonly hi: number };
}

export interface Memslot {
  readonly first: number;
  readonly end: number;
  /** Address of its words. */
  readonly words: number;
  readonly bitmap: number;
}

export class Memslots {
  readonly slots: readonly Memslot[];
  /** Held over every change: KVM's slots_lock. */
  readonly lock: Spinlock;
  readonly #words: number;

  constructor(platform: Platform, ranges: readonly { first: number; end: number }[]) {
    const { arena } = platform;
    this.#words = arena.place(SlotsWords);
    this.lock = spinlock(this.#words + SlotsWords.at.lock, 'l0.slots');
    this.slots = ranges.map(({ first, end }) => {
      const bitmap = arena.take(Math.ceil((end - first) / PER_WORD) * 8);
      return { first, end, words: arena.place(SlotWords), bitmap };
    });
  }

  slotOf(gfn: number): Memslot {
    const found = this.slots.find(({ first, end }) => gfn >= first && gfn < end);
    return found ?? defect('Memslots.slotOf', `page ${gfn} lies in no slot`);
  }

  /** Whether writes to the page are to be logged now. */
  *logs(cpu: Context, gfn: number): Routine<boolean> {
    const slot = this.slots.find(({ first, end }) => gfn >= first && gfn < end);
    if (slot === undefined) return false;
    const flags = num(yield cpu.load(slot.words + SlotWords.at.flags, 'slot.flags'));
    return (flags & SLOT_LOGS) !== 0;
  }

  /** The flags are there for everybody before the grace period that follows looks at a vCPU. */
  *setFlags(cpu: Context, slot: Memslot, flags: number): Routine<void> {
    yield cpu.store(slot.words + SlotWords.at.flags, flags, 'slot.publish');
    yield cpu.fence('slot.publish-barrier'); // synchronize_srcu begins with one
  }

  /** How many slots are logged changes by `delta`; the vCPUs look at that. */
  *countLogging(cpu: Context, delta: number): Routine<void> {
    yield cpu.add(this.#words + SlotsWords.at.logging, delta, 'slot.logging');
  }

  *anyLogs(cpu: Context): Routine<boolean> {
    return num(yield cpu.load(this.#words + SlotsWords.at.logging, 'slot.any-logging')) !== 0;
  }

  /** Sets the page's bit (`mark_page_dirty_in_slot`). */
  *mark(cpu: Context, gfn: number): Routine<void> {
    const { bitmap, first } = this.slotOf(gfn);
    const at = bitmap + Math.floor((gfn - first) / PER_WORD) * 8;
    yield cpu.or(at, 2 ** ((gfn - first) % PER_WORD), 'log.mark');
  }

  *forgetAll(cpu: Context, { bitmap, first, end }: Memslot): Routine<void> {
    for (let i = 0; i < Math.ceil((end - first) / PER_WORD); i++) {
      yield cpu.store(bitmap + i * 8, 0, 'log.forget');
    }
  }

  /** The pages whose bits are set, in words that each answer for consecutive pages. */
  *take(cpu: Context, slot: Memslot, word: number): Routine<readonly number[]> {
    const at = slot.bitmap + word * 8;
    const first = slot.first + word * PER_WORD;
    cpu.attempt('log.take');
    const isSet = pagesIn(yield cpu.load(at, 'log.look'), first).length > 0;
    const pages = isSet ? pagesIn(yield cpu.exchange(at, 0, 'log.take'), first) : [];
    if (!isSet) cpu.conclude('log.take', 0);
    return pages;
  }

  wordsOf({ first, end }: Memslot): number {
    return Math.ceil((end - first) / PER_WORD);
  }

  /** For onlookers: whether a slot is logged, and whether a page's bit is set. */
  isLogged(view: View, gfn: number): boolean {
    return (view.read(this.slotOf(gfn).words + SlotWords.at.flags) & SLOT_LOGS) !== 0;
  }

  isMarked(view: View, gfn: number): boolean {
    const { bitmap, first } = this.slotOf(gfn);
    const index = gfn - first;
    const { lo, hi } = view.word(bitmap + Math.floor(index / PER_WORD) * 8);
    const bit = index % PER_WORD;
    return (bit < 32 ? lo >>> bit : hi >>> (bit - 32)) % 2 === 1;
  }
}

/** Pages whose bits a word has, the lowest bit being `first`'s. */
function pagesIn({ lo, hi }: Word, first: number): number[] {
  const pages: number[] = [];
  for (let bits = lo; bits !== 0; bits &= bits - 1) pages.push(first + lowest(bits));
  for (let bits = hi; bits !== 0; bits &= bits - 1) pages.push(first + 32 + lowest(bits));
  return pages;
}

function lowest(bits: number): number {
  return 31 - Math.clz32(bits & -bits);
}
