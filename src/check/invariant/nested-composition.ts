/**
 * N1 and N3 at quiescence: every present entry of the shadow is L1's entry composed with what the
 * host gives L1: the frame that backs the L1 page, with no more rights than L1's entry, nor than
 * EPT01's where that is present (it may be absent: the next access of L1 itself fills it). A link
 * leads to the SP of the table that L1's entry names.
 */
import type { ShadowMmu } from '../../hypervisor/mmu/shadow/mmu.ts';
import type { TdpMmu } from '../../hypervisor/mmu/tdp/mmu.ts';
import { FRAME_BYTES } from '../../machine/memory.ts';
import { type Shadow, type ShadowEntry, shadowEntries, shadowPages } from './shadow-pages.ts';
import { leafOf } from './tables.ts';
import { hex, type View } from './view.ts';

export interface NestedViews {
  readonly host: View;
  /** L1's memory, where EPT12 lies. */
  readonly l1: View;
  readonly l1Pages: number;
}

/** `tdp`: the host's MMU for L1, EPT01. */
export function nestedComposition(views: NestedViews, shadow: ShadowMmu, tdp: TdpMmu): string[] {
  const wrong: string[] = [];
  const pages = shadowPages(views.host, shadow, views.l1Pages);
  const byHeader = new Map(pages.map((page) => [page.header, page]));
  for (const page of pages) {
    if (page.isUnsync) continue; // what L1 had said; S3 says that a sync will find it
    for (const found of shadowEntries(views.host, shadow, page)) {
      const where = `entry ${found.index} of L1 table ${hex(page.gfn)} (level ${page.level})`;
      const fault =
        found.entry.kind === 'leaf'
          ? leafFault(views, shadow, tdp, found)
          : linkFault(views, shadow, found, byHeader.get(found.target));
      if (fault !== undefined) wrong.push(`${where}: ${fault}`);
    }
  }
  return wrong;
}

function entryOfL1(views: NestedViews, shadow: ShadowMmu, { of, index }: ShadowEntry) {
  return shadow.format.decode(views.l1.word(of.gfn * FRAME_BYTES + index * 8), of.level);
}

function leafFault(
  views: NestedViews,
  shadow: ShadowMmu,
  tdp: TdpMmu,
  found: ShadowEntry,
): string | undefined {
  const { entry } = found;
  const upper = entryOfL1(views, shadow, found);
  if (upper.kind !== 'leaf')
    return `the shadow maps ${hex(entry.pfn)}, L1's entry is ${upper.kind}`;
  if (found.target !== upper.pfn) {
    return `noted for L1 page ${hex(found.target)}, L1's entry says ${hex(upper.pfn)}`;
  }
  const frame = tdp.backing.has(upper.pfn) ? tdp.backing.peekFrame(views.host, upper.pfn) : -1;
  if (entry.pfn !== frame) {
    const maps = `the shadow maps ${hex(entry.pfn)}`;
    return `${maps}, L1 page ${hex(upper.pfn)} is backed by ${hex(frame)}`;
  }
  const lower = leafOf(views.host, tdp.format, tdp.root, upper.pfn)?.entry;
  const limit = lower?.kind === 'leaf' ? rights(lower) : 'rwx';
  const may = [...rights(upper)].filter((right) => limit.includes(right)).join('');
  const has = rights(entry);
  const excess = [...has].some((right) => !may.includes(right));
  return excess ? `the shadow allows ${has}, EPT12 and EPT01 allow ${may}` : undefined;
}

function linkFault(
  views: NestedViews,
  shadow: ShadowMmu,
  found: ShadowEntry,
  child: Shadow | undefined,
): string | undefined {
  const upper = entryOfL1(views, shadow, found);
  if (child === undefined) return `linked to SP ${hex(found.target)}, which does not exist`;
  const names = upper.kind === 'table' ? upper.pfn : -1;
  if (child.gfn !== names) return `linked to L1 table ${hex(child.gfn)}, L1 says ${hex(names)}`;
  if (child.table !== found.entry.pfn) {
    return `points to frame ${hex(found.entry.pfn)}, the SP's table is ${hex(child.table)}`;
  }
  const level = found.of.level - 1;
  return child.level === level ? undefined : `linked to level ${child.level}, not ${level}`;
}

function rights(entry: { read: boolean; write: boolean; execute: boolean }): string {
  return `${entry.read ? 'r' : ''}${entry.write ? 'w' : ''}${entry.execute ? 'x' : ''}`;
}
