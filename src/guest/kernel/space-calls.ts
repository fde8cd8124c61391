/**
 * System calls on address spaces: mmap, munmap, mremap, fork, execve, exit. None of them leaves the
 * guest; each enters the kernel once, at the machine's price of a system call.
 */
import { defect } from '../../base/assert.ts';
import { pagesAt } from '../../machine/format/format.ts';
import type { GuestContext } from '../../machine/guest.ts';
import { systemCall } from '../../machine/instruction.ts';
import { FRAME_BYTES } from '../../machine/memory.ts';
import type { Routine } from '../../runtime/act.ts';
import { writeLock, writeUnlock } from '../../sync/rwlock.ts';
import type { MapRequest, Process, SpaceServices } from '../common/process.ts';
import { areaOf, areasOf, gapFor, holeAround, insertArea, removeRange } from './areas.ts';
import { fork } from './fork.ts';
import { unlinkTables } from './free-tables.ts';
import type { GuestKernel } from './kernel.ts';
import { enterSpace, generationOf, lockOf, newSpace } from './space.ts';
import { dismantleSpace, flushHere, shootDown } from './unmap.ts';

export function spaceServices(kernel: GuestKernel): SpaceServices {
  return {
    *begin(cpu): Routine<Process> {
      yield systemCall(cpu, 'kernel.call.begin');
      const process = yield* newSpace(kernel, cpu);
      yield* enterSpace(kernel, cpu, process);
      return process;
    },
    *map(cpu, process, request): Routine<number> {
      yield systemCall(cpu, 'kernel.call.mmap');
      return yield* mapArea(cpu, spaceOf(process), request);
    },
    *unmap(cpu, process, first, pages): Routine<void> {
      yield systemCall(cpu, 'kernel.call.munmap');
      yield* unmapPages(kernel, cpu, process, first, first + pages);
    },
    *move(cpu, process, first, pages): Routine<number> {
      yield systemCall(cpu, 'kernel.call.mremap');
      return yield* movePages(kernel, cpu, process, first, pages);
    },
    *fork(cpu, process): Routine<Process> {
      yield systemCall(cpu, 'kernel.call.fork');
      return yield* fork(kernel, cpu, process, spaceOf(process));
    },
    *exec(cpu, process): Routine<Process> {
      yield systemCall(cpu, 'kernel.call.exec');
      const next = yield* newSpace(kernel, cpu);
      yield* enterSpace(kernel, cpu, next);
      yield* endSpace(kernel, cpu, process);
      return next;
    },
    enter: (cpu, process) => enterSpace(kernel, cpu, process),
    *exit(cpu, process): Routine<void> {
      yield systemCall(cpu, 'kernel.call.exit');
      yield* enterSpace(kernel, cpu, undefined);
      yield* endSpace(kernel, cpu, process);
    },
    *trivialCall(cpu): Routine<void> {
      yield systemCall(cpu, 'kernel.call.trivial');
    },
  };
}

export function spaceOf(process: Process): number {
  return process.space ?? defect('spaceOf', 'the process has no list of areas');
}

function* mapArea(cpu: GuestContext, space: number, request: MapRequest): Routine<number> {
  const { pages, file = -1, write = file < 0 } = request;
  const lock = lockOf(space);
  yield* writeLock(cpu, lock, 'kernel.mmap.lock');
  const first = gapFor(cpu, space, pages);
  insertArea(cpu, space, { first, end: first + pages, file, offset: 0, write });
  yield* writeUnlock(cpu, lock, 'kernel.mmap.unlock');
  return first;
}

