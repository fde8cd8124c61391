/**
 * The host takes pages of the guest away, and the end of the VM.
 *
 * Source: arch/x86/kvm/mmu/mmu.c, kvm_unmap_gfn_range, kvm_mmu_zap_all, kvm_mmu_zap_all_fast,
 * kvm_mmu_unload (facts).
 */
import type { Routine } from '../../runtime/act.ts';
import type { Context } from '../../runtime/context.ts';
import { Tracepoint } from '../../runtime/trace.ts';
import { writeLock, writeUnlock } from '../../sync/rwlock.ts';
import { closeInvalidation, openInvalidation, type PageRange } from '../mmu/common.ts';
import { zapReverse } from '../mmu/shadow/zap.ts';
import { nothingZapped, zapAll, zapAllFast, zapObsolete } from '../mmu/shadow/zap-page.ts';
import { giveUp } from './roots.ts';
import type { ShadowVm } from './state.ts';
import { commitZap } from './write.ts';

/** Unmaps ascending ranges; `pages` says whether the backing keeps or frees them. */
export function* shadowUnmap(
  cpu: Context,
  vm: ShadowVm,
  ranges: readonly PageRange[],
  pages: 'keep' | 'free',
): Routine<void> {
  if (ranges.length === 0) return;
  for (const { first, end } of ranges) cpu.tracepoint(Tracepoint.unmapRange, first, end);
  let isStale = false;
  yield* writeLock(cpu, vm.lock, 'shadow.unmap.lock');
  yield* openInvalidation(cpu, vm.words, ranges);
  for (const { first, end } of ranges) {
    for (let gfn = first; gfn < end; gfn++) {
      if ((yield* zapReverse(cpu, vm.mmu, gfn)) === 'cached') isStale = true;
    }
  }
  if (isStale) yield* vm.tables.flush(cpu);
  yield* writeUnlock(cpu, vm.lock, 'shadow.unmap.unlock');
  if (pages === 'free') {
    for (const { first, end } of ranges) {
      for (let gfn = first; gfn < end; gfn++) yield* vm.backing.release(cpu, gfn);
    }
  }
  yield* writeLock(cpu, vm.lock, 'shadow.unmap-end.lock');
  yield* closeInvalidation(cpu, vm.words);
  yield* writeUnlock(cpu, vm.lock, 'shadow.unmap-end.unlock');
}

/** Every SP goes, as after a memslot was deleted: first out of use at once, then out of memory. */
export function* shadowZapAllFast(cpu: Context, vm: ShadowVm): Routine<void> {
  const zapped = nothingZapped();
  yield* writeLock(cpu, vm.lock, 'shadow.zap-fast.lock');
  zapAllFast(cpu, vm.mmu);
  yield cpu.add(vm.reload, 1, 'shadow.zap-fast.reload');
  yield* zapObsolete(cpu, vm.mmu, zapped);
  yield* commitZap(cpu, vm, zapped, true);
  yield* writeUnlock(cpu, vm.lock, 'shadow.zap-fast.unlock');
  for (const frame of zapped.frames) vm.mmu.platform.frames.give(cpu, frame);
}

/** The VM goes: no vCPU runs any more. */
export function* shadowTeardown(cpu: Context, vm: ShadowVm): Routine<void> {
  const zapped = nothingZapped();
  yield* writeLock(cpu, vm.lock, 'shadow.teardown.lock');
  yield* zapAll(cpu, vm.mmu, zapped);
  yield* writeUnlock(cpu, vm.lock, 'shadow.teardown.unlock');
  for (const frame of zapped.frames) vm.mmu.platform.frames.give(cpu, frame);
  for (const own of vm.vcpus) yield* giveUp(cpu, vm, [...own.previous, own.root]);
}
