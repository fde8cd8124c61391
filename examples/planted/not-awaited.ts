/**
 * A planted bug: CPUs in guest mode are interrupted after an entry was cleared, but nobody waits
 * until they have answered: the page is freed while one of them still uses it.
 *
 *   kpop check ./examples/planted/not-awaited.ts
 */
import {
  type Context,
  closeInvalidation,
  type Design,
  entryAt,
  isInGuest,
  num,
  openInvalidation,
  type PageRange,
  REQUEST_FLUSH,
  type Routine,
  sendIpi,
  type TdpMmu,
  VECTOR_CALL,
  writeLock,
  writeUnlock,
} from 'kpop';
import { composeTdp } from './compose.ts';

const design: Design = {
  id: 'not-awaited',
  title: 'TDP MMU that does not wait for the answers to its interrupts',
  axes: {},
  source: 'examples/planted/not-awaited.ts',
  leavesOut: [],
  isolates: 'nothing: it is wrong on purpose',
  build: (machine, demand, _axes, conditions) =>
    composeTdp(machine, demand, conditions, (mmu) => ({
      unmap: (cpu, range) => unmap(cpu, mmu, range),
    })),
};

export default design;

function* unmap(cpu: Context, mmu: TdpMmu, range: PageRange): Routine<void> {
  yield* writeLock(cpu, mmu.lock, 'hasty.lock');
  yield* openInvalidation(cpu, mmu.words, [range]);
  for (let gfn = range.first; gfn < range.end; gfn++) yield* clear(cpu, mmu, gfn);
  yield* kickAll(cpu, mmu);
  yield* writeUnlock(cpu, mmu.lock, 'hasty.unlock');
  for (let gfn = range.first; gfn < range.end; gfn++) yield* mmu.backing.release(cpu, gfn);
  yield* writeLock(cpu, mmu.lock, 'hasty.lock-end');
  yield* closeInvalidation(cpu, mmu.words);
  yield* writeUnlock(cpu, mmu.lock, 'hasty.unlock-end');
}

/** Requests a flush of every vCPU and interrupts those in guest mode. */
function* kickAll(cpu: Context, mmu: TdpMmu): Routine<void> {
  for (const v of mmu.vm.vcpus) {
    yield cpu.or(v.requests, REQUEST_FLUSH, 'hasty.request');
    if (!isInGuest(num(yield cpu.load(v.mode, 'hasty.mode')))) continue;
    yield cpu.add(v.called, 1, 'hasty.call');
    yield sendIpi(cpu, v.seat, VECTOR_CALL, 'hasty.kick'); // the bug: and then?
  }
}

function* clear(cpu: Context, mmu: TdpMmu, gfn: number): Routine<void> {
  const { format } = mmu;
  let table = mmu.root;
  for (let level = format.geometry.levels - 1; level > 0; level--) {
    const at = entryAt(format.geometry, table, gfn, level);
    const seen = format.decode(yield cpu.load(at, 'hasty.look'), level);
    if (seen.kind !== 'table') return;
    table = seen.pfn;
  }
  yield cpu.exchangeWord(entryAt(format.geometry, table, gfn, 0), format.empty, 'hasty.clear');
}
