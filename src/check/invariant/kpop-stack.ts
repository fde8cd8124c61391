/**
 * Promises of a whole KPOP stack: both levels' books together. What L2 may use is composed of what
 * L1 has behind the page and what the host has behind that: nothing else, at any moment.
 */
import type { AnonymousBacking } from '../../hypervisor/backing/anonymous.ts';
import type { Space } from '../../hypervisor/mmu/kpop/space.ts';
import type { TdpMmu } from '../../hypervisor/mmu/tdp/mmu.ts';
import type { Platform } from '../../hypervisor/platform.ts';
import type { Vm } from '../../hypervisor/vcpu.ts';
import type { FramePool, StatePromise } from '../promise.ts';
import { framesOwned } from './frames-owned.ts';
import type { Use } from './guest-use.ts';
import type { SlotBook, SlotCodec } from './kpop-book.ts';
import { kpopFrames } from './kpop-frames.ts';
import { kpopL1Promises } from './kpop-l1.ts';
import { spacePromises } from './kpop-state.ts';
import { kpopTree } from './kpop-tree.ts';
import { backingClaim, mmuClaims } from './mmu-frames.ts';
import { guestView, hex, type View } from './view.ts';

/** What a checker knows of a stack. */
export interface KpopLevels {
  /** L0's VM of L1, its MMU for it, its address space for L2. */
  readonly vm: Vm;
  readonly mmu: TdpMmu;
  readonly space: Space;
  readonly pool: FramePool;
  readonly l1Pages: number;
  /** L1's own frames, what it has behind pages of L2, and its book of them. */
  readonly platform: Platform;
  readonly backing: AnonymousBacking;
  readonly book: SlotBook & SlotCodec;
  readonly l2Pages: number;
}

type Broken = readonly [promise: string, why: string];

/** L1's words, wherever the host has them now. */
function l1ViewOf(view: View, { mmu }: KpopLevels): View {
  return guestView(view, (gfn) => mmu.backing.peekFrame(view, gfn));
}

export function stackPromises(stack: KpopLevels): readonly StatePromise[] {
  const { space, vm, mmu, l1Pages, l2Pages, backing, book } = stack;
  return [
    ...spacePromises(space, l1Pages),
    ...kpopL1Promises({
      viewOf: (view) => l1ViewOf(view, stack),
      pages: l2Pages,
      backing,
      book,
      mapped: (view, page) => intendedFor(view, space, page),
    }),
    kpopFrames(space, vm, l1Pages, (view) => mmuClaims(view, mmu)),
    {
      id: 'l1.frames',
      title: "at rest every frame that L1's pool handed out has exactly one owner",
      source: 'primer/x86.md 6.6; leaks and double frees',
      atRest: (view) => l1Frames(l1ViewOf(view, stack), stack),
    },
  ];
}

/** The L1 page of a page's intent; -1 for none. */
function intendedFor(view: View, space: Space, page: number): number {
  const place = kpopTree(view, space).places.find((p) => p.table.level === 0 && p.page === page);
  return place?.intent.state === 'valid' ? place.intent.payload : -1;
}

function l1Frames(view: View, { platform, backing, l2Pages }: KpopLevels): string[] {
  const claims = [backingClaim(view, backing, [{ first: 0, end: l2Pages }])];
  return framesOwned(view, { pool: platform.frames, cpus: platform.cpus, slabs: [], claims });
}

/** Why a CPU must not be able to use what it can: in L1 by EPT01, in L2 by L0's tables for it. */
export function stackMisuse(view: View, stack: KpopLevels, use: Use): Broken | undefined {
  const { hardware, space, cached } = use;
  const isL2 = space === stack.space.rootFrame;
  for (const number of cached) {
    const entry = hardware.entry(number);
    if (entry.space !== space) continue;
    if (entry.kind === 'table') {
      if (isFree(view, stack, entry.frame)) return freeTable(entry.frame);
      continue;
    }
    const wrong = misuse(view, stack, isL2, entry.page, entry.frame);
    if (wrong !== undefined) return wrong;
  }
  return isL2 ? misuseNow(view, stack, use) : undefined;
}

/** What the tables say now: entries that nobody has cached yet. */
function misuseNow(view: View, stack: KpopLevels, { hardware, space }: Use): Broken | undefined {
  for (let page = 0; page < stack.l2Pages; page++) {
    const { frame, tables } = hardware.walk(space, page);
    for (const table of tables) {
      if (table !== undefined && isFree(view, stack, table)) return freeTable(table);
    }
    const wrong = frame < 0 ? undefined : misuse(view, stack, true, page, frame);
    if (wrong !== undefined) return wrong;
  }
  return undefined;
}

function misuse(
  view: View,
  stack: KpopLevels,
  isL2: boolean,
  page: number,
  frame: number,
): Broken | undefined {
  const l1gfn = isL2 ? stack.backing.peekFrame(l1ViewOf(view, stack), page) : page;
  const now = l1gfn < 0 ? -1 : stack.mmu.backing.peekFrame(view, l1gfn);
  if (now === frame) return undefined;
  const what = `may use ${isL2 ? 'L2' : 'L1'} page ${hex(page)} in frame ${hex(frame)}`;
  const behind = isL2 ? `L1 has its page ${hex(l1gfn)} there, in frame ${hex(now)}` : hex(now);
  return ['tlb.stale', isL2 ? `${what}; ${behind}` : `${what}, not ${behind}`];
}

function isFree(view: View, { pool }: KpopLevels, frame: number): boolean {
  return pool.covers(frame) && pool.isFree(view, frame);
}

function freeTable(frame: number): Broken {
  return ['tlb.stale', `may walk the table in frame ${hex(frame)}, which is free`];
}
