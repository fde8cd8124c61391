/** KPOP's table pages as words: every place with its intent and its hardware entry. */
import { decodeIntent, type Intent } from '../../hypervisor/mmu/kpop/intent.ts';
import { type Space, TableWords } from '../../hypervisor/mmu/kpop/space.ts';
import { type Entry, pagesAt } from '../../machine/format/format.ts';
import { FRAME_BYTES } from '../../machine/memory.ts';
import type { View } from './view.ts';

/** The pages that a place serves, as far as L2 has them. */
export function pagesOfPlace(
  { format }: Space,
  { table, page }: KpopPlace,
  pages: number,
): number[] {
  const end = Math.min(pages, page + pagesAt(format.geometry, table.level));
  return Array.from({ length: Math.max(0, end - page) }, (_, i) => page + i);
}

/** One table page: header, the three frames it consists of, and its flush label. */
export interface TablePage {
  readonly header: number;
  readonly hardware: number;
  readonly intents: number;
  readonly items: number;
  readonly level: number;
  readonly label: number;
}

/** A place whose intent or hardware entry is not empty. */
export interface KpopPlace {
  readonly table: TablePage;
  readonly index: number;
  /** First L2 page that it serves. */
  readonly page: number;
  readonly intent: Intent;
  readonly entry: Entry;
  /** Addresses of the intent and of the hardware entry. */
  readonly intentAt: number;
  readonly hardwareAt: number;
}

export interface KpopTree {
  readonly tables: readonly TablePage[];
  readonly places: readonly KpopPlace[];
}

export function kpopTree(view: View, space: Space): KpopTree {
  const tables: TablePage[] = [];
  const places: KpopPlace[] = [];
  const { geometry } = space.format;
  const visit = (header: number, first: number): void => {
    const table = tableAt(view, header);
    tables.push(table);
    for (let index = 0; index < 1 << geometry.indexBits; index++) {
      const intentAt = table.intents * FRAME_BYTES + index * 8;
      const hardwareAt = table.hardware * FRAME_BYTES + index * 8;
      const intent = decodeIntent(view.read(intentAt));
      const entry = space.format.decode(view.word(hardwareAt), table.level);
      const isUnused = intent.state === 'empty' && !intent.locked && intent.payload === 0;
      if (isUnused && entry.kind === 'empty') continue;
      const page = first + index * pagesAt(geometry, table.level);
      places.push({ table, index, page, intent, entry, intentAt, hardwareAt });
      if (intent.state === 'table') visit(intent.payload * 64, page);
    }
  };
  visit(space.root, 0);
  return { tables, places };
}

function tableAt(view: View, header: number): TablePage {
  const { hardware, intents, items, level, label } = TableWords.at;
  const get = (at: number): number => view.read(header + at);
  return {
    header,
    hardware: get(hardware),
    intents: get(intents),
    items: get(items),
    level: get(level),
    label: get(label),
  };
}
