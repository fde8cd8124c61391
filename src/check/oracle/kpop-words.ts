/** What the words of KPOP's L0 mean to its specification. */
import type { AnonymousBacking } from '../../hypervisor/backing/anonymous.ts';
import type { Intent } from '../../hypervisor/mmu/kpop/intent.ts';
import { ALL, protOf } from '../../hypervisor/mmu/kpop/leaf.ts';
import { FENCE_GROUP, type Space } from '../../hypervisor/mmu/kpop/space.ts';
import { indexAt, pagesAt } from '../../machine/format/format.ts';
import { FRAME_BYTES } from '../../machine/memory.ts';
import { type KpopPlace, kpopTree } from '../invariant/kpop-tree.ts';
import type { View } from '../invariant/view.ts';
import { type KpopPage, KpopSpecification, type KpopState } from './kpop.ts';
import type { Oracle } from './specification.ts';

const NOTHING: KpopPage = {
  l1gfn: -1,
  prot: 0,
  hardware: 0,
  lingers: false,
  withdrawn: 0,
  epoch: 0,
};

export interface KpopSize {
  readonly pages: number;
  readonly l1Pages: number;
}

export function kpopOracle(
  space: Space,
  l1Memory: AnonymousBacking,
  { pages, l1Pages }: KpopSize,
): Oracle<KpopState> {
  const groups = Array.from({ length: Math.ceil(pages / FENCE_GROUP) }, (_, i) => i);
  return {
    specification: new KpopSpecification({
      fenceOf: (page) => Math.floor(page / FENCE_GROUP),
      block: pagesAt(space.format.geometry, space.top),
    }),
    wordless: ['access'],
    abstraction: (view, before, released) => ({
      pages: pagesOf(view, space, pages, before, released),
      fences: groups.map((group) => view.read(space.fence(group * FENCE_GROUP))),
      resident: Array.from({ length: l1Pages }, (_, i) => l1Memory.peekFrame(view, i) >= 0),
    }),
  };
}

function pagesOf(
  view: View,
  space: Space,
  count: number,
  before: KpopState | undefined,
  released: string,
): KpopPage[] {
  const found = new Array<KpopPage>(count).fill(NOTHING);
  const done = view.read(space.doneGen);
  // What is set under the lock counts from the write of the intent word on, which comes last; what
  // is cleared there counts at once.
  const isHeld = released !== 'kpop.entry.unlock' && isScopeHeld(view, space);
  // Tables whose entries are about to become one: nothing has changed until that is done.
  const merging = new Set<number>();
  for (const place of kpopTree(view, space).places) {
    const { table, page: first, intent, entry } = place;
    if (merging.has(table.header)) continue;
    const isMerging = intent.state === 'table' && entry.kind === 'leaf';
    if (isMerging) merging.add(intent.payload * 64);
    if (intent.state === 'table' && !isMerging) continue;
    const end = Math.min(count, first + pagesAt(space.format.geometry, table.level));
    for (let page = first; page < end; page++) {
      const was = before?.pages[page];
      if (isMerging && was !== undefined) found[page] = was;
      else {
        const at = leafFor(view, space, place, page - first);
        found[page] = pageOf(at, page - first, isHeld ? was : lockedAs(intent, was), done);
      }
    }
  }
  return found;
}

/**
 * The place with the leaf that hardware has for a page: while a huge intent is being split, it is
 * in the table that is linked already.
 */
function leafFor(view: View, { format }: Space, place: KpopPlace, offset: number): KpopPlace {
  const { entry, intent, table } = place;
  if (intent.state !== 'valid' || entry.kind !== 'table') return place;
  const at = entry.pfn * FRAME_BYTES + indexAt(format.geometry, offset, table.level - 1) * 8;
  return { ...place, entry: format.decode(view.word(at), table.level - 1) };
}

/** How the page was if its entry is locked: what is set under the lock does not count yet. */
function lockedAs({ locked }: Intent, was: KpopPage | undefined): KpopPage | undefined {
  return locked ? was : undefined;
}

function pageOf(
  { intent: { state, payload, prot }, entry }: KpopPlace,
  offset: number,
  was: KpopPage | undefined,
  done: number,
): KpopPage {
  const isWanted = state === 'valid';
  return {
    l1gfn: isWanted ? payload + offset : -1,
    prot: isWanted ? prot : 0,
    hardware: protOf(entry) & (was?.hardware ?? ALL),
    lingers: state === 'empty' && payload > done,
    withdrawn: 0,
    epoch: 0,
  };
}

function isScopeHeld(view: View, { scope, lock }: Space): boolean {
  if (scope === 'entry') return false;
  const { lo, hi } = view.word(lock.at);
  return lo !== hi;
}
