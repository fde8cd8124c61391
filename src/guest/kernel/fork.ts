/**
 * fork: a child with the parent's areas, whose anonymous pages both share until one of them writes.
 * The parent's entries lose the right to write, so that translations in use must go.
 *
 * Source: Linux 6.12 copy_page_range and dup_mmap (mm/memory.c, kernel/fork.c); facts. As there,
 * pages of files are not copied: the child finds them in the page cache when it faults.
 */
import { pagesAt } from '../../machine/format/format.ts';
import type { GuestContext } from '../../machine/guest.ts';
import { loadCr3 } from '../../machine/instruction.ts';
import { Unit } from '../../machine/preset/price.ts';
import { type Routine, won } from '../../runtime/act.ts';
import { writeLock, writeUnlock } from '../../sync/rwlock.ts';
import type { Area, Process } from '../common/process.ts';
import { areasOf, insertArea } from './areas.ts';
import type { GuestKernel } from './kernel.ts';
import { generationOf, lockOf, newSpace } from './space.ts';
import { shootDown } from './unmap.ts';

interface Family {
  readonly parent: Process;
  readonly child: Process;
}

/** Made by a thread of the parent, in whose address space it runs. */
export function* fork(
  kernel: GuestKernel,
  cpu: GuestContext,
  parent: Process,
  space: number,
): Routine<Process> {
  const child = yield* newSpace(kernel, cpu);
  const lock = lockOf(space);
  yield* writeLock(cpu, lock, 'kernel.fork.lock');
  for (const area of areasOf(cpu, space)) {
    insertArea(cpu, child.space!, area);
    if (area.file < 0) yield* shareArea(kernel, cpu, { parent, child }, area);
  }
  yield cpu.add(generationOf(space), 1, 'kernel.fork.generation');
  yield loadCr3(cpu, cpu.regime.cr3, cpu.regime.pcid, 'flush', 'kernel.fork.flush');
  yield* shootDown(kernel, cpu, parent);
  yield* writeUnlock(cpu, lock, 'kernel.fork.unlock');
  return child;
}

function* shareArea(
  kernel: GuestKernel,
  cpu: GuestContext,
  { parent, child }: Family,
  { first, end }: Area,
): Routine<void> {
  const span = pagesAt(kernel.format.geometry, 1);
  for (let page = first; page < end; page = (Math.floor(page / span) + 1) * span) {
    const from = yield* kernel.findLeafTable(cpu, parent, page);
    if (from < 0) continue; // nothing was ever mapped there
    const to = yield* kernel.leafTable(cpu, child, page);
    const last = Math.min(end, (Math.floor(page / span) + 1) * span);
    for (let each = page; each < last; each++) {
      const at = kernel.slot(from, each, 0);
      yield* sharePage(kernel, cpu, at, kernel.slot(to, each, 0));
    }
  }
}

/** Hardware may set flags of the parent's entry meanwhile: then again. */
function* sharePage(
  kernel: GuestKernel,
  cpu: GuestContext,
  at: number,
  childAt: number,
): Routine<void> {
  const { format, users } = kernel;
  for (;;) {
    const seen = format.decode(yield cpu.load(at, 'kernel.fork.look'), 0);
    if (seen.kind !== 'leaf') return;
    cpu.spend(Unit.listElement, 1);
    const rights = { ...seen, write: false };
    const shared = format.leaf({ pfn: seen.pfn, level: 0, rights });
    if (seen.write) {
      const kept = { accessed: seen.accessed, dirty: seen.dirty };
      const narrowed = format.leaf({ pfn: seen.pfn, level: 0, rights, ...kept });
      if (!won(yield cpu.casWord(at, seen, narrowed, 'kernel.fork.protect'))) continue;
    }
    yield* users.add(cpu, seen.pfn);
    yield cpu.storeWord(childAt, shared, 'kernel.fork.share');
    return;
  }
}
