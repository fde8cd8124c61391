/**
 * A guest hypervisor that lives by KPOP: it resolves L2's faults from its own memory, notes them
 * in its book, and tells L0 by hypercall. It has no tables, no VMCS and no TLB to flush.
 *
 * Steps F1-F7 and V1-V6 of primer/x86.md 6.6 (proposal); the order reservation, barrier, epoch is
 * one half of the pair whose other half is `invalidate`.
 */
import { PROT_EXECUTE, PROT_READ, Status } from '../../abi/kpop.ts';
import { defect } from '../../base/assert.ts';
import type { AnonymousBacking } from '../../hypervisor/backing/anonymous.ts';
import { frameOf, levelOf } from '../../hypervisor/backing/huge.ts';
import { hullOf, type PageRange } from '../../hypervisor/mmu/common.ts';
import type { Platform } from '../../hypervisor/platform.ts';
import { FRAME_BYTES } from '../../machine/memory.ts';
import { type Act, num, type Routine, won } from '../../runtime/act.ts';
import type { Context } from '../../runtime/context.ts';
import { atomic, atomicLine, layout, plain } from '../../runtime/layout.ts';
import { lock, type Spinlock, spinlock, unlock } from '../../sync/spinlock.ts';
import type { Book, Place, Rule, Taken } from './book/book.ts';
import { type BookOptions, makeBook } from './book/kinds.ts';
import {
  isNarrowing,
  isReadOnly,
  isWritable,
  l1gfnOf,
  narrowed,
  narrowing,
  SlotState,
  slotWord,
  stateOf,
} from './book/slot.ts';
import { type HugePages, hugePages, sweepHuge } from './huge-pages.ts';
import { type FlushContract, KpopCalls } from './kpop-calls.ts';

const L1Words = layout('l1.kpop', {
  /** Rises when an invalidation begins. */
  epoch: atomicLine,
  inProgress: atomic,
  lock: atomicLine,
  hullFirst: plain,
  hullEnd: plain,
});

export interface KpopGuestOptions {
  readonly platform: Platform;
  readonly backing: AnonymousBacking;
  /** L2's memory slots, ascending. */
  readonly memory: readonly PageRange[];
  readonly book: BookOptions;
  /** Whether MAP travels with the next RUN or is a call of its own. */
  readonly run: 'fused' | 'separate';
  readonly flush: FlushContract;
  /** Pages of the aligned block that a fault resolves and maps together. */
  readonly batch: number;
  /** Whether L0 answers what L1's policy says; it does not unless given. */
  readonly policy?: boolean;
}

/** A MAP or PROTECT that L1 has asked for and not yet seen answered. */
interface Pending {
  readonly slot: number;
  /** Number of the L2 page, or of the huge page, among those of its order. */
  readonly l2gfn: number;
  /** Not 0: a huge page, which is reserved in the book of huge pages. */
  readonly order: number;
  /** What this vCPU wrote there. */
  readonly word: number;
  readonly l1gfn: number;
  /** What was there before, and will be again if L0 refuses. */
  readonly before: number;
}

const NONE: readonly Pending[] = [];

/**
 * Who kills a page's word empties it once its UNMAP has returned: until then another invalidation
 * has to see that the page may still be mapped, and unmaps it too.
 */
const KILL: Rule = {
  next: (word) => word - stateOf(word) + SlotState.killed,
  look: 'l1.scan.look',
  take: 'l1.scan.take',
  // Else the PROTECT that is under way lands on what is mapped here next (docs/found.md).
  waits: { until: (word) => !isNarrowing(word), label: 'l1.scan.take' },
};

/** L1 takes the right to write: what has it now may have been written to. */
const NARROW: Rule = {
  next: (word) => (isWritable(word) && stateOf(word) === SlotState.valid ? narrowing(word) : word),
  look: 'l1.collect.look',
  take: 'l1.collect.take',
  waits: { until: (word) => !isNarrowing(word), label: 'l1.collect.take' },
};

