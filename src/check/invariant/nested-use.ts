/**
 * N1, N2, S6: what a CPU in guest mode can use. L2 may use what L1's tables say, or have said since
 * L1's last invalidation on that CPU, composed with the frame that backs the L1 page now: never
 * more. L1 may use what the host maps, and cannot write to a table that is shadowed.
 */
import type { ShadowedVm } from '../../hypervisor/nested/state.ts';
import { RIGHT_USER, RIGHT_WRITE } from '../../machine/format/judge.ts';
import { FRAME_BYTES } from '../../machine/memory.ts';
import type { FramePool } from '../promise.ts';
import {
  type Broken,
  entriesOf,
  freeTable,
  type Usable,
  type Use,
  usableFor,
} from './guest-use.ts';
import { mustTrap } from './shadow-pages.ts';
import { hex, type View } from './view.ts';

export interface NestedParts {
  readonly vm: ShadowedVm;
  readonly pool: FramePool;
  readonly l1Pages: number;
  readonly l2Pages: number;
  /** Address of the word that names L2's root, in the block in a frame of L0's. */
  rootWord(frame: number): number;
  /** The promised space of an EPT12 root, by its L1 page. */
  spaceOf(root: number): number;
}

export function nestedMisuse(view: View, parts: NestedParts, use: Use): Broken | undefined {
  return use.space === parts.vm.tdp.root
    ? misuseByL1(view, parts, use)
    : misuseByL2(view, parts, use);
}

function misuseByL1(view: View, parts: NestedParts, use: Use): Broken | undefined {
  const { tdp } = parts.vm;
  for (const cached of entriesOf(use)) {
    if (cached.kind === 'table') {
      if (isFree(view, parts, cached.frame)) return freeTable(cached.frame);
      continue;
    }
    const { page, frame, rights } = cached;
    const now = tdp.backing.peekFrame(view, page);
    if (now !== frame) {
      return ['tlb.stale', `may use L1 page ${hex(page)} in frame ${hex(frame)}, not ${hex(now)}`];
    }
    const isWritable = (rights & RIGHT_WRITE) !== 0;
    if (isWritable && !use.locked && mustTrap(view, parts.vm.shadow, page)) {
      return ['nested.tracked', `may write to L1 page ${hex(page)}, which is shadowed`];
    }
  }
  return undefined;
}

function misuseByL2(view: View, parts: NestedParts, use: Use): Broken | undefined {
  const { hardware, space } = use;
  const mine = entriesOf(use);
  for (const { kind, frame } of mine) {
    if (kind === 'table' && isFree(view, parts, frame)) return freeTable(frame);
  }
  const eptp12 = view.read(parts.rootWord(parts.vm.vcpus[use.hart]!.cached));
  const promised = parts.spaceOf(Math.floor(eptp12 / FRAME_BYTES));
  for (let page = 0; page < parts.l2Pages; page++) {
    const now = hardware.walk(space, page);
    for (const table of now.tables) {
      if (table !== undefined && isFree(view, parts, table)) return freeTable(table);
    }
    for (const usable of usableFor(hardware, use.cached, space, page)) {
      const why = unpromised(view, parts, use, promised, page, usable);
      if (why !== undefined) return ['nested.promised', why];
    }
  }
  return undefined;
}

/** Why L1 has not allowed that a page be used so; undefined if it has. */
function unpromised(
  view: View,
  parts: NestedParts,
  use: Use,
  promised: number,
  page: number,
  { frame, rights }: Usable,
): string | undefined {
  const { backing } = parts.vm.tdp;
  const said = usableFor(use.hardware, use.cached, promised, page);
  const matching = said.filter(
    (one) => backing.has(one.frame) && backing.peekFrame(view, one.frame) === frame,
  );
  if (matching.some((one) => (rights & ~one.rights & ~RIGHT_USER) === 0)) return undefined;
  const what = `may use L2 page ${hex(page)} in frame ${hex(frame)}`;
  if (matching.length > 0) return `${what} with rights that L1 has not given since its last flush`;
  const pages = said.map((one) => hex(one.frame)).join(' or ');
  const says = pages === '' ? 'nothing' : `L1 page ${pages}`;
  return `${what}; since its last flush L1 has mapped ${says}`;
}

function isFree(view: View, { pool }: NestedParts, frame: number): boolean {
  return pool.covers(frame) && pool.isFree(view, frame);
}
