/**
 * A guest hypervisor that lives by KPOP: it resolves L2's faults from its own memory, notes them
 * in its book, and tells L0 by hypercall. It has no tables, no VMCS and no TLB to flush.
 *
 * Steps F1-F7 and V1-V6 of primer/x86.md 6.6 (proposal); the order reservation, barrier, epoch is
 * one half of the pair whose other half is `invalidate`.
 */
import {
  answerDetail,
  answerStatus,
  FLAG_MORE,
  FUSED_RECORD_BYTES,
  KpopCall,
  LIST_ELEMENT_BYTES,
  LIST_HEADER_BYTES,
  LIST_LIMIT,
  ListHeader,
  PROT_EXECUTE,
  PROT_READ,
  PROT_WRITE,
  packTarget,
  StatePage,
  Status,
} from '../../abi/kpop.ts';
import { defect } from '../../base/assert.ts';
import type { AnonymousBacking } from '../../hypervisor/backing/anonymous.ts';
import { hullOf, type PageRange } from '../../hypervisor/mmu/common.ts';
import type { Platform } from '../../hypervisor/platform.ts';
import { vmcall } from '../../machine/instruction.ts';
import { Unit } from '../../machine/preset/price.ts';
import { num, type Routine, won } from '../../runtime/act.ts';
import type { Context } from '../../runtime/context.ts';
import { atomic, atomicLine, layout, plain } from '../../runtime/layout.ts';
import { lock, type Spinlock, spinlock, unlock } from '../../sync/spinlock.ts';
import { Book, type Shards, SlotState, slotWord, stateOf } from './book.ts';

const FRAME_BYTES = 4096;
const ALL = PROT_READ | PROT_WRITE | PROT_EXECUTE;

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
  readonly l2Pages: number;
  readonly shards: Shards;
  /** Whether MAP travels with the next RUN or is a call of its own. */
  readonly run: 'fused' | 'separate';
}

/** A MAP that L1 has asked for and not yet seen answered. */
interface Pending {
  readonly slot: number;
  /** What this vCPU wrote there. */
  readonly word: number;
  readonly l1gfn: number;
}

export class KpopGuest {
  readonly platform: Platform;
  readonly backing: AnonymousBacking;
  readonly book: Book;
  readonly run: 'fused' | 'separate';
  readonly #words: number;
  readonly #lock: Spinlock;
  readonly #lists: number; // one argument page per vCPU
  readonly #states: number; // one state page per vCPU
  readonly #pending: (Pending | undefined)[]; // of each vCPU thread: private to it

  constructor(options: KpopGuestOptions) {
    const { platform } = options;
    this.platform = platform;
    this.backing = options.backing;
    this.run = options.run;
    this.book = new Book(platform.arena, platform, options.l2Pages, options.shards);
    this.#words = platform.arena.place(L1Words);
    this.#lock = spinlock(this.#words + L1Words.at.lock, 'l1.invalidate');
    this.#lists = platform.arena.frames(platform.cpus) * FRAME_BYTES;
    this.#states = platform.arena.frames(platform.cpus) * FRAME_BYTES;
    this.#pending = new Array<Pending | undefined>(platform.cpus).fill(undefined);
  }

  statePage(vcpu: number): number {
    return this.#states + vcpu * FRAME_BYTES;
  }

  /** For explorations: what the thread of a vCPU keeps beside words of memory. */
  privatesOf(vcpu: number): readonly object[] {
    const pending = this.#pending[vcpu];
    return pending === undefined ? [] : [pending];
  }

