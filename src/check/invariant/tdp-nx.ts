/** Promises of huge pages that are not executable. */
import type { PageRange } from '../../hypervisor/mmu/common.ts';
import type { TdpMmu } from '../../hypervisor/mmu/tdp/mmu.ts';
import type { Platform } from '../../hypervisor/platform.ts';
import { num, type Routine } from '../../runtime/act.ts';
import type { Context } from '../../runtime/context.ts';
import type { StatePromise } from '../promise.ts';
import { leafOf, usedEntries } from './tables.ts';
import { hex, type View } from './view.ts';

type Operation = (cpu: Context, range: PageRange) => Routine<void>;

/**
 * What user space could say of its own: which pages a fetch was resolved for, and after how many
 * operations that take something away. If another one has ended since that fetch began, nothing is
 * known of its page.
 */
export class Fetches {
  readonly #taken: number; // how many operations took something away
  readonly #pages: number; // by page: that number, + 1, when the fetch began

  constructor({ arena }: Platform, pages: number) {
    this.#taken = arena.take(8);
    this.#pages = arena.take(pages * 8);
  }

  *fetch(cpu: Context, page: number, fault: Routine<void>): Routine<void> {
    const taken = num(yield cpu.load(this.#taken, 'host.fetch'));
    yield* fault;
    yield cpu.store(this.#pages + page * 8, taken + 1, 'host.fetched');
  }

  taking(operation: Operation): Operation {
    const at = this.#taken;
    return function* take(cpu, range): Routine<void> {
      yield* operation(cpu, range);
      yield cpu.add(at, 1, 'host.taken');
    };
  }

  /** Whether nobody took anything away since the page was fetched from. */
  stays(view: View, page: number): boolean {
    return view.read(this.#pages + page * 8) === view.read(this.#taken) + 1;
  }
}

export function nxPromises(
  mmu: TdpMmu,
  fetches: Fetches | undefined,
  pages: number,
): StatePromise[] {
  if (mmu.nx === undefined) return [];
  return [
    {
      id: 'nx.huge',
      title: 'no huge page is executable',
      source: 'primer/x86.md 2.6, NX huge page mitigation',
      always: (view) => {
        for (const { page, level, entry } of usedEntries(view, mmu.format, mmu.root)) {
          if (entry.kind !== 'leaf' || level === 0 || !entry.execute) continue;
          return `page ${hex(page)} is executable and of level ${level}`;
        }
        return undefined;
      },
    },
    {
      id: 'nx.list',
      title: 'at rest the tables that a fetch made small are listed, and linked where it says so',
      source: 'Linux 6.12, possible_nx_huge_pages (facts)',
      atRest: (view) => mislisted(view, mmu),
    },
    {
      id: 'nx.fetched',
      title: 'at rest a page that was made executable is, unless somebody took it away',
      source: 'primer/x86.md 2.8, livelock: data faults and fetches that undo each other',
      atRest: (view) => {
        const lost: string[] = [];
        for (let page = 0; page < pages; page++) {
          if (fetches?.stays(view, page) !== true) continue;
          if (leafOf(view, mmu.format, mmu.root, page)?.entry.execute === true) continue;
          lost.push(`page ${hex(page)} was made executable and is not`);
        }
        return lost;
      },
    },
  ];
}

function mislisted(view: View, mmu: TdpMmu): string[] {
  const nx = mmu.nx!;
  const wrong: string[] = [];
  const list = nx.list(view);
  if (list.length !== nx.count(view)) {
    wrong.push(`${list.length} tables are listed, and ${nx.count(view)} counted`);
  }
  const linked = new Map<number, number>(); // address of the entry by the table
  for (const { at, entry } of usedEntries(view, mmu.format, mmu.root)) {
    if (entry.kind === 'table') linked.set(entry.pfn, at);
  }
  const listed = new Set<number>();
  for (const { table, entry } of list) {
    if (listed.has(table)) wrong.push(`table ${hex(table)} is listed twice`);
    listed.add(table);
    const at = linked.get(table) ?? -1;
    if (at !== entry)
      wrong.push(`table ${hex(table)} is listed at ${hex(entry)}, linked ${hex(at)}`);
  }
  for (const table of linked.keys()) {
    if (nx.saysDisallowed(view, table) === listed.has(table)) continue;
    wrong.push(`table ${hex(table)} is ${listed.has(table) ? '' : 'not '}listed`);
  }
  return wrong;
}
