/** The shadow pages of a shadow MMU, read through its own hash. */
import { type ShadowMmu, targetIn } from '../../hypervisor/mmu/shadow/mmu.ts';
import { Role, ShadowPage, StateAt } from '../../hypervisor/mmu/shadow/page.ts';
import type { Entry } from '../../machine/format/format.ts';
import { FRAME_BYTES } from '../../machine/memory.ts';
import type { View } from './view.ts';

/** One shadow page (SP). */
export interface Shadow {
  /** Address of its header. */
  readonly header: number;
  /** Guest table that it mirrors. */
  readonly gfn: number;
  readonly level: number;
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
      const { role, table, mapped } = ShadowPage.at;
      const level = Role.level(get(role));
      const isUnsync = mmu.header === 'full' && get(StateAt.unsync) !== 0;
      found.push({ header, gfn, level, table: get(table), mapped: get(mapped), isUnsync });
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
