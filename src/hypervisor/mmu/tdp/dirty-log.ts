/**
 * Dirty logging: user space asks which pages of a slot were written to since it asked last. Writes
 * are noticed either because leaves are write-protected, or because the dirty bits of leaves are
 * clear and the CPU logs the page when it sets one (PML).
 *
 * Start: the flag is published and every fault that read the old one is over (SRCU); the CPUs' logs
 * are switched on; leaves lose W or D; TLBs are flushed before the call returns. Harvest: bits are
 * taken out of the bitmap, and only pages whose bit was taken lose W or D again, under the write
 * lock, so that no fault stands between its mark and its leaf; then TLBs are flushed, even if no
 * leaf had to be changed: one that is read-only and MMU-writable may still be cached writable.
 *
 * Source: kvm_mmu_slot_apply_flags (x86.c), kvm_get_dirty_log_protect (kvm_main.c),
 * clear_dirty_pt_masked (tdp_mmu.c), vmx_flush_pml_buffer (vmx.c): facts; primer/x86.md 2.6.
 * Leaves out: manual protection (KVM_CLEAR_DIRTY_LOG), initially-all-set bitmaps, the dirty ring.
 */
import { defect } from '../../../base/assert.ts';
import type { Entry } from '../../../machine/format/format.ts';
import { pagesAt } from '../../../machine/format/format.ts';
import { sendIpi, VECTOR_KICK } from '../../../machine/instruction.ts';
import { num, type Routine, won } from '../../../runtime/act.ts';
import type { Context } from '../../../runtime/context.ts';
import { readLock, readUnlock, writeLock, writeUnlock } from '../../../sync/rwlock.ts';
import { lock, unlock } from '../../../sync/spinlock.ts';
import { flushRemote, requestAll } from '../../flush/request-kick.ts';
import { type Memslot, type Memslots, SLOT_LOGS } from '../../memslots.ts';
import { isInGuest, REQUEST_LOGGING } from '../../vcpu.ts';
import { entryAt, type PageRange } from '../common.ts';
import type { TdpMmu } from './mmu.ts';
import { tdpCollapse } from './remove.ts';
import { tdpSplit } from './split.ts';
import { endOf, isLeafAt, tableAt } from './walk.ts';

/** How a TDP MMU logs, where it may be asked to. */
export interface TdpLogging {
  readonly slots: Memslots;
  /** What makes a write noticed. */
  readonly by: 'pml' | 'protect';
  /** When huge leaves of a logged slot are split: as logging starts, or as faults need it. */
  readonly split: 'eager' | 'fault';
}

function loggingOf({ logging }: TdpMmu): TdpLogging {
  return logging ?? defect('dirty-log', 'the slots of this VM never change');
}

/** Switches logging on for the slot of page `gfn`: every write after the return is noticed. */
export function* startLogging(cpu: Context, mmu: TdpMmu, gfn: number): Routine<void> {
  const { slots, by, split } = loggingOf(mmu);
  const slot = slots.slotOf(gfn);
  yield* lock(cpu, slots.lock, 'log.start.lock');
  yield* slots.forgetAll(cpu, slot);
  yield* slots.setFlags(cpu, slot, SLOT_LOGS);
  // Whoever read the flag before may still install a leaf of any size that notices nothing.
  if (mmu.rcu !== undefined) yield* mmu.rcu.synchronize(cpu);
  yield* slots.countLogging(cpu, 1);
  if (by === 'pml') yield* requestAll(cpu, mmu.vm, REQUEST_LOGGING);
  if (split === 'eager') yield* tdpSplit(cpu, mmu, slot);
  yield* protectRange(cpu, mmu, slot);
  yield* flushRemote(cpu, mmu.vm, 'log.start.wait');
  yield* unlock(cpu, slots.lock, 'log.start.unlock');
}

/** The pages written to since the last harvest or the start, ascending. */
export function* harvestLog(cpu: Context, mmu: TdpMmu, gfn: number): Routine<readonly number[]> {
  const { slots, by } = loggingOf(mmu);
  const slot = slots.slotOf(gfn);
  const pages: number[] = [];
  yield* lock(cpu, slots.lock, 'log.harvest.lock');
  if (by === 'pml') yield* askToDrain(cpu, mmu);
  yield* writeLock(cpu, mmu.lock, 'log.harvest-mmu.lock');
  for (let word = 0; word < slots.wordsOf(slot); word++) {
    const taken = yield* slots.take(cpu, slot, word);
    for (const page of taken) yield* clearPage(cpu, mmu, page);
    pages.push(...taken);
  }
  yield* writeUnlock(cpu, mmu.lock, 'log.harvest-mmu.unlock');
  if (pages.length > 0) yield* flushRemote(cpu, mmu.vm, 'log.harvest.wait');
  yield* unlock(cpu, slots.lock, 'log.harvest.unlock');
  return pages;
}

