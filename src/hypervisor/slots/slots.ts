/**
 * Memory slots that come and go while a VM runs: two sets of them, of which one is active. Look-ups
 * take no lock; a change is written into the set that is not active, published, and the other set
 * is touched again only after everybody who may have read it is through (SRCU in KVM; here what
 * `sync/rcu.ts` waits for, as a look-up lies between an exit and the next entry of a vCPU).
 *
 * The generation rises with every change, but only after that grace period; until then the new set
 * carries the old number and a mark that a change is under way. So whoever found no slot for a page
 * in the old set cannot note the new number for it, and a note with the old number is not believed
 * once the new set is there.
 *
 * A slot names the pages of user space's memory behind it, by number. User space takes those away
 * by that number; the guest pages that they are at that time are the active set's. While such an
 * invalidation runs no other set is made active, or its end would concern other pages than its
 * beginning did.
 *
 * Source: virt/kvm/kvm_main.c, kvm_swap_active_memslots, search_memslots (facts; primer/x86.md 2.6,
 * MMIO and memslot delete).
 * Leaves out: address spaces (SMM), the cache of the last slot, the trees that a set is kept in
 * (here it is an ascending array that is searched by halves), dirty bitmaps: memslots.ts has them.
 */
import { defect } from '../../base/assert.ts';
import { Unit } from '../../machine/preset/price.ts';
import { num, type Routine } from '../../runtime/act.ts';
import type { Context } from '../../runtime/context.ts';
import { atomic, atomicLine, layout, plain, plainLine } from '../../runtime/layout.ts';
import type { Rcu } from '../../sync/rcu.ts';
import { lock, type Spinlock, spinlock, unlock } from '../../sync/spinlock.ts';
import type { PageRange } from '../mmu/common.ts';
import type { Platform } from '../platform.ts';

const ListWords = layout('kvm.slot-list', {
  lock: atomicLine,
  active: atomicLine,
  notifierLock: atomicLine,
  notifiers: atomic,
});
const SetWords = layout('kvm.slot-set', { generation: atomicLine, count: plainLine });
/** `page`: user space's page behind `first`. */
const RecordWords = layout('kvm.slot-record', {
  first: plainLine,
  end: plain,
  page: plain,
  leaving: plain,
});

/** What a look-up answers instead of a page: it is in no slot; its slot is being taken away. */
export const NO_SLOT = -1;
export const SLOT_LEAVING = -2;
/** Of a generation: a change is under way, and it is nothing to note or to believe. */
const CHANGING = 2 ** 40;

interface View {
  read(at: number): number;
}

/** Guest pages [first, end) and the page of user space's memory behind the first. */
export interface Slot extends PageRange {
  readonly page: number;
  readonly isLeaving: boolean;
}

export class SlotSets {
  /** Held over every change: KVM's slots_lock. */
  readonly lock: Spinlock;
  /** Over the number of invalidations under way: KVM's mn_invalidate_lock. */
  readonly notifierLock: Spinlock;
  /** Grace periods of look-ups; there once all vCPUs exist. */
  rcu: Rcu | undefined;
  /** Called when the generations that entries keep begin anew: before anybody can see the first. */
  onWrap: (cpu: Context) => Routine<void> = nothingToZap;
  readonly #words: number;
  readonly #sets: readonly [number, number];
  readonly #capacity: number;
  readonly #generations: number;

