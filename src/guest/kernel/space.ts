/**
 * Address spaces that a kernel keeps a list of areas for: what Linux calls an mm. Its words lie in
 * a frame of their own: the lock, who runs in it, how often it was restricted, and the areas.
 *
 * A vCPU that runs in the space has its bit in `users` and is interrupted when translations go; one
 * that comes back compares `generation` with what it saw last and flushes if it moved. Returning
 * sets the bit (locked) before it reads the generation, a restriction raises the generation
 * (locked) before it reads the bits: one of the two sees the other.
 *
 * Source: Linux 6.12, mm_struct, switch_mm_irqs_off and choose_new_asid (arch/x86/mm/tlb.c); facts.
 * Leaves out: per-VMA locks (a fault holds the space's lock for reading), lazy TLB mode, merging of
 * adjacent areas.
 */

import type { GuestContext } from '../../machine/guest.ts';
import { loadCr3, zeroFrame } from '../../machine/instruction.ts';
import { FRAME_BYTES } from '../../machine/memory.ts';
import { num, type Routine } from '../../runtime/act.ts';
import { atomic, atomicLine, layout, plain } from '../../runtime/layout.ts';
import { type RwLock, rwlock } from '../../sync/rwlock.ts';
import type { Process } from '../common/process.ts';
import type { GuestKernel } from './kernel.ts';

/** Areas that the frame of a space holds. */
export const MOST_AREAS = 100;
/** Words of an area: first page, end, what backs it, first page of the file. */
export const AREA_WORDS = 4;

export const SpaceWords = layout('guest.space', {
  lock: { kind: 'atomic', count: 2, line: 'new' },
  users: atomicLine,
  generation: atomic,
  /** Number of the space, never used again: what a tag belongs to. */
  number: plain,
  count: plain,
  areas: { kind: 'plain', count: MOST_AREAS * AREA_WORDS, line: 'new' },
});

/** Tags that a vCPU's kernel keeps translations under (TLB_NR_DYN_ASIDS). */
const TAGS = 6;

/** What each vCPU knows: the space it runs in, which tag is used next, what the tags belong to. */
export const TagWords = layout('guest.tags', {
  current: { kind: 'plain', line: 'new' },
  next: plain,
  /** Spaces made by this vCPU: their numbers are this times the vCPUs, plus the vCPU. */
  made: plain,
  slots: { kind: 'plain', count: TAGS * 2, line: 'new' },
});

export function lockOf(space: number): RwLock {
  return rwlock(space + SpaceWords.at.lock, 'guest.mmap');
}

export function usersOf(space: number): number {
  return space + SpaceWords.at.users;
}

export function generationOf(space: number): number {
  return space + SpaceWords.at.generation;
}

/** An empty address space; nobody runs in it yet. */
export function* newSpace(kernel: GuestKernel, cpu: GuestContext): Routine<Process> {
  const root = yield* kernel.newRoot(cpu);
  const frame = yield* kernel.frames.take(cpu);
  yield zeroFrame(cpu, frame, 'kernel.space.zero');
  const space = frame * FRAME_BYTES;
  const made = kernel.tagsOf(cpu.seat) + TagWords.at.made;
  const count = cpu.read(made) + 1;
  cpu.write(made, count);
  cpu.write(space + SpaceWords.at.number, count * kernel.vcpus.length + cpu.seat);
  return { root, pcid: 0, users: usersOf(space), space };
}

/** Leaves the space that the vCPU runs in, and runs in `process`, or in none. */
export function* enterSpace(
  kernel: GuestKernel,
  cpu: GuestContext,
  process: Process | undefined,
): Routine<void> {
  const bit = 2 ** cpu.seat;
  const current = kernel.tagsOf(cpu.seat) + TagWords.at.current;
  const previous = cpu.read(current);
  if (process?.space === previous && previous !== 0) return;
  if (process?.space === undefined) yield kernel.leaveProcess(cpu, 'kernel.enter.none');
  else {
    yield cpu.add(process.users, bit, 'kernel.enter.users');
    yield* loadTagged(kernel, cpu, process.root, process.space);
  }
  if (previous !== 0) yield cpu.add(usersOf(previous), -bit, 'kernel.enter.leave');
  cpu.write(current, process?.space ?? 0);
}

/** Finds the space's tag on this vCPU, or takes the next one for it. */
function* loadTagged(
  kernel: GuestKernel,
  cpu: GuestContext,
  root: number,
  space: number,
): Routine<void> {
  const generation = num(yield cpu.load(generationOf(space), 'kernel.enter.generation'));
  const tags = kernel.tagsOf(cpu.seat);
  const number = cpu.read(space + SpaceWords.at.number);
  let tag = 0;
  while (tag < TAGS && cpu.read(slotAt(tags, tag)) !== number) tag++;
  const isKnown = tag < TAGS;
  if (!isKnown) {
    tag = cpu.read(tags + TagWords.at.next);
    cpu.write(tags + TagWords.at.next, (tag + 1) % TAGS);
    cpu.write(slotAt(tags, tag), number);
  }
  const isCurrent = isKnown && cpu.read(slotAt(tags, tag) + 8) === generation;
  cpu.write(slotAt(tags, tag) + 8, generation);
  yield loadCr3(cpu, root, tag + 1, isCurrent ? 'keep' : 'flush', 'kernel.enter.load');
}

function slotAt(tags: number, tag: number): number {
  return tags + TagWords.at.slots + tag * 16;
}