  /** L2 lacks a page: resolves it and asks L0 for it. Returns; the next RUN tries again. */
  *fault(cpu: Context, l2gfn: number): Routine<void> {
    const { at } = L1Words;
    const epoch = num(yield cpu.load(this.#words + at.epoch, 'l1.fault.epoch')); // F1
    const leaving = num(yield cpu.load(this.#words + at.inProgress, 'l1.fault.leaving')); // F2
    if (leaving !== 0 && (yield* this.#isInHull(cpu, l2gfn))) return;
    const l1gfn = yield* this.backing.find(cpu, l2gfn); // F3: may sleep, holds nothing
    if (l1gfn < 0) defect('KpopGuest.fault', `L2 page ${l2gfn} is no memory`);
    const word = slotWord(l1gfn, SlotState.pending, cpu.seat);
    const { slot, seen } = yield* this.book.insert(cpu, l2gfn, word); // F4
    if (seen !== 0) return; // mapped, or another vCPU is about to: L2 tries again
    yield cpu.fence('l1.fault.barrier'); // F5: reserve, then look whether the page is leaving
    if (num(yield cpu.load(this.#words + at.epoch, 'l1.fault.recheck')) !== epoch) {
      yield* this.#withdraw(cpu, slot, word);
      return;
    }
    const target = packTarget(l1gfn, ALL);
    this.#pending[cpu.seat] = { slot, word, l1gfn };
    if (this.run === 'fused') {
      this.#fuse(cpu, { l2gfn, target, epoch });
      return;
    }
    const header = { epoch, flags: 0, join: 0 };
    const answer = yield* this.#call(cpu, KpopCall.map, [[l2gfn, target]], header); // F6
    yield* this.settle(cpu, answerStatus(answer));
  }

  /** F7: the answer to this vCPU's MAP is known. */
  *settle(cpu: Context, status: number): Routine<void> {
    const pending = this.#pending[cpu.seat];
    if (pending === undefined) return;
    const { slot, word, l1gfn } = pending;
    const valid = slotWord(l1gfn, SlotState.valid);
    const isSettled =
      status === Status.ok && won(yield cpu.cas(slot, word, valid, 'l1.settle.valid'));
    // Killed meanwhile: the invalidation has listed the page, its UNMAP removes what MAP
    // installed, and then it empties the slot.
    if (!isSettled) yield* this.#withdraw(cpu, slot, word);
    this.#pending[cpu.seat] = undefined; // not before: what this thread does depends on it
  }

  /** After a RUN: the status of the operation that travelled with it, if one did. */
  fusedStatus(cpu: Context): number | undefined {
    const state = this.statePage(cpu.seat);
    if (cpu.read(state + StatePage.fusedCount) === 0) return undefined;
    cpu.write(state + StatePage.fusedCount, 0);
    return cpu.read(state + StatePage.fused);
  }

  /** Takes pages away from L2: on return no access of L2 uses them, and their frames are free. */
  *invalidate(cpu: Context, ranges: readonly PageRange[]): Routine<void> {
    if (ranges.length === 0) return;
    yield* this.#open(cpu, ranges); // V1
    const epoch = num(yield cpu.add(this.#words + L1Words.at.epoch, 1, 'l1.invalidate.epoch')) + 1;
    const mapped: PageRange[] = [];
    const killed: number[] = [];
    for (const range of ranges) {
      if (yield* this.#scan(cpu, range, killed)) mapped.push(range); // V3
    }
    yield* this.#unmap(cpu, mapped, epoch); // V4
    for (const slot of killed) yield cpu.store(slot, 0, 'l1.invalidate.emptied');
    for (const range of ranges) {
      for (let gfn = range.first; gfn < range.end; gfn++) yield* this.backing.release(cpu, gfn);
    }
    yield cpu.add(this.#words + L1Words.at.inProgress, -1, 'l1.invalidate.close'); // V6
  }

  /** As many UNMAP calls as the list needs; only the last waits, for the flush of all. */
  *#unmap(cpu: Context, ranges: readonly PageRange[], epoch: number): Routine<void> {
    let join = 0;
    for (let from = 0; from < ranges.length; from += LIST_LIMIT) {
      const elements = ranges
        .slice(from, from + LIST_LIMIT)
        .map((r): [number, number] => [r.first, r.end - r.first]);
      const flags = from + LIST_LIMIT < ranges.length ? FLAG_MORE : 0;
      const answer = yield* this.#call(cpu, KpopCall.unmap, elements, { epoch, flags, join });
      const status = answerStatus(answer);
      if (status !== Status.ok) defect('KpopGuest', `UNMAP answered ${status}`);
      join = Math.max(join, answerDetail(answer));
    }
  }

  /** Whether the invalidations that are under way may cover the page. */
  *#isInHull(cpu: Context, l2gfn: number): Routine<boolean> {
    yield* lock(cpu, this.#lock, 'l1.fault.hull-lock');
    const first = cpu.read(this.#words + L1Words.at.hullFirst);
    const end = cpu.read(this.#words + L1Words.at.hullEnd);
    yield* unlock(cpu, this.#lock, 'l1.fault.hull-unlock');
    return l2gfn >= first && l2gfn < end;
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

  /**
   * Kills the slots of a range and adds them to `killed`; whether any page may be mapped. Who kills
   * a slot empties it once its UNMAP has returned: until then another invalidation has to see that
   * the page may still be mapped, and unmaps it too.
   */
  *#scan(cpu: Context, range: PageRange, killed: number[]): Routine<boolean> {
    let any = false;
    for (let gfn = range.first; gfn < range.end; gfn++) {
      const slot = yield* this.book.find(cpu, gfn);
      if (slot === 0) continue;
      for (;;) {
        const seen = num(yield cpu.load(slot, 'l1.scan.look'));
        const state = stateOf(seen);
        if (state === 0) break;
        any = true;
        if (state === SlotState.killed) break;
        const next = seen - state + SlotState.killed;
        if (!won(yield cpu.cas(slot, seen, next, 'l1.scan.take'))) continue;
        killed.push(slot);
        break;
      }
    }
    return any;
  }

  /** Unless it was killed: then whoever did empties it. */
  *#withdraw(cpu: Context, slot: number, reserved: number): Routine<void> {
    yield cpu.cas(slot, reserved, 0, 'l1.withdraw.pending');
  }

  #fuse(cpu: Context, map: { l2gfn: number; target: number; epoch: number }): void {
    const state = this.statePage(cpu.seat);
    cpu.spend(Unit.listElement, 1);
    cpu.write(state + StatePage.fused, KpopCall.map);
    cpu.write(state + StatePage.fused + 8, map.l2gfn);
    cpu.write(state + StatePage.fused + 16, map.target);
    cpu.write(state + StatePage.fused + FUSED_RECORD_BYTES - 8, map.epoch);
    cpu.write(state + StatePage.fusedCount, 1);
  }

  *#call(
    cpu: Context,
    call: number,
    elements: readonly [number, number][],
    header: { readonly epoch: number; readonly flags: number; readonly join: number },
  ): Routine<number> {
    const page = this.#lists + cpu.seat * FRAME_BYTES;
    cpu.write(page + ListHeader.count, elements.length);
    cpu.write(page + ListHeader.epoch, header.epoch);
    cpu.write(page + ListHeader.flags, header.flags);
    cpu.write(page + ListHeader.join, header.join);
    elements.forEach(([first, second], i) => {
      cpu.spend(Unit.listElement, 1);
      cpu.write(page + LIST_HEADER_BYTES + i * LIST_ELEMENT_BYTES, first);
      cpu.write(page + LIST_HEADER_BYTES + i * LIST_ELEMENT_BYTES + 8, second);
    });
    return num(yield vmcall(cpu, call, [page], 'l1.call'));
  }
}