/** Areas, entries and tables go, then translations, then the frames. */
function* unmapPages(
  kernel: GuestKernel,
  cpu: GuestContext,
  process: Process,
  first: number,
  end: number,
): Routine<void> {
  const space = spaceOf(process);
  const lock = lockOf(space);
  yield* writeLock(cpu, lock, 'kernel.unmap.lock');
  removeRange(cpu, space, first, end);
  const frames: number[] = [];
  yield* takeLeaves(kernel, cpu, process, { first, end }, (frame) => frames.push(frame));
  const hole = holeAround(cpu, space, first);
  frames.push(...(yield* unlinkTables(kernel, cpu, process, { first, end }, hole)));
  if (frames.length > 0) yield* flushSpace(kernel, cpu, process, first, end);
  yield* writeUnlock(cpu, lock, 'kernel.unmap.unlock');
  for (const frame of frames) yield* kernel.release(cpu, frame);
}

/** Moves a mapping to the lowest gap: the same frames at other addresses. */
function* movePages(
  kernel: GuestKernel,
  cpu: GuestContext,
  process: Process,
  first: number,
  pages: number,
): Routine<number> {
  const { format } = kernel;
  const space = spaceOf(process);
  const lock = lockOf(space);
  const end = first + pages;
  yield* writeLock(cpu, lock, 'kernel.move.lock');
  const area = areaOf(cpu, space, first) ?? defect('movePages', `page ${first} is in no area`);
  const target = gapFor(cpu, space, pages);
  insertArea(cpu, space, { ...area, first: target, end: target + pages });
  removeRange(cpu, space, first, end);
  const moved: (readonly [page: number, frame: number])[] = [];
  yield* takeLeaves(kernel, cpu, process, { first, end }, (frame, page) => {
    moved.push([page - first + target, frame]);
  });
  const hole = holeAround(cpu, space, first);
  const tables = yield* unlinkTables(kernel, cpu, process, { first, end }, hole);
  yield* flushSpace(kernel, cpu, process, first, end);
  for (const frame of tables) yield* kernel.release(cpu, frame);
  const rights = { read: true, write: area.write, execute: true, user: true };
  for (const [page, pfn] of moved) {
    const table = yield* kernel.leafTable(cpu, process, page);
    // A page that a child still shares keeps the right to be copied only.
    const write = area.write && (area.file >= 0 || (yield* kernel.users.isSole(cpu, pfn)));
    const leaf = format.leaf({ pfn, level: 0, rights: { ...rights, write } });
    yield cpu.storeWord(kernel.slot(table, page, 0), leaf, 'kernel.move.commit');
  }
  yield* writeUnlock(cpu, lock, 'kernel.move.unlock');
  return target;
}

/** Empties the entries of a range; tells of each page that was there. */
function* takeLeaves(
  kernel: GuestKernel,
  cpu: GuestContext,
  process: Process,
  range: { readonly first: number; readonly end: number },
  taken: (frame: number, page: number) => void,
): Routine<void> {
  const { format } = kernel;
  const span = pagesAt(format.geometry, 1);
  for (let page = range.first; page < range.end; ) {
    const last = Math.min(range.end, (Math.floor(page / span) + 1) * span);
    const table = yield* kernel.findLeafTable(cpu, process, page);
    for (; page < last; page++) {
      if (table < 0) continue;
      const at = kernel.slot(table, page, 0);
      const old = format.decode(yield cpu.exchangeWord(at, format.empty, 'kernel.take.clear'), 0);
      if (old.kind === 'leaf') taken(old.pfn, page);
    }
  }
}

/** Nobody uses a translation of the range any more when this returns. */
function* flushSpace(
  kernel: GuestKernel,
  cpu: GuestContext,
  process: Process,
  first: number,
  end: number,
): Routine<void> {
  yield cpu.add(generationOf(spaceOf(process)), 1, 'kernel.flush.generation');
  yield* flushHere(cpu, first, end);
  yield* shootDown(kernel, cpu, process);
}

/** An address space in which nobody runs any more ceases to be. */
function* endSpace(kernel: GuestKernel, cpu: GuestContext, process: Process): Routine<void> {
  const space = spaceOf(process);
  const frames = yield* dismantleSpace(kernel, cpu, process, areasOf(cpu, space));
  for (const frame of frames) yield* kernel.release(cpu, frame);
  kernel.frames.give(cpu, space / FRAME_BYTES);
}
