/**
 * Page faults in an address space with areas: anonymous pages on demand, pages of files from the
 * page cache, and the copy that a write to a shared anonymous page makes.
 *
 * Source of the order in a copy: Linux 6.12 wp_page_copy (mm/memory.c): copy, clear and flush the
 * old entry, install the new one; facts. The old entry is replaced by one that is not present and
 * that nobody else fills, as no page-table lock is held.
 */
import { defect } from '../../base/assert.ts';
import type { Entry } from '../../machine/format/format.ts';
import type { GuestContext } from '../../machine/guest.ts';
import { copyFrame, invlpg, zeroFrame } from '../../machine/instruction.ts';
import { Unit } from '../../machine/preset/price.ts';
import { type Routine, won } from '../../runtime/act.ts';
import { readLock, readUnlock } from '../../sync/rwlock.ts';
import type { Process } from '../common/process.ts';
import { areaOf, type MappedArea } from './areas.ts';
import type { GuestKernel } from './kernel.ts';
import { lockOf } from './space.ts';
import { shootDown } from './unmap.ts';

/** Bit 1 of a page fault's error code: the access was a write. */
const WRITE_FAULT = 2;

export interface SpaceFault {
  readonly process: Process;
  readonly space: number;
  readonly page: number;
  /** #PF error code. */
  readonly code: number;
}

export function* faultInSpace(
  kernel: GuestKernel,
  cpu: GuestContext,
  fault: SpaceFault,
): Routine<void> {
  cpu.spend(Unit.guestFaultWork, 1);
  const lock = lockOf(fault.space);
  yield* readLock(cpu, lock, 'kernel.fault.lock');
  const area = areaOf(cpu, fault.space, fault.page);
  if (area === undefined) defect('faultInSpace', `page ${fault.page} is in no area`);
  yield* resolve(kernel, cpu, fault, area);
  yield* readUnlock(cpu, lock, 'kernel.fault.unlock');
}

function* resolve(
  kernel: GuestKernel,
  cpu: GuestContext,
  { process, page, code }: SpaceFault,
  area: MappedArea,
): Routine<void> {
  const { format, data, users } = kernel;
  const table = yield* kernel.leafTable(cpu, process, page);
  const at = kernel.slot(table, page, 0);
  const seen = format.decode(yield cpu.load(at, 'kernel.space.look'), 0);
  const isWrite = (code & WRITE_FAULT) !== 0;
  if (seen.kind === 'frozen') return; // another thread copies the page
  if (isWrite && !area.write) defect('faultInSpace', `a write to read-only page ${page}`);
  if (seen.kind === 'leaf') {
    if (isWrite && !seen.write) yield* breakSharing(kernel, cpu, process, { at, page, seen });
    return; // else somebody else was faster
  }
  const rights = { read: true, write: area.write, execute: true, user: true };
  if (area.file < 0) {
    const frame = yield* data.take(cpu);
    yield zeroFrame(cpu, frame, 'kernel.space.zero-page');
    const leaf = format.leaf({ pfn: frame, level: 0, rights });
    if (!won(yield cpu.casWord(at, seen, leaf, 'kernel.space.commit'))) kernel.free(cpu, frame);
    return;
  }
  const ofFile = area.offset + page - area.first;
  const frame = yield* kernel.cache.frameOf(kernel, cpu, area.file, ofFile);
  yield* users.add(cpu, frame);
  const leaf = format.leaf({ pfn: frame, level: 0, rights });
  if (won(yield cpu.casWord(at, seen, leaf, 'kernel.space.commit-file'))) return;
  yield* users.drop(cpu, frame);
}

/** A write to a page that was shared by a fork: copied, unless nobody else has it any more. */
function* breakSharing(
  kernel: GuestKernel,
  cpu: GuestContext,
  process: Process,
  { at, page, seen }: { readonly at: number; readonly page: number; readonly seen: Entry },
): Routine<void> {
  const { format, users } = kernel;
  const rights = { read: true, write: true, execute: true, user: true };
  const own = { level: 0, rights, accessed: true, dirty: true };
  if (yield* users.isSole(cpu, seen.pfn)) {
    // What other CPUs have cached forbids more than it must: they fault once and look again.
    yield cpu.casWord(at, seen, format.leaf({ ...own, pfn: seen.pfn }), 'kernel.cow.reuse');
    return;
  }
  const copy = yield* kernel.data.take(cpu);
  yield copyFrame(cpu, seen.pfn, copy, 'kernel.cow.copy');
  if (!won(yield cpu.casWord(at, seen, format.frozen, 'kernel.cow.freeze'))) {
    kernel.free(cpu, copy); // another thread was faster
    return;
  }
  yield invlpg(cpu, page, 'kernel.cow.flush');
  yield* shootDown(kernel, cpu, process);
  yield cpu.storeWord(at, format.leaf({ ...own, pfn: copy }), 'kernel.cow.commit');
  yield* kernel.release(cpu, seen.pfn);
}
