/** What `nested` promises: the shadow engine's S1, S2, S4, S5, S7, and N1, N2, N3, N4, N6. */

import { FRAME_BYTES } from '../../machine/memory.ts';
import type { Released, StatePromise } from '../promise.ts';
import { type NestedViews, nestedComposition } from './nested-composition.ts';
import type { NestedParts } from './nested-use.ts';
import { shadowMarks, shadowReverse, shadowTracking } from './shadow-books.ts';
import { freedShadow, shadowEntries, shadowPages } from './shadow-pages.ts';
import { isLost, tdpPromises } from './tdp-backing.ts';
import { guestView, hex, type View } from './view.ts';

export function nestedPromises(parts: NestedParts): readonly StatePromise[] {
  const { shadow, tdp } = parts.vm;
  const viewsOf = (host: View): NestedViews => ({
    host,
    l1: guestView(host, (gfn) => tdp.backing.peekFrame(host, gfn)),
    l1Pages: parts.l1Pages,
  });
  const books = (view: View): string[] => shadowReverse(viewsOf(view), shadow);
  const mirror = (view: View): string[] => nestedComposition(viewsOf(view), shadow, tdp);
  const tracking = (view: View): string[] => shadowTracking(viewsOf(view), shadow, tdp);
  const marks = (view: View): string[] => shadowMarks(viewsOf(view), shadow);
  const released = (complaints: (view: View) => string[]): Released => ({
    lock: tdp.lock.at,
    isHeld: (view) => tdp.isHeldForWrite(view),
    holds: (view) => complaints(view)[0],
  });
  return [
    ...tdpPromises(tdp),
    {
      id: 'nested.promised',
      title:
        'N1, N2, S6: on no CPU can L2 use more than the tables of L1 have said since the last ' +
        'flush by L1 there, composed with the frames that back its pages now',
      source: 'primer/x86.md 4.6, N1, N2; 3.4, S6; Intel SDM vol. 3, 28.4.3',
    },
    {
      id: 'nested.mirrored',
      title:
        'S2, N3: without the lock held, a shadow entry is the entry of L1 composed with what ' +
        'backs its page, with no more rights',
      source: 'primer/x86.md 3.4, S2; 4.6, N3',
      released: released(mirror),
      atRest: mirror,
    },
    {
      id: 'nested.listed',
      title: 'S1: reverse map and parent lists hold exactly the present entries',
      source: 'primer/x86.md 3.4, S1',
      released: released(books),
      atRest: books,
    },
    {
      id: 'nested.tracked',
      title: 'S4, S5: without the lock held, nobody can write to a shadowed table unseen',
      source: 'primer/x86.md 3.4, S4 (with unsync=off no table may be out of step), S5',
      released: released(tracking),
      atRest: tracking,
    },
    {
      id: 'nested.marked',
      title: 'S3: what is out of step is marked in every entry above it, up to the roots',
      source: 'primer/x86.md 3.4, S3',
      released: released(marks),
      atRest: marks,
    },
    ...ofPages(parts, released),
  ];
}

/** What holds of shadow pages and tags, entries apart. */
function ofPages(
  parts: NestedParts,
  released: (complaints: (view: View) => string[]) => Released,
): readonly StatePromise[] {
  const { vm, l1Pages, pool } = parts;
  const freed = (view: View): string[] => freedShadow(view, vm.shadow, l1Pages, pool);
  return [
    {
      id: 'nested.freed',
      title: 'S7: no shadow entry leads to a shadow page that is free',
      source: 'primer/x86.md 3.4, S7',
      released: released(freed),
      atRest: freed,
    },
    {
      id: 'nested.dirty',
      title: 'N4: at rest every page of L1 that L1 or L2 wrote to is known to be dirty',
      source: 'primer/x86.md 4.6, N4; 2.8, I4; 9.2, R3',
      atRest: (view) => lost(view, parts),
    },
    {
      id: 'nested.tagged',
      title: 'N6: L2 never runs under the tag of L1',
      source: 'primer/x86.md 4.6, N6',
      always: (view) => tagged(view, parts),
    },
  ];
}

/** Pages that were written to, of which neither EPT01, nor the shadow, nor a note says so. */
function lost(view: View, { vm, l1Pages }: NestedParts): string[] {
  const { shadow, tdp } = vm;
  const known = new Set<number>();
  for (const page of shadowPages(view, shadow, l1Pages)) {
    for (const { entry, target } of shadowEntries(view, shadow, page)) {
      if (entry.kind === 'leaf' && entry.dirty) known.add(target);
    }
  }
  const wrong: string[] = [];
  for (let page = 0; page < l1Pages; page++) {
    if (known.has(page) || !isLost(view, tdp, page)) continue;
    wrong.push(`L1 page ${hex(page)} was written to, nobody knows`);
  }
  return wrong;
}

function tagged(view: View, { vm, rootWord }: NestedParts): string | undefined {
  for (const { vmcs02 } of vm.vcpus) {
    const root = Math.floor(view.read(rootWord(vmcs02)) / FRAME_BYTES);
    if (root === vm.tdp.root) return `VMCS02 in frame ${hex(vmcs02)} has L1's root ${hex(root)}`;
  }
  return undefined;
}
