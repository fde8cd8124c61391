/** What KPOP's L0 promises in every state, whoever is in the middle of what. */
import type { AnonymousBacking } from '../../hypervisor/backing/anonymous.ts';
import { protOf, WRITE } from '../../hypervisor/mmu/kpop/leaf.ts';
import type { Space } from '../../hypervisor/mmu/kpop/space.ts';
import { hasEnded, type Vm } from '../../hypervisor/vcpu.ts';
import { pagesAt } from '../../machine/format/format.ts';
import { RIGHT_WRITE } from '../../machine/format/judge.ts';
import { FRAME_BYTES } from '../../machine/memory.ts';
import type { StatePromise } from '../promise.ts';
import { kpopEntries, kpopGenerations } from './kpop-entries.ts';
import { kpopFrames } from './kpop-frames.ts';
import { kpopReverse } from './kpop-reverse.ts';
import { type KpopPlace, kpopTree, pagesOfPlace } from './kpop-tree.ts';
import { hex, type View } from './view.ts';

/** What L1 has been told is over, as words per L2 page. */
export interface Revoked {
  /** Not 0 once an UNMAP of the page has returned to L1. */
  at(page: number): number;
  /** Rights (PROT_*) that a PROTECT has taken away, once it has returned to L1. */
  withdrawnAt(page: number): number;
  readonly pages: number;
}

/** What a KPOP host's state is spread over. */
export interface KpopHost {
  readonly space: Space;
  readonly revoked: Revoked;
  /** Word: 1 once a teardown has returned. */
  readonly torn: number;
}

export function kpopPromises(vm: Vm, host: KpopHost): readonly StatePromise[] {
  const { space, revoked } = host;
  const l1Pages = revoked.pages * 2;
  return [
    ...spacePromises(space, l1Pages),
    {
      id: 'kpop.revoked',
      title: 'K2, K8, K14: once UNMAP has returned, L2 reaches the page no more',
      source: 'primer/x86.md 6.2, visibility contract V1, V2; 6.10, K2, K8, K14',
      always: (view) => resurrected(view, space, revoked),
    },
    {
      id: 'kpop.withdrawn',
      title: 'K2, K14: once PROTECT has returned, nothing gives L2 the rights that it took away',
      source: 'primer/x86.md 6.2, visibility contract V1, V2; 6.3, PROTECT',
      always: (view) => givenAgain(view, space, revoked),
    },
    {
      id: 'kpop.torn',
      title: 'once a teardown has returned, nothing is mapped or wanted, and no vCPU goes on',
      source: 'primer/x86.md 6.5, teardown',
      always: (view) => leftOver(view, vm, host),
    },
    kpopFrames(space, vm, l1Pages),
    ...(space.notesDirty ? [kpopDirty(space, l1Pages)] : []),
  ];
}

/** D is never lost: what was written to is dirty in an entry, or noted by who took that away. */
function kpopDirty(space: Space, l1Pages: number): StatePromise {
  return {
    id: 'kpop.dirty',
    title: 'K5: at rest every page of L1 that L2 has written to is known to be dirty',
    source: 'primer/x86.md 6.2, V3; 6.10, K5, huge split losing D',
    atRest: (view) => {
      const dirty = new Set<number>();
      for (const { entry, intent, table } of kpopTree(view, space).places) {
        if (entry.kind !== 'leaf' || !entry.dirty) continue;
        const pages = pagesAt(space.format.geometry, table.level);
        for (let i = 0; i < pages; i++) dirty.add(intent.payload + i);
      }
      const { l1Memory } = space;
      return Array.from({ length: l1Pages }, (_, l1gfn) => l1gfn)
        .filter((l1gfn) => {
          const frame = l1Memory.peekFrame(view, l1gfn);
          if (frame < 0 || view.read(frame * FRAME_BYTES) === 0) return false;
          return !dirty.has(l1gfn) && !l1Memory.isMarkedDirty(view, l1gfn);
        })
        .map((l1gfn) => `L1 page ${hex(l1gfn)} was written to, nobody knows`);
    },
  };
}

/** What holds of an address space whatever its L1 is. */
export function spacePromises(space: Space, l1Pages: number): readonly StatePromise[] {
  return [
    {
      id: 'kpop.composed',
      title: 'K1: a present entry maps the frame behind its intent with no more than its rights',
      source: 'primer/x86.md 6.10, K1',
      always: (view) => composed(view, space),
      atRest: (view) => kpopEntries(view, space),
    },
    {
      id: 'kpop.mirrored',
      title: 'K4: at rest the reverse map mirrors the present entries exactly',
      source: 'primer/x86.md 6.10, K4',
      atRest: (view) => kpopReverse(view, space, l1Pages),
    },
    {
      id: 'kpop.finished',
      title: 'at rest every label has been reached by a finished flush',
      source: 'primer/x86.md 6.1, flush label',
      atRest: (view) => kpopGenerations(view, space),
    },
  ];
}

