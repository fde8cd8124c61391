/**
 * The kernel's map of all of its memory, by the largest pages there are, in the upper half of every
 * address space: what the kernel's own stores go through where hardware walks a shadow of its
 * tables. Under EPT the model takes this map as cached, and no kernel builds it.
 *
 * Source: Documentation/arch/x86/x86_64/mm.rst (where Linux has it); arch/x86/mm/init.c (facts).
 */
import { pagesAt, type Rights, type TableFormat } from '../../machine/format/format.ts';
import { FRAME_BYTES } from '../../machine/memory.ts';
import type { Routine } from '../../runtime/act.ts';
import type { Context } from '../../runtime/context.ts';

/** Entry of the root table at which the map begins, of so many: Linux's 273 of 512. */
const FIRST = 273 / 512;
const RIGHTS: Rights = { read: true, write: true, execute: true, user: false };

export class DirectMap {
  readonly #format: TableFormat;
  /** Ranges of guest frames that are memory, ascending. */
  readonly #memory: readonly { readonly first: number; readonly end: number }[];
  /** Guest frame of the root of an address space that has nothing else; 0: not built yet. */
  root = 0;
  /** Root entries of the map and the tables that they link: the same in every address space. */
  readonly #links: { readonly index: number; readonly table: number }[] = [];

  constructor(
    format: TableFormat,
    memory: readonly { readonly first: number; readonly end: number }[],
  ) {
    this.#format = format;
    this.#memory = memory;
  }

  /** Linear page of guest frame 0. */
  static base(format: TableFormat): number {
    const { geometry } = format;
    const top = geometry.levels - 1;
    return Math.floor(FIRST * 2 ** geometry.indexBits) * pagesAt(geometry, top);
  }

  /**
   * Builds the tables while the kernel still runs without paging; `newTable` gives a zeroed one.
   */
  *build(cpu: Context, newTable: () => Routine<number>): Routine<void> {
    const format = this.#format;
    const { geometry } = format;
    const top = geometry.levels - 1;
    const span = pagesAt(geometry, top);
    const huge = pagesAt(geometry, top - 1);
    const tables = new Map<number, number>(); // private: forgotten once the map is built
    for (const page of hugePages(this.#memory, huge)) {
      const region = Math.floor(page / span);
      let table = tables.get(region);
      if (table === undefined) {
        table = yield* newTable();
        tables.set(region, table);
        const index = Math.floor(FIRST * 2 ** geometry.indexBits) + region;
        this.#links.push({ index, table });
      }
      const at = table * FRAME_BYTES + ((page % span) / huge) * 8;
      const spec = { pfn: page, level: top - 1, rights: RIGHTS, accessed: true, dirty: true };
      yield cpu.storeWord(at, format.leaf(spec), 'kernel.direct.leaf');
    }
    this.root = yield* newTable();
    yield* this.share(cpu, this.root);
  }

  /** Makes the map part of the address space with this root. */
  *share(cpu: Context, root: number): Routine<void> {
    for (const { index, table } of this.#links) {
      const link = this.#format.table(table);
      yield cpu.storeWord(root * FRAME_BYTES + index * 8, link, 'kernel.direct.link');
    }
  }
}

/** First frames of the huge pages in which there is memory, ascending. */
function hugePages(
  memory: readonly { readonly first: number; readonly end: number }[],
  huge: number,
): number[] {
  const pages: number[] = [];
  for (const { first, end } of memory) {
    for (let page = first - (first % huge); page < end; page += huge) {
      if (page !== pages[pages.length - 1]) pages.push(page);
    }
  }
  return pages;
}