/** Switches logging off, and lets huge pages be mapped whole again. */
export function* stopLogging(cpu: Context, mmu: TdpMmu, gfn: number): Routine<void> {
  const { slots, by } = loggingOf(mmu);
  const slot = slots.slotOf(gfn);
  yield* lock(cpu, slots.lock, 'log.stop.lock');
  yield* slots.setFlags(cpu, slot, 0);
  if (mmu.rcu !== undefined) yield* mmu.rcu.synchronize(cpu);
  yield* slots.countLogging(cpu, -1);
  if (by === 'pml') yield* requestAll(cpu, mmu.vm, REQUEST_LOGGING);
  yield* tdpCollapse(cpu, mmu, slot);
  yield* unlock(cpu, slots.lock, 'log.stop.unlock');
}

/**
 * A vCPU that runs is made to exit, which empties its log. Nobody waits for it: what is still in a
 * log is no bit yet, so the page keeps its D and is reported next time.
 */
function* askToDrain(cpu: Context, mmu: TdpMmu): Routine<void> {
  for (const v of mmu.vm.vcpus) {
    cpu.attempt('log.ask');
    const runs = isInGuest(num(yield cpu.load(v.mode, 'log.mode')));
    cpu.conclude('log.ask', runs ? 1 : 0);
    if (runs) yield sendIpi(cpu, v.seat, VECTOR_KICK, 'log.kick');
  }
}

/** Under the read lock: every leaf of the slot notices the next write. */
function* protectRange(cpu: Context, mmu: TdpMmu, slot: PageRange): Routine<void> {
  const { geometry } = mmu.format;
  yield* readLock(cpu, mmu.lock, 'log.protect.lock');
  for (let gfn = slot.first; gfn < slot.end; ) {
    const table = yield* tableAt(cpu, mmu, gfn, 0);
    const level = table < 0 ? endOf(table) : 1;
    const span = pagesAt(geometry, level);
    const end = Math.min(slot.end, (Math.floor(gfn / span) + 1) * span);
    if (isLeafAt(table)) {
      const upper = yield* tableAt(cpu, mmu, gfn, level);
      // Gone, or split and then to be looked at again by page.
      if (upper >= 0 && !(yield* clear(cpu, mmu, upper, gfn, level))) continue;
    } else if (table >= 0) {
      for (let page = gfn; page < end; page++) yield* clear(cpu, mmu, table, page, 0);
    }
    gfn = end;
  }
  yield* readUnlock(cpu, mmu.lock, 'log.protect.unlock');
}

function* clearPage(cpu: Context, mmu: TdpMmu, gfn: number): Routine<void> {
  const table = yield* tableAt(cpu, mmu, gfn, 0);
  if (table >= 0) yield* clear(cpu, mmu, table, gfn, 0);
}

/**
 * Takes from a leaf what keeps writes through it unnoticed: W, or D where the CPU logs it. Huge
 * leaves always lose W. False if the entry is no leaf any more.
 */
function* clear(
  cpu: Context,
  mmu: TdpMmu,
  table: number,
  gfn: number,
  level: number,
): Routine<boolean> {
  const { format } = mmu;
  const byDirty = level === 0 && loggingOf(mmu).by === 'pml';
  const at = entryAt(format.geometry, table, gfn, level);
  cpu.attempt('log.clear');
  for (;;) {
    const seen = format.decode(yield cpu.load(at, 'log.clear-look'), level);
    const isLeaf = seen.kind === 'leaf';
    if (!isLeaf || !(byDirty ? seen.dirty : seen.write)) {
      cpu.conclude('log.clear', isLeaf ? 1 : 0);
      return isLeaf || level === 0;
    }
    // Hardware and lockless faults change it too: the whole entry, or look again.
    const plan = cleared(mmu, seen, level, byDirty);
    if (won(yield cpu.casWord(at, seen, plan, 'log.clear'))) break;
    cpu.again('log.clear');
  }
  cpu.conclude('log.clear', 2);
  if (byDirty) yield* mmu.markDirty(cpu, gfn); // the entry was the only one to know
  return true;
}

function cleared({ format }: TdpMmu, seen: Entry, level: number, byDirty: boolean): Entry {
  return format.leaf({
    pfn: seen.pfn,
    level,
    rights: byDirty ? seen : { ...seen, write: false },
    accessed: seen.accessed,
    dirty: byDirty ? false : seen.dirty,
    hostWritable: seen.hostWritable,
    mmuWritable: seen.mmuWritable,
  });
}

export type { Memslot };