/** L0 has taken it. */
const NARROWED: Rule = {
  next: (word) => (isNarrowing(word) ? narrowed(word) : word),
  look: 'l1.narrowed.look',
  take: 'l1.narrowed.take',
};

export class KpopGuest {
  readonly platform: Platform;
  readonly backing: AnonymousBacking;
  readonly book: Book;
  /** L1's huge pages behind L2, if it has any, and the book of them: by number. */
  readonly huge: HugePages | undefined;
  readonly run: 'fused' | 'separate';
  /** Address of the page that the policy is published by; 0: L1 has none. */
  readonly policyPage: number;
  readonly #batch: number;
  readonly #words: number;
  readonly #lock: Spinlock;
  readonly #calls: KpopCalls;
  readonly #states: number; // one state page per vCPU
  readonly #pending: (readonly Pending[])[]; // of each vCPU thread: private to it

  constructor(options: KpopGuestOptions) {
    const { platform, memory, book, flush } = options;
    this.platform = platform;
    this.backing = options.backing;
    this.run = options.run;
    this.#batch = options.batch;
    this.book = makeBook(platform, memory, book);
    this.huge = hugePages(options);
    this.#words = platform.arena.place(L1Words);
    this.#lock = spinlock(this.#words + L1Words.at.lock, 'l1.invalidate');
    this.#calls = new KpopCalls(platform, flush);
    this.#states = platform.arena.frames(platform.cpus) * FRAME_BYTES;
    this.policyPage = options.policy === true ? platform.arena.frames(1) * FRAME_BYTES : 0;
    this.#pending = new Array<readonly Pending[]>(platform.cpus).fill(NONE);
  }

  statePage(vcpu: number): number {
    return this.#states + vcpu * FRAME_BYTES;
  }

  /** For explorations: what the thread of a vCPU keeps beside words of memory. */
  privatesOf(vcpu: number): readonly object[] {
    return this.#pending[vcpu] ?? [];
  }