  /** `generationBits`: how much of a generation is kept of it elsewhere. */
  constructor(
    platform: Platform,
    slots: readonly Slot[],
    { capacity, generationBits }: { readonly capacity: number; readonly generationBits: number },
  ) {
    const { arena, boot } = platform;
    this.#words = arena.place(ListWords);
    this.#capacity = capacity;
    this.#generations = 2 ** generationBits;
    this.lock = spinlock(this.#words + ListWords.at.lock, 'l0.slots');
    this.notifierLock = spinlock(this.#words + ListWords.at.notifierLock, 'l0.notifier');
    const set = (): number => {
      const at = arena.place(SetWords);
      for (let i = 0; i < capacity; i++) arena.place(RecordWords);
      return at;
    };
    this.#sets = [set(), set()];
    this.#write(this.#sets[0], slots, (at, value) => boot.write(at, value));
  }

  // --- look-ups ----------------------------------------------------------------------------

  /** Page of user space's memory behind a guest page, or NO_SLOT, or SLOT_LEAVING. */
  *find(cpu: Context, gfn: number): Routine<number> {
    const set = this.#sets[num(yield cpu.load(this.#active, 'slots.active')) as 0 | 1];
    const slot = this.#search(set, gfn, (at) => {
      cpu.spend(Unit.listElement, 1);
      return cpu.read(at);
    });
    if (slot === undefined) return NO_SLOT;
    return slot.isLeaving ? SLOT_LEAVING : slot.page + gfn - slot.first;
  }

  /** The same for whoever keeps changes away: of slots that are leaving, too. */
  *pageOf(cpu: Context, gfn: number): Routine<number> {
    const set = this.#sets[num(yield cpu.load(this.#active, 'slots.active')) as 0 | 1];
    const slot = this.#search(set, gfn, (at) => cpu.read(at));
    return slot === undefined ? NO_SLOT : slot.page + gfn - slot.first;
  }

  /** The number to note in an entry; whoever notes it found the page in no slot before. */
  *generation(cpu: Context): Routine<number> {
    return (yield* this.#generationNow(cpu)) % this.#generations;
  }

  /** Whether a noted generation says what the slots say now. */
  *isCurrent(cpu: Context, noted: number): Routine<boolean> {
    const now = yield* this.#generationNow(cpu);
    return now < CHANGING && now % this.#generations === noted;
  }

  *#generationNow(cpu: Context): Routine<number> {
    const set = this.#sets[num(yield cpu.load(this.#active, 'slots.active')) as 0 | 1];
    return num(yield cpu.load(set + SetWords.at.generation, 'slots.generation'));
  }

  // --- user space takes its own pages away -------------------------------------------------

