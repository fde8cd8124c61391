/** The shadow pages of a shadow MMU, read through its own hash. */
import { type ShadowMmu, targetIn } from '../../hypervisor/mmu/shadow/mmu.ts';
import { Role, ShadowPage, StateAt } from '../../hypervisor/mmu/shadow/page.ts';
import type { Entry } from '../../machine/format/format.ts';
import { FRAME_BYTES } from '../../machine/memory.ts';
import type { FramePool } from '../promise.ts';
import { hex, type View } from './view.ts';

/** One shadow page (SP). */
export interface Shadow {
  /** Address of its header. */
  readonly header: number;
  /** Guest table that it mirrors. */
  readonly gfn: number;
  readonly level: number;
  readonly role: number;
  /** In use as a root and nothing else any more: taken out when its users are gone. */
  readonly isGhost: boolean;
  /** Frame that hardware walks, and the frame that says what each entry mirrors. */
  readonly table: number;
  readonly mapped: number;
  /** Out of step: its table may be written to unseen, and its entries say what it said before. */
  readonly isUnsync: boolean;
}

/** A present entry of an SP. */
export interface ShadowEntry {
  readonly of: Shadow;
  readonly index: number;
  readonly at: number;
  readonly entry: Entry;
  /** Guest page of a leaf, or header of the child: what the MMU noted beside it; -1 = nothing. */
  readonly target: number;
}

/** `guestPages`: how many pages the guest whose tables are mirrored has. */
export function shadowPages(view: View, mmu: ShadowMmu, guestPages: number): readonly Shadow[] {
  const found: Shadow[] = [];
  for (let gfn = 0; gfn < guestPages; gfn++) {
    for (const header of mmu.peekPages(view, gfn)) {
      const get = (at: number): number => view.read(header + at);
      const { table, mapped } = ShadowPage.at;
      const role = get(ShadowPage.at.role);
      const isUnsync = mmu.header === 'full' && get(StateAt.unsync) !== 0;
      found.push({
        header,
        gfn,
        level: Role.level(role),
        role,
        isGhost: Role.isInvalid(role),
        table: get(table),
        mapped: get(mapped),
        isUnsync,
      });
    }
  }
  return found;
}

export function shadowEntries(view: View, mmu: ShadowMmu, of: Shadow): readonly ShadowEntry[] {
  const found: ShadowEntry[] = [];
  for (let index = 0; index < 1 << mmu.format.geometry.indexBits; index++) {
    const at = of.table * FRAME_BYTES + index * 8;
    const entry = mmu.format.decode(view.word(at), of.level);
    if (entry.kind === 'empty') continue;
    const target = targetIn(view.read(of.mapped * FRAME_BYTES + index * 8));
    found.push({ of, index, at, entry, target });
  }
  return found;
}

/** S5: whether every write to a guest frame has to exit, as it is a table that is in step. */
export function mustTrap(view: View, mmu: ShadowMmu, gfn: number): boolean {
  if (mmu.peekTracked(view, gfn) === 0) return false;
  if (mmu.header === 'small') return true;
  // A leaf table that is out of step is written to without an exit.
  return mmu.peekPages(view, gfn).some((page) => view.read(page + StateAt.unsync) === 0);
}

/** S7: frames of live shadow pages that the pool could hand out. */
export function freedShadow(
  view: View,
  mmu: ShadowMmu,
  guestPages: number,
  pool: FramePool,
): string[] {
  const wrong: string[] = [];
  for (const { gfn, table, mapped } of shadowPages(view, mmu, guestPages)) {
    for (const frame of [table, mapped]) {
      if (!pool.isFree(view, frame)) continue;
      wrong.push(`the shadow of table ${hex(gfn)} lies in frame ${hex(frame)}, which is free`);
    }
  }
  return wrong;
}
