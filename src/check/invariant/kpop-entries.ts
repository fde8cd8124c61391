/**
 * K1 at quiescence: a present hardware entry has a valid intent, maps the frames that back the
 * intent's L1 pages now, and allows no more than the intent. Besides: no intent is locked, every
 * flush asked for is finished, and no label waits for one.
 */
import type { Space } from '../../hypervisor/mmu/kpop/space.ts';
import { pagesAt } from '../../machine/format/format.ts';
import { type KpopPlace, kpopTree } from './kpop-tree.ts';
import { hex, type View } from './view.ts';

export function kpopEntries(view: View, space: Space): string[] {
  const wrong: string[] = [];
  const { tables, places } = kpopTree(view, space);
  const hardwareOf = new Map(tables.map((table) => [table.header, table.hardware]));
  for (const place of places) {
    const where = `L2 page ${hex(place.page)} (level ${place.table.level})`;
    if (place.intent.locked) wrong.push(`${where}: its intent is locked, nobody runs`);
    const isLeaf = place.table.level === 0 || place.entry.kind === 'leaf';
    const fault = isLeaf
      ? leafFault(view, space, place)
      : linkFault(place, hardwareOf.get(place.intent.payload * 64) ?? -1);
    if (fault !== undefined) wrong.push(`${where}: ${fault}`);
  }
  return wrong;
}

function leafFault(view: View, space: Space, place: KpopPlace): string | undefined {
  const { entry, intent, table } = place;
  if (entry.kind !== 'leaf') return undefined;
  const { pfn, read, write, execute } = entry;
  if (intent.state !== 'valid') return `maps frame ${hex(pfn)}, its intent is ${intent.state}`;
  for (let i = 0; i < pagesAt(space.format.geometry, table.level); i++) {
    const l1gfn = intent.payload + i;
    const frame = space.l1Memory.peekFrame(view, l1gfn);
    if (pfn + i === frame) continue;
    return `maps frame ${hex(pfn + i)}, L1 page ${hex(l1gfn)} is backed by ${hex(frame)}`;
  }
  const has = (read ? 1 : 0) + (write ? 2 : 0) + (execute ? 4 : 0);
  if ((has & ~intent.prot) !== 0) return `allows rights ${has}, its intent ${intent.prot}`;
  return undefined;
}

function linkFault({ entry, intent }: KpopPlace, child: number): string | undefined {
  const pointer = entry.kind === 'table' ? entry.pfn : -1;
  if (intent.state !== 'table') {
    return pointer < 0 ? undefined : `links frame ${hex(pointer)}, its intent is ${intent.state}`;
  }
  return pointer === child ? undefined : `links frame ${hex(pointer)}, its child is ${hex(child)}`;
}

/** The generation protocol at rest: doneGen has reached every label, and does not pass gen. */
export function kpopGenerations(view: View, space: Space): string[] {
  const wrong: string[] = [];
  const gen = view.read(space.gen);
  const done = view.read(space.doneGen);
  if (done > gen) wrong.push(`finished flush ${done}, asked for ${gen}`);
  const { tables, places } = kpopTree(view, space);
  for (const { header, label } of tables) {
    if (label > done) wrong.push(`table ${hex(header)}: label ${label}, finished flush ${done}`);
  }
  for (const { page, intent } of places) {
    if (intent.state !== 'empty' || intent.payload <= done) continue;
    wrong.push(`L2 page ${hex(page)}: label ${intent.payload}, finished flush ${done}`);
  }
  return wrong;
}
