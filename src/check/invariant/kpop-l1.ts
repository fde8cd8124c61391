/**
 * What KPOP's L1 promises to its guest, over whatever L0 it runs: what L2 reaches is backed, and
 * its book says what L0 was told.
 */
import type { AnonymousBacking } from '../../hypervisor/backing/anonymous.ts';
import type { Platform } from '../../hypervisor/platform.ts';
import type { StatePromise } from '../promise.ts';
import { framesOwned, type PoolUse } from './frames-owned.ts';
import type { SlotBook, SlotCodec } from './kpop-book.ts';
import { backingClaim } from './mmu-frames.ts';
import { hex, Onlooker, type View } from './view.ts';

export interface KpopL1 {
  /** L1's memory in what a checker sees: the same unless L1 is the guest of a host that is seen. */
  viewOf?(view: View): View;
  readonly pages: number;
  readonly backing: AnonymousBacking;
  readonly book: SlotBook & SlotCodec;
  /** Whether the book is one at all: without, L0 alone knows what is mapped. */
  readonly hasBook?: boolean;
  /** Objects of the book, where they do not fit into its root. */
  readonly slabs?: PoolUse['slabs'];
  /** The L1 page that L0 maps an L2 page to; -1 for none. */
  mapped(view: View, page: number): number;
  /** Whether L0 lets L2 write to a page; that it does wherever it is mapped unless given. */
  canWrite?(view: View, page: number): boolean;
  /** The one that L2 may use besides because no flush has ended that; -1 for none. */
  lingering?(view: View, page: number): number;
}

export function kpopL1Promises(l1: KpopL1): readonly StatePromise[] {
  return l1.hasBook === false ? [releasedOf(l1)] : [releasedOf(l1), ...bookPromises(l1)];
}

function releasedOf(l1: KpopL1): StatePromise {
  return {
    id: 'l1.released',
    title: 'L0 maps no page of L2 to a page that L1 has released',
    source: 'primer/x86.md 6.6, V1-V5',
    always: (view) => released(view, l1),
  };
}

function bookPromises(l1: KpopL1): readonly StatePromise[] {
  return [
    {
      id: 'l1.lost',
      title: 'what the book says is mapped L0 has been told',
      source: 'primer/x86.md 6.6, F7',
      always: (view) => lost(view, l1),
    },
    {
      id: 'l1.writable',
      title: 'what L2 can write to the book says so, or L1 is changing it: no write is unseen',
      source: 'primer/x86.md 6.3, PROTECT; R7 one level up',
      always: (view) => unseen(view, l1),
    },
    {
      id: 'l1.book',
      title: 'at rest the book is what L0 was told, and nothing is pending',
      source: 'primer/x86.md 6.6',
      atRest: (view) => unbooked(view, l1),
    },
  ];
}

/** At rest no frame of L1's pool is lost, and none has two owners; L1 is all that runs. */
export function kpopL1Frames(
  platform: Platform,
  { backing, pages, slabs = [] }: KpopL1,
): StatePromise {
  return {
    id: 'frames.owned',
    title: 'at rest every frame that was handed out has exactly one owner',
    source: 'leaks and double frees',
    atRest: (view) =>
      framesOwned(view, {
        pool: platform.frames,
        cpus: platform.cpus,
        slabs,
        claims: [backingClaim(view, backing, [{ first: 0, end: pages }])],
      }),
  };
}

function l1View(view: View, { viewOf }: KpopL1): View {
  return viewOf === undefined ? view : viewOf(view);
}

function released(view: View, l1: KpopL1): string | undefined {
  const { pages, backing, mapped, lingering } = l1;
  const mine = l1View(view, l1);
  for (let page = 0; page < pages; page++) {
    const frame = backing.peekFrame(mine, page);
    for (const l1gfn of [mapped(view, page), lingering?.(view, page) ?? -1]) {
      if (l1gfn < 0 || l1gfn === frame) continue;
      return `L2 page ${hex(page)} is mapped to L1 page ${hex(l1gfn)}, L1 has ${hex(frame)} there`;
    }
  }
  return undefined;
}

/** Words of the book by page; 0 for an empty slot. */
function slots(view: View, l1: KpopL1): number[] {
  const { pages, book } = l1;
  const mine = l1View(view, l1);
  const onlooker = new Onlooker(mine);
  return Array.from({ length: pages }, (_, page) => {
    return onlooker.run((me) => book.wordOf(me, page)) ?? 0;
  });
}

function lost(view: View, l1: KpopL1): string | undefined {
  const { book, mapped } = l1;
  for (const [page, word] of slots(view, l1).entries()) {
    if (word === 0 || !book.isValid(word)) continue;
    const l1gfn = mapped(view, page);
    if (l1gfn === book.l1gfn(word)) continue;
    const noted = hex(book.l1gfn(word));
    return `L2 page ${hex(page)}: the book says ${noted}, L0 was told ${hex(l1gfn)}`;
  }
  return undefined;
}

function unseen(view: View, l1: KpopL1): string | undefined {
  const { book, mapped, canWrite } = l1;
  if (canWrite === undefined) return undefined;
  for (const [page, word] of slots(view, l1).entries()) {
    if (mapped(view, page) < 0 || !canWrite(view, page) || !book.isReadOnly(word)) continue;
    return `L2 can write to page ${hex(page)}, the book says that it cannot`;
  }
  return undefined;
}

function unbooked(view: View, l1: KpopL1): string[] {
  const { book, mapped, canWrite } = l1;
  return slots(view, l1).flatMap((word, page) => {
    if (word !== 0 && !book.isValid(word)) return [`L2 page ${hex(page)}: its slot is not settled`];
    const noted = word === 0 ? -1 : book.l1gfn(word);
    const told = mapped(view, page);
    const isUnused = told >= 0 && canWrite?.(view, page) === false && !book.isReadOnly(word);
    if (isUnused) return [`L2 page ${hex(page)}: L2 cannot write, the book says that it can`];
    if (noted === told) return [];
    return [`L2 page ${hex(page)}: the book says ${hex(noted)}, L0 was told ${hex(told)}`];
  });
}
