/**
 * Changes of a VM's memory slots by user space. A slot that goes is first made one that is leaving:
 * once that is published and all look-ups before are over, no fault maps a page of it any more.
 * Then what is mapped is zapped, by a new root for the whole VM or by the slot's own range, and
 * only then is the slot gone and its pages user space's own: from there on nobody would tell the
 * VM that they leave.
 *
 * And what user space takes of its own pages, wherever the slots have them at that time.
 *
 * Source: virt/kvm/kvm_main.c, kvm_set_memslot, kvm_delete_memslot, kvm_move_memslot,
 * kvm_mmu_notifier_invalidate_range_start and _end; arch/x86/kvm/mmu/mmu.c,
 * kvm_arch_flush_shadow_memslot, kvm_mmu_zap_all_fast (facts; primer/x86.md 2.4, 2.6).
 * Leaves out: flags of slots (memslots.ts has logging), letting the lock go in a long zap of a
 * range; quotas.
 */
import type { Routine } from '../../../runtime/act.ts';
import type { Context } from '../../../runtime/context.ts';
import { writeLock, writeUnlock } from '../../../sync/rwlock.ts';
import { lock, unlock } from '../../../sync/spinlock.ts';
import { flushRemote } from '../../flush/request-kick.ts';
import type { Slot } from '../../slots/slots.ts';
import { closeInvalidation, openInvalidation, type PageRange } from '../common.ts';
import type { TdpMmu, TdpSlots } from './mmu.ts';
import { zapRange } from './zap.ts';

/** `exists`: the guest pages are another slot's; `none`: there is no such slot. */
export type SlotOutcome = 'ok' | 'exists' | 'none';

/** Puts user space's pages from `page` on behind the guest pages [first, end). */
export function* addSlot(
  cpu: Context,
  { sets }: TdpSlots,
  { first, end }: PageRange,
  page: number,
): Routine<SlotOutcome> {
  yield* lock(cpu, sets.lock, 'slots.add.lock');
  const slots = yield* sets.list(cpu);
  const isFree = slots.every((slot) => slot.end <= first || slot.first >= end);
  if (isFree) yield* sets.publish(cpu, ascending([...slots, slotAt(first, end, page)]));
  yield* unlock(cpu, sets.lock, 'slots.add.unlock');
  return isFree ? 'ok' : 'exists';
}

/** Takes away the slot that begins at `first`: no CPU reaches its pages once this has returned. */
export function* deleteSlot(
  cpu: Context,
  mmu: TdpMmu,
  slots: TdpSlots,
  first: number,
): Routine<SlotOutcome> {
  yield* lock(cpu, slots.sets.lock, 'slots.delete.lock');
  const others = yield* withdraw(cpu, mmu, slots, first);
  if (others !== undefined) yield* slots.sets.publish(cpu, others.rest);
  yield* unlock(cpu, slots.sets.lock, 'slots.delete.unlock');
  return others === undefined ? 'none' : 'ok';
}

/** The same pages of user space come to lie elsewhere. */
export function* moveSlot(
  cpu: Context,
  mmu: TdpMmu,
  slots: TdpSlots,
  first: number,
  to: number,
): Routine<SlotOutcome> {
  yield* lock(cpu, slots.sets.lock, 'slots.move.lock');
  const others = yield* withdraw(cpu, mmu, slots, first);
  if (others !== undefined) {
    const { gone, rest } = others;
    const moved = slotAt(to, to + gone.end - gone.first, gone.page);
    yield* slots.sets.publish(cpu, ascending([...rest, moved]));
  }
  yield* unlock(cpu, slots.sets.lock, 'slots.move.unlock');
  return others === undefined ? 'none' : 'ok';
}

/** Nothing is mapped from the slot any more, and nothing will be; undefined: no such slot. */
function* withdraw(
  cpu: Context,
  mmu: TdpMmu,
  { sets, roots, zap }: TdpSlots,
  first: number,
): Routine<{ readonly gone: Slot; readonly rest: readonly Slot[] } | undefined> {
  const all = yield* sets.list(cpu);
  const gone = all.find((slot) => slot.first === first);
  if (gone === undefined) return undefined;
  yield* sets.publish(
    cpu,
    all.map((slot) => (slot === gone ? { ...slot, isLeaving: true } : slot)),
  );
  if (zap === 'all') yield* roots.zapAll(cpu);
  else yield* zapSlot(cpu, mmu, gone);
  return { gone, rest: all.filter((slot) => slot !== gone) };
}

function* zapSlot(cpu: Context, mmu: TdpMmu, slot: PageRange): Routine<void> {
  yield* writeLock(cpu, mmu.lock, 'slots.zap.lock');
  let zapped = 0;
  for (const root of yield* mmu.rootsNow(cpu)) {
    zapped += yield* zapRange(cpu, mmu, slot, false, root);
  }
  if (zapped > 0) yield* flushRemote(cpu, mmu.vm, 'slots.zap.wait');
  yield* writeUnlock(cpu, mmu.lock, 'slots.zap.unlock');
}

/** User space takes pages of its own away; `pages` as for `tdpUnmap`. */
export function* unmapPages(
  cpu: Context,
  mmu: TdpMmu,
  { sets }: TdpSlots,
  taken: PageRange,
  pages: 'keep' | 'free',
): Routine<void> {
  yield* sets.beginInvalidation(cpu);
  const ranges = yield* sets.guestPagesOf(cpu, taken);
  if (ranges.length > 0) yield* zapRanges(cpu, mmu, ranges);
  if (pages === 'free') {
    for (let page = taken.first; page < taken.end; page++) yield* mmu.backing.release(cpu, page);
  }
  // The end looks the slots up once more, as KVM's does: they are what they were.
  if ((yield* sets.guestPagesOf(cpu, taken)).length > 0) {
    yield* writeLock(cpu, mmu.lock, 'tdp.unmap-end.lock');
    yield* closeInvalidation(cpu, mmu.words);
    yield* writeUnlock(cpu, mmu.lock, 'tdp.unmap-end.unlock');
  }
  yield* sets.endInvalidation(cpu);
}

function* zapRanges(cpu: Context, mmu: TdpMmu, ranges: readonly PageRange[]): Routine<void> {
  yield* writeLock(cpu, mmu.lock, 'tdp.unmap.lock');
  yield* openInvalidation(cpu, mmu.words, ranges);
  let zapped = 0;
  for (const root of yield* mmu.rootsNow(cpu)) {
    for (const range of ranges) zapped += yield* zapRange(cpu, mmu, range, false, root);
  }
  if (zapped > 0) yield* flushRemote(cpu, mmu.vm);
  yield* writeUnlock(cpu, mmu.lock, 'tdp.unmap.unlock');
}

function slotAt(first: number, end: number, page: number): Slot {
  return { first, end, page, isLeaving: false };
}

function ascending(slots: readonly Slot[]): readonly Slot[] {
  return [...slots].sort((a, b) => a.first - b.first);
}
