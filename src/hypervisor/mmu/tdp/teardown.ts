/**
 * The end of a VM's second stage: its vCPUs first, so that nothing walks the tables and nothing
 * faults any more, then the tables and the pages. Threads of the host that unmap ranges meanwhile
 * are kept out by the write lock and find the root empty. No flush: no CPU can enter again, and
 * whatever is still cached carries the tag of a root that is not used for another VM.
 */
import { pagesAt } from '../../../machine/format/format.ts';
import { FRAME_BYTES } from '../../../machine/memory.ts';
import type { Routine } from '../../../runtime/act.ts';
import type { Context } from '../../../runtime/context.ts';
import { writeLock, writeUnlock } from '../../../sync/rwlock.ts';
import { stopVcpus } from '../../flush/stop.ts';
import type { TdpMmu } from './mmu.ts';
import { freezeUsed, sweep } from './remove.ts';

export function* tdpTeardown(cpu: Context, mmu: TdpMmu): Routine<void> {
  yield* stopVcpus(cpu, mmu.vm);
  yield* tdpDismantle(cpu, mmu);
}

/** Once no vCPU of the VM will run any more: its tables and pages go. */
export function* tdpDismantle(cpu: Context, mmu: TdpMmu): Routine<void> {
  const removed: number[] = [];
  yield* writeLock(cpu, mmu.lock, 'tdp.teardown.lock');
  yield* emptyRoot(cpu, mmu, removed);
  yield* writeUnlock(cpu, mmu.lock, 'tdp.teardown.unlock');
  for (const frame of removed) mmu.platform.frames.give(cpu, frame);
  yield* mmu.backing.releaseAll(cpu);
}

/** Under the write lock: empties the root, and lists the frames of the tables below it. */
export function* emptyRoot(cpu: Context, mmu: TdpMmu, removed: number[]): Routine<void> {
  const { format } = mmu;
  const level = format.geometry.levels - 1;
  for (let index = 0; index < 1 << format.geometry.indexBits; index++) {
    const at = mmu.root * FRAME_BYTES + index * 8;
    const old = format.decode(
      yield cpu.exchangeWord(at, format.empty, 'tdp.teardown.unlink'),
      level,
    );
    const first = index * pagesAt(format.geometry, level);
    if (old.kind === 'leaf' && old.dirty) yield* mmu.markDirty(cpu, first, level);
    if (old.kind === 'table') {
      yield* sweep(cpu, mmu, { table: old.pfn, level: level - 1, first }, freezeUsed, removed);
    }
  }
}
