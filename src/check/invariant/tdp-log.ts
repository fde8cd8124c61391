/**
 * Promises of dirty logging: at rest, what user space has not copied is known to be written to, and
 * what an entry allows is allowed by those who gave it.
 */
import type { TdpMmu } from '../../hypervisor/mmu/tdp/mmu.ts';
import { FRAME_BYTES } from '../../machine/memory.ts';
import type { StatePromise } from '../promise.ts';
import { usedEntries } from './tables.ts';
import { hex, type View } from './view.ts';

/**
 * I4: `copies` holds, word by word, what was copied of each page after a harvest named it. At rest
 * every CPU's log has been emptied, so the bitmap alone has to know of what differs.
 */
export function tdpLogged(mmu: TdpMmu, copies: number): StatePromise[] {
  const { logging } = mmu;
  if (logging === undefined) return [];
  return [
    {
      id: 'tdp.log',
      title: 'while a slot is logged, no write since the last harvest is unknown',
      source: 'primer/x86.md 2.8, I4; 9.2, R3, R7, R14',
      atRest: (view) => {
        const wrong: string[] = [];
        for (const { first, end } of logging.slots.slots) {
          for (let page = first; page < end; page++) {
            const why = isLost(view, mmu, copies, page);
            if (why !== '') wrong.push(why);
          }
        }
        return wrong;
      },
    },
    {
      id: 'tdp.writable',
      title: 'an entry that permits writes is one that the MMU and the host may give',
      source: 'primer/x86.md 2.8, I3',
      always: (view) => {
        for (const { page, entry } of usedEntries(view, mmu.format, mmu.root)) {
          if (entry.kind !== 'leaf' || !entry.write) continue;
          if (!entry.mmuWritable || !entry.hostWritable) {
            return `page ${hex(page)} is writable and must not be`;
          }
        }
        return undefined;
      },
    },
  ];
}

function isLost(view: View, { logging, backing }: TdpMmu, copies: number, page: number): string {
  const { slots } = logging!;
  if (!slots.isLogged(view, page) || slots.isMarked(view, page)) return '';
  const frame = backing.peekFrame(view, page);
  if (frame < 0) return '';
  const content = view.read(frame * FRAME_BYTES);
  const copy = view.read(copies + page * 8);
  if (content === copy) return '';
  return `page ${hex(page)} holds ${content}, its copy ${copy}, and no bit says so`;
}
