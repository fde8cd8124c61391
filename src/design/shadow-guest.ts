/**
 * The guest of explorations whose tables are shadowed: where its tables lie, and what its kernel
 * does to them. It reaches them by linear pages of its own, as a kernel does by its direct map.
 *
 * Guest frames: roots A and B, each with a leaf table for what programs use, and one with the
 * kernel's own pages that both link; then two places for each of the two pages that programs use:
 * B has them in the second. Linear pages: 0 and 1 are the programs', 2 is A's leaf table of them, 3
 * is root A.
 */
import type { AnonymousBacking } from '../hypervisor/backing/anonymous.ts';
import { type Entry, indexAt, type Word64 } from '../machine/format/format.ts';
import { READ, type WalkedFormat, WRITE } from '../machine/format/judge.ts';
import type { GuestContext } from '../machine/guest.ts';
import { access, invlpg, loadCr3 } from '../machine/instruction.ts';
import type { Machine } from '../machine/machine.ts';
import { FRAME_BYTES } from '../machine/memory.ts';
import { type Routine, won } from '../runtime/act.ts';
import type { CheckedKernel } from './system.ts';

export const ROOT_A = 1;
const LEAVES = 2;
const OWN_LEAVES = 3;
export const ROOT_B = 4;
const LEAVES_B = 5;
const FIRST_PLACES = 6;
const SECOND_PLACES = 8;
/** Guest frames, tables included. */
export const GUEST_FRAMES = 10;
/** Linear pages of programs, and of all. */
export const PROGRAM_PAGES = 2;
export const LINEAR_PAGES = 4;
const PAGE_OF_LEAVES = 2;
const PAGE_OF_ROOT = 3;
const DIRTY_BIT = 64;

const ALL = { read: true, write: true, execute: true, user: true };

/** Guest frame that is behind a program's page unless the kernel has moved it. */
export function placeOf(page: number): number {
  return FIRST_PLACES + page;
}

/** Writes the guest's tables: programs' pages were read and written, the kernel's own as well. */
export function installGuest(
  machine: Machine,
  backing: AnonymousBacking,
  format: WalkedFormat,
): void {
  const { memory } = machine;
  const put = (gfn: number, index: number, entry: Entry): void => {
    const at = backing.peekFrame(memory, gfn) * FRAME_BYTES + index * 8;
    memory.writeHalves(at, entry.lo, entry.hi);
  };
  for (const [root, leaves] of [[ROOT_A, LEAVES] as const, [ROOT_B, LEAVES_B] as const]) {
    put(root, 0, format.table(leaves));
    put(root, 1, format.table(OWN_LEAVES));
  }
  for (let page = 0; page < PROGRAM_PAGES; page++) {
    put(LEAVES, page, leafOf(format, placeOf(page)));
    put(LEAVES_B, page, leafOf(format, SECOND_PLACES + page));
  }
  put(OWN_LEAVES, indexAt(format.geometry, PAGE_OF_LEAVES, 0), leafOf(format, LEAVES));
  put(OWN_LEAVES, indexAt(format.geometry, PAGE_OF_ROOT, 0), leafOf(format, ROOT_A));
}

function leafOf(format: WalkedFormat, pfn: number): Entry {
  return format.leaf({ pfn, level: 0, rights: ALL, accessed: true, dirty: true });
}

export function kernelOf(format: WalkedFormat): CheckedKernel {
  const setLeaf = (page: number, entry: Word64) => (cpu: GuestContext) =>
    storeTo(cpu, PAGE_OF_LEAVES, page, entry);
  const setLink = (entry: Word64) => (cpu: GuestContext) => storeTo(cpu, PAGE_OF_ROOT, 0, entry);
  const readOnly = format.leaf({
    pfn: placeOf(0),
    level: 0,
    rights: { ...ALL, write: false },
    accessed: true,
    dirty: false,
  });
  return {
    asked: {
      clear: setLeaf(0, format.empty),
      move: setLeaf(0, leafOf(format, SECOND_PLACES)),
      protect: setLeaf(0, readOnly),
      clean: (cpu) => clearDirty(cpu, leafOf(format, placeOf(0))),
      unlink: setLink(format.empty),
      relink: setLink(format.table(LEAVES)),
      'link-itself': setLink(format.table(OWN_LEAVES)),
      invlpg: (cpu) => dropPage(cpu, 0),
      flush: (cpu) => loadRoot(cpu, ROOT_A),
      'root-a': (cpu) => loadRoot(cpu, ROOT_A),
      'root-b': (cpu) => loadRoot(cpu, ROOT_B),
    },
    access: (cpu, page, kind) => touch(cpu, page, kind),
  };
}

function* storeTo(cpu: GuestContext, page: number, index: number, entry: Word64): Routine<void> {
  yield cpu.storeWord(page * FRAME_BYTES + index * 8, entry, 'guest.entry');
}

/** The kernel looks for pages written to: takes D away, if nothing else has changed. */
function* clearDirty(cpu: GuestContext, entry: Entry): Routine<void> {
  const clean = { lo: entry.lo & ~DIRTY_BIT, hi: entry.hi };
  won(yield cpu.casWord(PAGE_OF_LEAVES * FRAME_BYTES, entry, clean, 'guest.entry'));
}

function* dropPage(cpu: GuestContext, page: number): Routine<void> {
  yield invlpg(cpu, page, 'guest.invlpg');
}

function* loadRoot(cpu: GuestContext, root: number): Routine<void> {
  yield loadCr3(cpu, root, 0, 'flush', 'guest.load-cr3'); // without PCIDs every load flushes
}

function* touch(cpu: GuestContext, page: number, kind: 'read' | 'write'): Routine<boolean> {
  const label = kind === 'read' ? 'guest.read' : 'guest.write';
  return won(yield access(cpu, page, kind === 'read' ? READ : WRITE, 0, label));
}
