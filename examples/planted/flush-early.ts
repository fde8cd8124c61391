/**
 * A planted bug: remote TLBs are flushed before the entry is cleared, so a CPU in guest mode may
 * walk and cache it again in between, and use it when the page is freed.
 *
 *   kpop check ./examples/planted/flush-early.ts
 */
import {
  type Context,
  closeInvalidation,
  type Design,
  entryAt,
  flushRemote,
  openInvalidation,
  type PageRange,
  type Routine,
  type TdpMmu,
  writeLock,
  writeUnlock,
} from 'kpop';
import { composeTdp } from './compose.ts';

const design: Design = {
  id: 'flush-early',
  title: 'TDP MMU that flushes before it clears',
  axes: {},
  source: 'examples/planted/flush-early.ts',
  leavesOut: [],
  isolates: 'nothing: it is wrong on purpose',
  build: (machine, demand, _axes, conditions) =>
    composeTdp(machine, demand, conditions, (mmu) => ({
      unmap: (cpu, range) => unmap(cpu, mmu, range),
    })),
};

export default design;

function* unmap(cpu: Context, mmu: TdpMmu, range: PageRange): Routine<void> {
  yield* writeLock(cpu, mmu.lock, 'early.lock');
  yield* openInvalidation(cpu, mmu.words, [range]);
  yield* flushRemote(cpu, mmu.vm); // the bug: not yet
  for (let gfn = range.first; gfn < range.end; gfn++) yield* clear(cpu, mmu, gfn);
  yield* writeUnlock(cpu, mmu.lock, 'early.unlock');
  for (let gfn = range.first; gfn < range.end; gfn++) yield* mmu.backing.release(cpu, gfn);
  yield* writeLock(cpu, mmu.lock, 'early.lock-end');
  yield* closeInvalidation(cpu, mmu.words);
  yield* writeUnlock(cpu, mmu.lock, 'early.unlock-end');
}

/** Empties the entry of a page, if there are tables down to it. */
function* clear(cpu: Context, mmu: TdpMmu, gfn: number): Routine<void> {
  const { format } = mmu;
  let table = mmu.root;
  for (let level = format.geometry.levels - 1; level > 0; level--) {
    const at = entryAt(format.geometry, table, gfn, level);
    const seen = format.decode(yield cpu.load(at, 'early.look'), level);
    if (seen.kind !== 'table') return;
    table = seen.pfn;
  }
  yield cpu.exchangeWord(entryAt(format.geometry, table, gfn, 0), format.empty, 'early.clear');
}