  /** From here to `endInvalidation` the active set stays what it is. */
  *beginInvalidation(cpu: Context): Routine<void> {
    yield* lock(cpu, this.notifierLock, 'notifier.begin.lock');
    yield cpu.add(this.#words + ListWords.at.notifiers, 1, 'notifier.begin');
    yield* unlock(cpu, this.notifierLock, 'notifier.begin.unlock');
  }

  *endInvalidation(cpu: Context): Routine<void> {
    yield* lock(cpu, this.notifierLock, 'notifier.end.lock');
    yield cpu.add(this.#words + ListWords.at.notifiers, -1, 'notifier.end');
    yield* unlock(cpu, this.notifierLock, 'notifier.end.unlock');
  }

  /** The guest pages, ascending, behind which pages of user space lie now. */
  *guestPagesOf(cpu: Context, pages: PageRange): Routine<readonly PageRange[]> {
    const set = this.#sets[num(yield cpu.load(this.#active, 'slots.active')) as 0 | 1];
    const found: PageRange[] = [];
    for (const { first, end, page } of this.#slotsOf(set, (at) => cpu.read(at))) {
      const from = Math.max(pages.first, page);
      const to = Math.min(pages.end, page + end - first);
      if (from < to) found.push({ first: first + from - page, end: first + to - page });
    }
    return found;
  }

  // --- changes, under the lock -------------------------------------------------------------

  /** The slots as they are. */
  *list(cpu: Context): Routine<readonly Slot[]> {
    const set = this.#sets[num(yield cpu.load(this.#active, 'slots.active')) as 0 | 1];
    return this.#slotsOf(set, (at) => cpu.read(at));
  }

  /** Makes these slots, ascending, the ones that everybody finds. */
  *publish(cpu: Context, slots: readonly Slot[]): Routine<void> {
    if (slots.length > this.#capacity) defect('SlotSets', `more than ${this.#capacity} slots`);
    const now = num(yield cpu.load(this.#active, 'slots.active'));
    const [old, next] = now === 0 ? this.#sets : [this.#sets[1], this.#sets[0]];
    this.#write(next, slots, (at, value) => cpu.write(at, value));
    const generation = num(yield cpu.load(old + SetWords.at.generation, 'slots.generation'));
    const changing = generation + CHANGING;
    yield cpu.store(next + SetWords.at.generation, changing, 'slots.changing');
    yield* this.#switchTo(cpu, 1 - now);
    yield cpu.fence('slots.publish-barrier'); // synchronize_srcu begins with one
    if (this.rcu !== undefined) yield* this.rcu.synchronize(cpu, 'slots.sync.wait');
    const risen = generation + 1;
    if (risen % this.#generations === 0) yield* this.onWrap(cpu);
    yield cpu.store(next + SetWords.at.generation, risen, 'slots.risen');
  }

  /** When no invalidation is under way: whoever begins one later finds the new set. */
  *#switchTo(cpu: Context, set: number): Routine<void> {
    const { at } = ListWords;
    const notifiers = this.#words + at.notifiers;
    yield* lock(cpu, this.notifierLock, 'slots.switch.lock');
    cpu.attempt('slots.switch');
    while (num(yield cpu.load(notifiers, 'slots.notifiers')) !== 0) {
      yield* unlock(cpu, this.notifierLock, 'slots.switch.unlock');
      yield cpu.wait([notifiers], () => cpu.peek(notifiers) === 0, 'slots.switch.wait');
      yield* lock(cpu, this.notifierLock, 'slots.switch.lock');
      cpu.again('slots.switch');
    }
    yield cpu.store(this.#active, set, 'slots.publish');
    yield* unlock(cpu, this.notifierLock, 'slots.switch.unlock');
  }

  get #active(): number {
    return this.#words + ListWords.at.active;
  }

  // --- words of a set ----------------------------------------------------------------------

  #write(set: number, slots: readonly Slot[], put: (at: number, value: number) => void): void {
    put(set + SetWords.at.count, slots.length);
    for (const [i, { first, end, page, isLeaving }] of slots.entries()) {
      const at = recordAt(set, i);
      put(at + RecordWords.at.first, first);
      put(at + RecordWords.at.end, end);
      put(at + RecordWords.at.page, page);
      put(at + RecordWords.at.leaving, isLeaving ? 1 : 0);
    }
  }

  #slotsOf(set: number, read: (at: number) => number): Slot[] {
    const count = read(set + SetWords.at.count);
    return Array.from({ length: count }, (_, i) => slotAt(recordAt(set, i), read));
  }

  #search(set: number, gfn: number, read: (at: number) => number): Slot | undefined {
    let low = 0;
    let high = read(set + SetWords.at.count) - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      const at = recordAt(set, middle);
      if (gfn < read(at + RecordWords.at.first)) high = middle - 1;
      else if (gfn >= read(at + RecordWords.at.end)) low = middle + 1;
      else return slotAt(at, read);
    }
    return undefined;
  }

  // --- onlookers ---------------------------------------------------------------------------

  /** Page of user space's memory behind a guest page, of slots that are leaving, too; else -1. */
  peekPage(view: View, gfn: number): number {
    const set = this.#sets[view.read(this.#active) as 0 | 1];
    const slot = this.#search(set, gfn, (at) => view.read(at));
    return slot === undefined ? NO_SLOT : slot.page + gfn - slot.first;
  }

  /** Whether a noted generation would be believed. */
  peekCurrent(view: View, noted: number): boolean {
    const set = this.#sets[view.read(this.#active) as 0 | 1];
    const now = view.read(set + SetWords.at.generation);
    return now < CHANGING && now % this.#generations === noted;
  }
}

function recordAt(set: number, index: number): number {
  return set + SetWords.bytes + index * RecordWords.bytes;
}

function slotAt(at: number, read: (at: number) => number): Slot {
  const [first, end] = [read(at + RecordWords.at.first), read(at + RecordWords.at.end)];
  const page = read(at + RecordWords.at.page);
  return { first, end, page, isLeaving: read(at + RecordWords.at.leaving) !== 0 };
}

function* nothingToZap(): Routine<void> {
  // nobody keeps generations
}
