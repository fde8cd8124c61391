/**
 * S1, S5 and S7 at quiescence: the reverse map and the parent lists hold exactly the present
 * entries; a guest frame's count is the number of its SPs; a shadowed table is write-protected.
 */
import { type EntryOf, type ShadowMmu, UPPER } from '../../hypervisor/mmu/shadow/mmu.ts';
import { BITMAP_BITS, bitmapAt, ShadowPage, StateAt } from '../../hypervisor/mmu/shadow/page.ts';
import type { TdpMmu } from '../../hypervisor/mmu/tdp/mmu.ts';
import type { NestedViews } from './nested-composition.ts';
import { shadowEntries, shadowPages } from './shadow-pages.ts';
import { leafOf } from './tables.ts';
import { hex } from './view.ts';

/** The reverse map has each present leaf once and nothing else; so have the parent lists. */
export function shadowReverse(views: NestedViews, shadow: ShadowMmu): string[] {
  const pages = shadowPages(views.host, shadow, views.l1Pages);
  const entries = pages.flatMap((page) => shadowEntries(views.host, shadow, page));
  const leaves = new Map<number, string[]>();
  const links = new Map<number, string[]>();
  for (const { of, index, entry, target } of entries) {
    const into = entry.kind === 'leaf' ? leaves : links;
    into.set(target, [...(into.get(target) ?? []), name({ page: of.header, index })]);
  }
  const wrong: string[] = [];
  for (let gfn = 0; gfn < views.l1Pages; gfn++) {
    const listed = shadow.peekReverse(views.host, gfn).map(name);
    wrong.push(...unequal(`L1 page ${hex(gfn)}`, listed, leaves.get(gfn) ?? []));
  }
  for (const { header, gfn } of pages) {
    const listed = shadow.peekParents(views.host, header).map(name);
    wrong.push(...unequal(`parents of L1 table ${hex(gfn)}`, listed, links.get(header) ?? []));
  }
  return wrong;
}

/** Every shadowed table is counted, and neither writable nor to be made writable in EPT01. */
export function shadowTracking(views: NestedViews, shadow: ShadowMmu, tdp: TdpMmu): string[] {
  const wrong: string[] = [];
  const expected = new Map<number, number>();
  const inStep = new Set<number>();
  for (const { gfn, level, isUnsync } of shadowPages(views.host, shadow, views.l1Pages)) {
    const weight = shadow.header === 'full' && level > 0 ? UPPER : 1;
    expected.set(gfn, (expected.get(gfn) ?? 0) + weight);
    if (!isUnsync) inStep.add(gfn);
    else if (level > 0) wrong.push(`L1 table ${hex(gfn)} of level ${level} is out of step`);
  }
  for (let gfn = 0; gfn < views.l1Pages; gfn++) {
    const count = shadow.peekTracked(views.host, gfn);
    const pages = expected.get(gfn) ?? 0;
    if (count !== pages)
      wrong.push(`L1 page ${hex(gfn)}: tracked ${count} times, has ${pages} SPs`);
    if (!inStep.has(gfn)) continue;
    const entry = leafOf(views.host, tdp.format, tdp.root, gfn)?.entry;
    if (entry === undefined || !(entry.write || entry.mmuWritable)) continue;
    const may = entry.write ? 'writable' : 'to be made writable';
    wrong.push(`L1 page ${hex(gfn)}: has ${pages} SPs, and is ${may} in EPT01`);
  }
  return wrong;
}

function name({ page, index }: EntryOf): string {
  return `${hex(page)}[${index}]`;
}

function unequal(of: string, listed: readonly string[], present: readonly string[]): string[] {
  const shown = (names: readonly string[]): string =>
    names.length === 0 ? 'nothing' : [...names].sort().join(' ');
  if (shown(listed) === shown(present)) return [];
  return [`${of}: listed ${shown(listed)}, present ${shown(present)}`];
}

/** S3: whatever is out of step is marked in every entry on the way up from it. */
export function shadowMarks(views: NestedViews, shadow: ShadowMmu): string[] {
  if (shadow.header === 'small') return [];
  const { host } = views;
  const wrong: string[] = [];
  for (const { header, gfn, isUnsync } of shadowPages(host, shadow, views.l1Pages)) {
    const isMarkedBelow = host.read(header + StateAt.unsyncChildren) !== 0;
    if (!isUnsync && !isMarkedBelow) continue;
    for (const { page, index } of shadow.peekParents(host, header)) {
      const bits = host.read(page + bitmapAt(index));
      if (Math.floor(bits / 2 ** (index % BITMAP_BITS)) % 2 === 1) continue;
      const of = hex(host.read(page + ShadowPage.at.gfn));
      wrong.push(
        `L1 table ${hex(gfn)} is out of step, entry ${index} of table ${of} does not say so`,
      );
    }
  }
  return wrong;
}