  /** L2 lacks a page: resolves it and asks L0 for it. Returns; the next RUN tries again. */
  *fault(cpu: Context, l2gfn: number): Routine<void> {
    const { at } = L1Words;
    const epoch = num(yield cpu.load(this.#words + at.epoch, 'l1.fault.epoch')); // F1
    const leaving = num(yield cpu.load(this.#words + at.inProgress, 'l1.fault.leaving')); // F2
    if (leaving !== 0 && (yield* this.#isInHull(cpu, l2gfn))) return;
    const found = yield* this.backing.find(cpu, l2gfn); // F3: may sleep, holds nothing
    if (found < 0) defect('KpopGuest.fault', `L2 page ${l2gfn} is no memory`);
    if (this.huge !== undefined && levelOf(found) > 0) {
      return yield* this.#faultHuge(cpu, this.huge, l2gfn, frameOf(found), epoch);
    }
    const l1gfn = frameOf(found);
    const word = slotWord(l1gfn, SlotState.pending, cpu.seat);
    const { slot, seen } = yield* this.book.insert(cpu, l2gfn, word); // F4
    if (seen !== 0) {
      // Mapped, or another vCPU is about to: L2 tries again. Unless it may not write there.
      if (isReadOnly(seen)) yield* this.#allowWrite(cpu, { l2gfn, slot }, seen, epoch);
      return;
    }
    const reserved: Pending[] = [{ slot, l2gfn, order: 0, word, l1gfn, before: 0 }];
    // While anything leaves, only what is needed is asked for.
    if (this.#batch > 1 && leaving === 0) yield* this.#reserveAround(cpu, l2gfn, reserved);
    if (this.book.keeps) {
      yield cpu.fence('l1.fault.barrier'); // F5: reserve, then look whether the pages are leaving
      if (num(yield cpu.load(this.#words + at.epoch, 'l1.fault.recheck')) !== epoch) {
        for (const each of reserved) yield this.#withdraw(cpu, each);
        return;
      }
    }
    yield* this.#ask(cpu, reserved, epoch);
  }

  /** F6: the reservations are asked for, with the next RUN or by a call. */
  *#ask(cpu: Context, reserved: readonly Pending[], epoch: number): Routine<void> {
    this.#pending[cpu.seat] = reserved;
    if (this.run === 'fused') this.#calls.fuse(cpu, this.statePage(cpu.seat), reserved, epoch);
    else yield* this.settle(cpu, yield* this.#calls.map(cpu, reserved, epoch));
  }

  /** F4 to F6 for the huge page that backs the faulting one. */
  *#faultHuge(
    cpu: Context,
    { order, book }: HugePages,
    l2gfn: number,
    l1gfn: number,
    epoch: number,
  ): Routine<void> {
    const pages = 2 ** order;
    const number = Math.floor(l2gfn / pages);
    const first = l1gfn - (l2gfn % pages);
    const word = slotWord(first, SlotState.pending, cpu.seat);
    const { slot, seen } = yield* book.insert(cpu, number, word);
    if (seen !== 0) return; // mapped, or another vCPU is about to
    const reserved: Pending = { slot, l2gfn: number, order, word, l1gfn: first, before: 0 };
    if (book.keeps) {
      yield cpu.fence('l1.fault.barrier');
      if (num(yield cpu.load(this.#words + L1Words.at.epoch, 'l1.fault.recheck')) !== epoch) {
        yield this.#withdraw(cpu, reserved);
        return;
      }
    }
    yield* this.#ask(cpu, [reserved], epoch);
  }

  /** F3 and F4 for the rest of the aligned block: populated at once, as a large folio is. */
  *#reserveAround(cpu: Context, l2gfn: number, reserved: Pending[]): Routine<void> {
    const first = l2gfn - (l2gfn % this.#batch);
    for (let page = first; page < first + this.#batch; page++) {
      if (page === l2gfn || !this.backing.has(page)) continue;
      const l1gfn = frameOf(yield* this.backing.find(cpu, page));
      const word = slotWord(l1gfn, SlotState.pending, cpu.seat);
      const { slot, seen } = yield* this.book.insert(cpu, page, word);
      if (seen === 0) reserved.push({ slot, l2gfn: page, order: 0, word, l1gfn, before: 0 });
    }
  }

  /** F7: the answers to this vCPU's MAPs are known. */
  *settle(cpu: Context, statuses: readonly number[]): Routine<void> {
    const pending = this.#pending[cpu.seat]!;
    for (let i = 0; i < pending.length && this.book.keeps; i++) {
      const each = pending[i]!;
      const valid = slotWord(each.l1gfn, SlotState.valid);
      const isSettled =
        statuses[i] === Status.ok &&
        won(yield this.#bookOf(each).change(cpu, each, each.word, valid, 'l1.settle.valid'));
      // Killed meanwhile: the invalidation has listed the page, its UNMAP removes what MAP
      // installed, and then it empties the slot.
      if (!isSettled) yield this.#withdraw(cpu, each);
    }
    this.#pending[cpu.seat] = NONE; // not before: what this thread does depends on it
  }

  /** After a RUN: the statuses of the operations that travelled with it, if any did. */
  fusedStatuses(cpu: Context): readonly number[] | undefined {
    return this.#calls.fusedStatuses(cpu, this.statePage(cpu.seat));
  }

  /** Takes pages away from L2: on return no access of L2 uses them, and their frames are free. */
  *invalidate(cpu: Context, ranges: readonly PageRange[]): Routine<void> {
    if (ranges.length === 0) return;
    yield* this.#open(cpu, ranges); // V1
    const epoch = num(yield cpu.add(this.#words + L1Words.at.epoch, 1, 'l1.invalidate.epoch')) + 1;
    const mapped: PageRange[] = [];
    const killed: Taken[] = [];
    const taken: Taken[] = []; // huge pages
    for (const range of ranges) {
      let any = yield* this.book.sweep(cpu, range, KILL, killed); // V3
      if (this.huge !== undefined && (yield* sweepHuge(cpu, this.huge, range, taken))) any = true;
      if (any) mapped.push(range);
    }
    yield* this.#calls.unmap(cpu, mapped, epoch); // V4
    for (const each of killed) yield this.book.empty(cpu, each);
    for (const each of taken) yield this.huge!.book.empty(cpu, each);
    for (const range of ranges) {
      for (let gfn = range.first; gfn < range.end; gfn++) yield* this.backing.release(cpu, gfn);
    }
    yield cpu.add(this.#words + L1Words.at.inProgress, -1, 'l1.invalidate.close'); // V6
  }

  /**
   * A log of writes by write protection: the pages of the range that L2 may have written to since
   * the last time. On return it can write to none of them; the next write is a fault. A page whose
   * MAP is not answered yet is left for the next time.
   */
  *collect(cpu: Context, range: PageRange): Routine<readonly PageRange[]> {
    const written: Taken[] = [];
    yield* this.book.sweep(cpu, range, NARROW, written);
    yield* this.#calls.protect(cpu, written, PROT_READ | PROT_EXECUTE);
    for (const each of written) yield* this.book.sweep(cpu, each, NARROWED, []);
    return written;
  }

  /**
   * L2 writes where `collect` has forbidden it. The page is reserved as for a MAP; an invalidation
   * that took it before wins the word, and one that comes after kills it and is obeyed by L0's
   * fence, so no second look at the epoch is needed.
   */
  *#allowWrite(cpu: Context, place: Place, seen: number, epoch: number): Routine<void> {
    const l1gfn = l1gfnOf(seen);
    const word = slotWord(l1gfn, SlotState.pending, cpu.seat);
    if (!won(yield this.book.change(cpu, place, seen, word, 'l1.allow.reserve'))) return;
    this.#pending[cpu.seat] = [{ ...place, order: 0, word, l1gfn, before: seen }];
    this.#calls.fuseAllow(cpu, this.statePage(cpu.seat), place.l2gfn, epoch);
  }

  /**
   * Whether the invalidations that are under way may cover the page, or one that would be mapped
   * with it.
   */
  *#isInHull(cpu: Context, l2gfn: number): Routine<boolean> {
    yield* lock(cpu, this.#lock, 'l1.fault.hull-lock');
    const first = cpu.read(this.#words + L1Words.at.hullFirst);
    const end = cpu.read(this.#words + L1Words.at.hullEnd);
    yield* unlock(cpu, this.#lock, 'l1.fault.hull-unlock');
    const pages = this.huge === undefined ? 1 : 2 ** this.huge.order;
    const page = l2gfn - (l2gfn % pages);
    return page + pages > first && page < end;
  }

  *#open(cpu: Context, ranges: readonly PageRange[]): Routine<void> {
    const { at } = L1Words;
    const { first, end } = hullOf(ranges);
    yield* lock(cpu, this.#lock, 'l1.invalidate.lock');
    const others = num(yield cpu.add(this.#words + at.inProgress, 1, 'l1.invalidate.begin')) !== 0;
    const oldFirst = cpu.read(this.#words + at.hullFirst);
    const oldEnd = cpu.read(this.#words + at.hullEnd);
    cpu.write(this.#words + at.hullFirst, others ? Math.min(oldFirst, first) : first);
    cpu.write(this.#words + at.hullEnd, others ? Math.max(oldEnd, end) : end);
    yield* unlock(cpu, this.#lock, 'l1.invalidate.unlock');
  }

  /** Unless it was killed: then whoever did empties it. */
  #withdraw(cpu: Context, pending: Pending): Act {
    return this.#bookOf(pending).change(
      cpu,
      pending,
      pending.word,
      pending.before,
      'l1.withdraw.pending',
    );
  }

  #bookOf({ order }: Pending): Book {
    return order === 0 ? this.book : this.huge!.book;
  }
}
