/**
 * K5: what L2 writes is, at rest, in both logs, whoever has taken what away from whom. What a
 * reader has not copied has to be a bit of its log, or is noticed by the entry still.
 */
import type { Space } from '../../hypervisor/mmu/kpop/space.ts';
import type { WriteLog } from '../../hypervisor/mmu/kpop/write-log.ts';
import { FRAME_BYTES } from '../../machine/memory.ts';
import type { StatePromise } from '../promise.ts';
import { kpopTree } from './kpop-tree.ts';
import { hex, type View } from './view.ts';

/** Words of what the readers of the logs have; one per page. */
export interface LogCopies {
  ofL2(page: number): number;
  ofL1(page: number): number;
  missed(page: number): number;
  /** Whether L1, or the host, counts on its log. */
  readonly l1Reads: number;
  readonly hostReads: number;
}

const SOURCE = 'primer/x86.md 6.5, dirty log; 6.10, K5';

export function kpopLogged(space: Space, copies: LogCopies | undefined): readonly StatePromise[] {
  const { log } = space;
  if (log === undefined || copies === undefined) return [];
  return [
    {
      id: 'kpop.log',
      title: 'K5: while L1 logs, no write of L2 since the last COLLECT is unknown',
      source: SOURCE,
      atRest: (view) => {
        if (view.read(copies.l1Reads) === 0) return [];
        const noticed = noticedPages(view, space, log);
        return unknown(view, space, log.l2Pages, {
          copyAt: (page) => copies.ofL2(page),
          isKnown: (page) => log.ofL2.isMarked(view, page) || noticed.l2.has(page),
        });
      },
    },
    {
      id: 'kpop.host-log',
      title: 'K5: while the host logs L1, no write of L2 since its last harvest is unknown',
      source: SOURCE,
      atRest: (view) => {
        if (view.read(copies.hostReads) === 0) return [];
        const noticed = noticedPages(view, space, log);
        return unknown(view, space, log.l1Pages, {
          copyAt: (page) => copies.ofL1(page),
          isKnown: (page) => log.ofL1.isMarked(view, page) || noticed.l1.has(page),
        });
      },
    },
    {
      id: 'kpop.collected',
      title: 'V3: a COLLECT names every page that was written to before it began',
      source: 'primer/x86.md 6.2, visibility contract V3; 6.5, dirty log',
      always: (view) => {
        for (let page = 0; page < log.l2Pages; page++) {
          if (view.read(copies.missed(page)) !== 0) return `page ${hex(page)} was not named`;
        }
        return undefined;
      },
    },
  ];
}

/** Pages of L2, and of L1, whose entries the next harvest finds. */
function noticedPages(
  view: View,
  space: Space,
  log: WriteLog,
): { l2: ReadonlySet<number>; l1: ReadonlySet<number> } {
  const l2 = new Set<number>();
  const l1 = new Set<number>();
  for (const { page, entry, intent, table } of kpopTree(view, space).places) {
    if (table.level > 0 || !log.isNoticed(entry)) continue;
    if (log.listed?.isMarked(view, page) === false) continue; // nobody would look there
    l2.add(page);
    l1.add(intent.payload);
  }
  return { l2, l1 };
}

function unknown(
  view: View,
  { l1Memory }: Space,
  pages: number,
  { copyAt, isKnown }: { copyAt(page: number): number; isKnown(page: number): boolean },
): string[] {
  const lost: string[] = [];
  for (let page = 0; page < pages; page++) {
    const frame = l1Memory.peekFrame(view, page);
    if (frame < 0) continue;
    const content = view.read(frame * FRAME_BYTES);
    const copy = view.read(copyAt(page));
    if (content === copy || isKnown(page)) continue;
    lost.push(`page ${hex(page)} holds ${content}, its copy ${copy}, and no bit says so`);
  }
  return lost;
}
