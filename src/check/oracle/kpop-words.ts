/** What the words of KPOP's L0 mean to its specification. */
import type { AnonymousBacking } from '../../hypervisor/backing/anonymous.ts';
import { ALL, protOf } from '../../hypervisor/mmu/kpop/leaf.ts';
import { FENCE_GROUP, type Space } from '../../hypervisor/mmu/kpop/space.ts';
import { kpopTree } from '../invariant/kpop-tree.ts';
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
    specification: new KpopSpecification({ fenceOf: (page) => Math.floor(page / FENCE_GROUP) }),
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
  for (const { table, page, intent, entry } of kpopTree(view, space).places) {
    if (table.level !== 0 || page >= count) continue;
    const isHidden = intent.locked || isHeld;
    const { state, payload, prot } = intent;
    const was = before?.pages[page];
    const isWanted = state === 'valid';
    found[page] = {
      l1gfn: isWanted ? payload : -1,
      prot: isWanted ? prot : 0,
      hardware: protOf(entry) & (isHidden && was !== undefined ? was.hardware : ALL),
      lingers: state === 'empty' && payload > done,
      withdrawn: 0,
      epoch: 0,
    };
  }
  return found;
}

function isScopeHeld(view: View, { scope, lock }: Space): boolean {
  if (scope === 'entry') return false;
  const { lo, hi } = view.word(lock.at);
  return lo !== hi;
}
