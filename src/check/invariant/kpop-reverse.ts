/** K4 at quiescence: the reverse map mirrors the present hardware entries exactly. */
import type { Space } from '../../hypervisor/mmu/kpop/space.ts';
import { kpopTree } from './kpop-tree.ts';
import { hex, Onlooker, type View } from './view.ts';

export function kpopReverse(view: View, space: Space, l1Pages: number): string[] {
  const onlooker = new Onlooker(view);
  const present = new Map<number, string[]>();
  // A huge entry is in the list of its first page.
  for (const { table, index, intent, entry } of kpopTree(view, space).places) {
    if (entry.kind !== 'leaf') continue;
    const l1gfn = intent.payload;
    present.set(l1gfn, [...(present.get(l1gfn) ?? []), `${hex(table.header)}[${index}]`]);
  }
  const wrong: string[] = [];
  for (let l1gfn = 0; l1gfn < l1Pages; l1gfn++) {
    const listed = onlooker.run((me) => space.reverse.collect(me, l1gfn));
    if (listed === undefined) {
      wrong.push(`L1 page ${hex(l1gfn)}: its list is locked, nobody runs`);
      continue;
    }
    const has = shown(listed.mappings.map(({ table, index }) => `${hex(table)}[${index}]`));
    const should = shown(present.get(l1gfn) ?? []);
    if (has !== should) wrong.push(`L1 page ${hex(l1gfn)}: listed ${has}, present ${should}`);
    const open = view.read(space.reverse.inProgress(l1gfn));
    if (open !== 0) wrong.push(`L1 page ${hex(l1gfn)}: ${open} invalidations are open, expected 0`);
  }
  return wrong;
}

function shown(names: readonly string[]): string {
  return names.length === 0 ? 'nothing' : [...names].sort().join(' ');
}