function composed(view: View, space: Space): string | undefined {
  for (const place of kpopTree(view, space).places) {
    const { entry, intent, page } = place;
    if (entry.kind !== 'leaf') continue;
    // Under the lock the intent is about to become what the entry says already.
    if (intent.locked || space.scope !== 'entry') continue;
    const why = leafWithout(view, space, place);
    if (why !== undefined) return `L2 page ${hex(page)} maps frame ${hex(entry.pfn)}, ${why}`;
  }
  return undefined;
}

function leafWithout(
  view: View,
  space: Space,
  { entry, intent, table }: KpopPlace,
): string | undefined {
  if (intent.state !== 'valid') return `its intent is ${intent.state}`;
  const more = protOf(entry) & ~intent.prot;
  if (more !== 0) return `with rights ${more} that its intent does not give`;
  for (let i = 0; i < pagesAt(space.format.geometry, table.level); i++) {
    const frame = space.l1Memory.peekFrame(view, intent.payload + i);
    if (frame !== entry.pfn + i) return `L1 page ${hex(intent.payload + i)} is in ${hex(frame)}`;
  }
  return undefined;
}

/** A page that UNMAP took away for good is mapped, or wanted, again. */
function resurrected(view: View, space: Space, revoked: Revoked): string | undefined {
  for (const place of kpopTree(view, space).places) {
    const { intent, entry } = place;
    const mapped = entry.kind === 'leaf' ? `maps frame ${hex(entry.pfn)}` : '';
    const wanted = intent.state === 'valid' ? `has an intent for ${hex(intent.payload)}` : '';
    const what = mapped === '' ? wanted : mapped;
    if (what === '') continue;
    const again = pagesOfPlace(space, place, revoked.pages).find((page) => {
      return view.read(revoked.at(page)) !== 0;
    });
    if (again !== undefined) return `L2 page ${hex(again)} ${what}, its UNMAP has returned`;
  }
  return undefined;
}

/** A right that PROTECT took away for good is there, or wanted, again. */
function givenAgain(view: View, space: Space, revoked: Revoked): string | undefined {
  for (const place of kpopTree(view, space).places) {
    const { intent, entry } = place;
    const wanted = intent.state === 'valid' ? intent.prot : 0;
    const has = protOf(entry) | wanted;
    if (has === 0) continue;
    for (const page of pagesOfPlace(space, place, revoked.pages)) {
      const again = has & view.read(revoked.withdrawnAt(page));
      if (again !== 0) return `L2 page ${hex(page)} has rights ${again}, its PROTECT has returned`;
    }
  }
  return undefined;
}

function leftOver(view: View, vm: Vm, { space, torn }: KpopHost): string | undefined {
  if (view.read(torn) === 0) return undefined;
  const running = vm.vcpus.find((v) => !hasEnded(view.read(v.mode)));
  if (running !== undefined) return `vCPU ${running.index} has not ended`;
  const left = kpopTree(view, space).places.find(({ intent, entry }) => {
    return intent.state !== 'empty' || entry.kind !== 'empty';
  });
  if (left === undefined) return undefined;
  return `L2 page ${hex(left.page)} (level ${left.table.level}) is still ${left.intent.state}`;
}

/** What L2 can use, now or for as long as a TLB keeps it. */
export interface Usable {
  readonly page: number;
  readonly frame: number;
  /** RIGHT_* bits, as the machine has them. */
  readonly rights: number;
}

/** Why L2 must not be able to use a page so: no L1 page is there, or L1 was told that it cannot. */
export function misuseOfKpop(
  view: View,
  l1Memory: AnonymousBacking,
  revoked: Revoked,
  { page, frame, rights }: Usable,
): string | undefined {
  if (view.read(revoked.at(page)) !== 0) return 'its UNMAP has returned';
  const canWrite = (rights & RIGHT_WRITE) !== 0;
  if (canWrite && (view.read(revoked.withdrawnAt(page)) & WRITE) !== 0) {
    return 'the PROTECT that forbids writing has returned';
  }
  for (const l1gfn of [page, page + revoked.pages]) {
    if (l1Memory.has(l1gfn) && l1Memory.peekFrame(view, l1gfn) === frame) return undefined;
  }
  return 'no page of L1 is there now';
}
