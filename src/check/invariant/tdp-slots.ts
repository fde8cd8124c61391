/**
 * Promises of a TDP MMU whose slots and roots come and go: what its entries say of pages and of
 * devices is what the slots say, and no CPU runs under a root that was taken apart.
 */
import { MmuWords } from '../../hypervisor/mmu/common.ts';
import type { TdpMmu, TdpSlots } from '../../hypervisor/mmu/tdp/mmu.ts';
import type { Cached, HostileHardware } from '../../machine/explored/adversary.ts';
import { generationOf } from '../../machine/format/mmio.ts';
import { FRAME_BYTES } from '../../machine/memory.ts';
import type { FramePool, StatePromise } from '../promise.ts';
import { type Found, usedEntries } from './tables.ts';
import { backedBy } from './tdp-backing.ts';
import { hex, type View } from './view.ts';

/** Every entry below every root, invalid ones included. */
function* entriesOf(view: View, { format }: TdpMmu, { roots }: TdpSlots): Generator<Found> {
  for (const { frame } of roots.seen(view)) yield* usedEntries(view, format, frame);
}

/** The frame behind a guest page at this moment; -1 if there is none. */
function backing(view: View, mmu: TdpMmu, { sets }: TdpSlots, gfn: number): number {
  const page = sets.peekPage(view, gfn);
  return page < 0 ? -1 : mmu.backing.peekFrame(view, page);
}

/** `pages`: of user space's memory, from 0 on. */
export function slotPromises(mmu: TdpMmu, slots: TdpSlots, pages: number): StatePromise[] {
  return [
    {
      id: 'tdp.backing',
      title: 'a present entry maps the frame that backs its page, in every state',
      source: 'primer/x86.md 2.8, I1',
      always: (view) => {
        for (const { page, entry } of entriesOf(view, mmu, slots)) {
          if (entry.kind !== 'leaf') continue;
          const now = backing(view, mmu, slots, page);
          if (now === entry.pfn) continue;
          return `page ${hex(page)} is mapped to frame ${hex(entry.pfn)}, ${backedBy(now)}`;
        }
        return undefined;
      },
      atRest: (view) => {
        const open = view.read(mmu.words + MmuWords.at.inProgress);
        return open === 0 ? [] : [`${open} invalidations are open, expected 0`];
      },
    },
    {
      id: 'mmio.generation',
      title: 'an entry that would be believed to name a device names a page in no slot',
      source: 'primer/x86.md 2.8, I8; 2.6, MMIO',
      always: (view) => {
        for (const { page, entry } of entriesOf(view, mmu, slots)) {
          if (entry.kind !== 'mmio' || !slots.sets.peekCurrent(view, generationOf(entry))) continue;
          if (slots.sets.peekPage(view, page) < 0) continue;
          return `page ${hex(page)} is memory, and an entry says that it is a device’s`;
        }
        return undefined;
      },
    },
    {
      id: 'tdp.roots',
      title:
        'at most one root is valid; at rest each is held by as many as use it, and none by nobody',
      source: 'primer/x86.md 2.1, per root; 2.8, I5',
      always: (view) => {
        const valid = slots.roots.seen(view).filter(({ isValid }) => isValid);
        return valid.length < 2 ? undefined : `${valid.length} roots are valid at once`;
      },
      atRest: (view) => miscounted(view, mmu, slots),
    },
    {
      id: 'tdp.dirty',
      title: 'at rest every page that was written to is known to be dirty',
      source: 'primer/x86.md 2.8, I4; 9.2, R3',
      atRest: (view) => lostWrites(view, mmu, slots, pages),
    },
  ];
}

function miscounted(view: View, mmu: TdpMmu, { roots }: TdpSlots): string[] {
  const wrong: string[] = [];
  for (const { number, frame, isValid, references } of roots.seen(view)) {
    const users = mmu.vm.vcpus.filter((v) => view.read(v.rootRecord) === number).length;
    const holders = users + (isValid ? 1 : 0); // the MMU itself holds one that is valid
    if (holders === references && holders > 0) continue;
    wrong.push(`root ${hex(frame)} is held by ${holders}, and counts ${references}`);
  }
  return wrong;
}

function lostWrites(view: View, mmu: TdpMmu, slots: TdpSlots, pages: number): string[] {
  const dirty = new Set<number>();
  for (const { entry } of entriesOf(view, mmu, slots)) {
    if (entry.kind === 'leaf' && entry.dirty) dirty.add(entry.pfn);
  }
  const wrong: string[] = [];
  for (let page = 0; page < pages; page++) {
    const frame = mmu.backing.peekFrame(view, page);
    if (frame < 0 || view.read(frame * FRAME_BYTES) === 0) continue;
    if (dirty.has(frame) || mmu.backing.isMarkedDirty(view, page)) continue;
    wrong.push(`page ${hex(page)} was written to, nobody knows`);
  }
  return wrong;
}

type Broken = readonly [promise: string, why: string];

interface Use {
  readonly space: number;
  readonly cached: readonly number[];
  readonly hardware: HostileHardware;
}

/** What a CPU in guest mode can use: the root that it runs under, and what it has cached. */
export function judgeRoots(
  mmu: TdpMmu,
  slots: TdpSlots,
  pools: readonly FramePool[],
): (view: View, use: Use) => Broken | undefined {
  return (view, { space, cached, hardware }) => {
    const root = slots.roots.seen(view).find(({ frame }) => frame === space);
    if (root === undefined) return ['tdp.root', `runs under root ${hex(space)}, which is none`];
    if (root.isGone) return ['tdp.root', `runs under root ${hex(space)}, which is taken apart`];
    for (const number of cached) {
      const entry = hardware.entry(number);
      if (!hardware.reaches(entry.space, space)) continue;
      const wrong = entry.kind === 'leaf' ? staleLeaf(view, entry) : freeTable(view, entry);
      if (wrong !== undefined) return ['tlb.stale', wrong];
    }
    return undefined;
  };

  function staleLeaf(view: View, { page, frame }: Cached): string | undefined {
    const now = backing(view, mmu, slots, page);
    if (now === frame) return undefined;
    return `may use page ${hex(page)} in frame ${hex(frame)}: ${backedBy(now)}`;
  }

  function freeTable(view: View, { frame }: Cached): string | undefined {
    const pool = pools.find((each) => each.covers(frame));
    if (pool?.isFree(view, frame) !== true) return undefined;
    return `may walk the table in frame ${hex(frame)}, which is free`;
  }
}
