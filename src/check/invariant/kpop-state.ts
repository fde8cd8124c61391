/** What KPOP's L0 promises in every state, whoever is in the middle of what. */
import type { AnonymousBacking } from '../../hypervisor/backing/anonymous.ts';
import type { Space } from '../../hypervisor/mmu/kpop/space.ts';
import { hasEnded, type Vm } from '../../hypervisor/vcpu.ts';
import type { StatePromise } from '../promise.ts';
import { kpopEntries, kpopGenerations } from './kpop-entries.ts';
import { kpopFrames } from './kpop-frames.ts';
import { kpopReverse } from './kpop-reverse.ts';
import { type KpopPlace, kpopTree } from './kpop-tree.ts';
import { hex, type View } from './view.ts';

/** A word per L2 page: not 0 once an UNMAP of the page has returned to L1. */
export interface Revoked {
  at(page: number): number;
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
      id: 'kpop.torn',
      title: 'once a teardown has returned, nothing is mapped or wanted, and no vCPU goes on',
      source: 'primer/x86.md 6.5, teardown',
      always: (view) => leftOver(view, vm, host),
    },
    kpopFrames(space, vm, l1Pages),
  ];
}

/** What holds of an address space whatever its L1 is. */
export function spacePromises(space: Space, l1Pages: number): readonly StatePromise[] {
  return [
    {
      id: 'kpop.composed',
      title: 'K1: a present entry maps the frame behind its intent, and an L1 page backs it',
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
    const { entry, intent, page, table } = place;
    if (table.level !== 0 || entry.kind !== 'leaf') continue;
    // Under the lock the intent is about to become what the entry says already.
    if (intent.locked || space.scope !== 'entry') continue;
    const why = leafWithout(view, space, place);
    if (why !== undefined) return `L2 page ${hex(page)} maps frame ${hex(entry.pfn)}, ${why}`;
  }
  return undefined;
}

function leafWithout(view: View, space: Space, { entry, intent }: KpopPlace): string | undefined {
  if (intent.state !== 'valid') return `its intent is ${intent.state}`;
  const frame = space.l1Memory.peekFrame(view, intent.payload);
  if (frame === entry.pfn) return undefined;
  return `L1 page ${hex(intent.payload)} is in frame ${hex(frame)}`;
}

/** A page that UNMAP took away for good is mapped, or wanted, again. */
function resurrected(view: View, space: Space, revoked: Revoked): string | undefined {
  for (const { table, page, intent, entry } of kpopTree(view, space).places) {
    if (table.level !== 0 || view.read(revoked.at(page)) === 0) continue;
    const mapped = entry.kind === 'leaf' ? `maps frame ${hex(entry.pfn)}` : '';
    const wanted = intent.state === 'valid' ? `has an intent for ${hex(intent.payload)}` : '';
    const what = mapped === '' ? wanted : mapped;
    if (what !== '') return `L2 page ${hex(page)} ${what}, its UNMAP has returned`;
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

/** Why L2 must not be able to use `frame` for a page: no L1 page is there, or UNMAP returned. */
export function misuseOfKpop(
  view: View,
  l1Memory: AnonymousBacking,
  revoked: Revoked,
  page: number,
  frame: number,
): string | undefined {
  if (view.read(revoked.at(page)) !== 0) return 'its UNMAP has returned';
  for (const l1gfn of [page, page + revoked.pages]) {
    if (l1Memory.has(l1gfn) && l1Memory.peekFrame(view, l1gfn) === frame) return undefined;
  }
  return 'no page of L1 is there now';
}
