/**
 * A planted bug: a book of its own is locked before the MMU by one operation and after it by
 * another. Each alone is fine; together they wait for each other.
 *
 *   kpop check ./examples/planted/lock-order.ts
 */
import {
  type Context,
  type Design,
  lock,
  type PageRange,
  type Routine,
  type Spinlock,
  spinlock,
  type TdpMmu,
  tdpUnmap,
  unlock,
  writeLock,
  writeUnlock,
} from 'kpop';
import { composeTdp } from './compose.ts';

const design: Design = {
  id: 'lock-order',
  title: 'TDP MMU with a book that is locked in two orders',
  axes: {},
  source: 'examples/planted/lock-order.ts',
  leavesOut: [],
  isolates: 'nothing: it is wrong on purpose',
  build: (machine, demand, _axes, conditions) =>
    composeTdp(machine, demand, conditions, (mmu) => {
      const book = spinlock(mmu.platform.arena.take(64), 'l1.book');
      return {
        unmap: (cpu, range) => unmap(cpu, mmu, book, range),
        invalidate: (cpu) => audit(cpu, mmu, book),
      };
    }),
};

export default design;

/** The book before the MMU: the order of LOCKS.md. */
function* unmap(cpu: Context, mmu: TdpMmu, book: Spinlock, range: PageRange): Routine<void> {
  yield* lock(cpu, book, 'audit.unmap.lock');
  yield* tdpUnmap(cpu, mmu, [range], 'free');
  yield* unlock(cpu, book, 'audit.unmap.unlock');
}

function* audit(cpu: Context, mmu: TdpMmu, book: Spinlock): Routine<void> {
  yield* writeLock(cpu, mmu.lock, 'audit.mmu.lock');
  yield* lock(cpu, book, 'audit.book.lock'); // the bug: the MMU is locked already
  yield* unlock(cpu, book, 'audit.book.unlock');
  yield* writeUnlock(cpu, mmu.lock, 'audit.mmu.unlock');
}
