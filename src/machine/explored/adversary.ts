/**
 * Hostile hardware, lazily. While a hart is in guest mode its CPU may walk and cache any page of
 * the space at any moment, whether the guest touches it or not. Nothing need be said about that
 * until an entry changes: what it was until then may be cached from then on (a leaf: a translation;
 * a pointer: the table below, from which stale walks still go). On leaving guest mode all that can
 * be walked then stays cached as well. Invalidations drop what they name.
 *
 * Sources: Intel SDM vol. 3, 28.4 (what may be cached, what each invalidation drops). Speculative
 * walks do not set D; a translation cached from an entry with D clear does not permit writes.
 *
 * Leaves out: combined mappings (explored guests run without paging of their own), huge pages,
 * capacity (everything fits), accessed bits set by speculation.
 */

import { Hash64 } from '../../base/hash.ts';
import {
  type Adversary,
  FRAME_HALVES,
  type HartView,
  type Translation,
} from '../../runtime/hart.ts';
import type { Entry } from '../format/format.ts';
import { indexAt, pagesAt } from '../format/format.ts';
import {
  RIGHT_EXECUTE,
  RIGHT_READ,
  RIGHT_USER,
  RIGHT_WRITE,
  type WalkedFormat,
} from '../format/judge.ts';

/** Something a CPU may have cached. */
export interface Cached {
  readonly space: number;
  /** A translation, or a table that a paging-structure cache still points to. */
  readonly kind: 'leaf' | 'table';
  /** Page of a leaf; first page below a table. */
  readonly page: number;
  /** Level of the table; 0 for a leaf. */
  readonly level: number;
  /** Frame of the page or of the table. */
  readonly frame: number;
  readonly rights: number;
}

interface CachedSet {
  readonly entries: readonly number[];
  readonly low: number;
  readonly high: number;
}

export class HostileHardware implements Adversary {
  readonly nothing = 0;
  readonly #words: Int32Array;
  readonly #format: WalkedFormat;
  readonly #roots: ReadonlySet<number>;
  readonly #tables: Uint8Array; // frames that were ever a table, by number
  readonly #cached: Cached[] = [];
  readonly #numbers = new Map<string, number>();
  readonly #sets: CachedSet[] = [];
  readonly #setNumbers = new Map<string, number>();
  readonly #usable: number[] = [];

  /** `roots`: frames of the second-stage roots whose spaces are looked at. */
  constructor(words: Int32Array, format: WalkedFormat, roots: readonly number[]) {
    this.#words = words;
    this.#format = format;
    this.#roots = new Set(roots);
    this.#tables = new Uint8Array(words.length / FRAME_HALVES);
    this.#internSet([]);
    for (const root of roots) this.#mark(root, format.geometry.levels - 1);
  }

  /** Whether a space is one of those looked at. */
  watches(space: number): boolean {
    return this.#roots.has(space);
  }

  /** Frame that an entry maps a page to now; -1 if none does. */
  mapped(space: number, page: number): number {
    return this.#walk({ space, page, right: 0 }).frame;
  }

  entry(number: number): Cached {
    return this.#cached[number]!;
  }

  entries(set: number): readonly number[] {
    return this.#sets[set]!.entries;
  }

  isTable(frame: number): boolean {
    return this.#tables[frame] === 1;
  }

  /** Marks the tables below an entry that is being written: their words are entries from now on. */
  #mark(table: number, level: number): void {
    if (this.#tables[table] === 1 && level === 0) return;
    this.#tables[table] = 1;
    if (level === 0) return;
    for (let i = 0; i < 1 << this.#format.geometry.indexBits; i++) {
      const entry = this.#decode(table, i, level);
      if (entry.kind === 'table') this.#mark(entry.pfn, level - 1);
    }
  }

  #decode(table: number, index: number, level: number): Entry {
    const at = table * FRAME_HALVES + index * 2;
    return this.#format.decode({ lo: this.#words[at]!, hi: this.#words[at + 1]! }, level);
  }

  usable(set: number, wanted: Translation): readonly number[] {
    const found = this.#usable;
    found.length = 0;
    const { entries } = this.#sets[set]!;
    if (entries.length === 0) return found;
    const now = this.#walk(wanted);
    for (const number of entries) {
      const cached = this.#cached[number]!;
      if (cached.space !== wanted.space || !this.#covers(cached, wanted.page)) continue;
      if (cached.kind === 'table') {
        if (now.tables[cached.level] !== cached.frame) found.push(number);
      } else if ((cached.rights & wanted.right) !== 0 && cached.frame !== now.frame) {
        found.push(number);
      }
    }
    return found;
  }

  #covers(cached: Cached, page: number): boolean {
    if (cached.kind === 'leaf') return cached.page === page;
    const span = pagesAt(this.#format.geometry, cached.level + 1);
    return page >= cached.page && page < cached.page + span;
  }

  /** Tables by level and frame that a walk goes through now; frame -1 if the page is absent. */
  #walk({ space, page }: Translation): { tables: number[]; frame: number } {
    const { geometry } = this.#format;
    const tables: number[] = [];
    let table = space;
    for (let level = geometry.levels - 1; level >= 0; level--) {
      tables[level] = table;
      const entry = this.#decode(table, indexAt(geometry, page, level), level);
      if (entry.kind === 'leaf') return { tables, frame: entry.pfn };
      if (entry.kind !== 'table') break;
      table = entry.pfn;
    }
    return { tables, frame: -1 };
  }

  beforeWrite(set: number, view: HartView, index: number): number {
    const frame = Math.floor(index / FRAME_HALVES);
    if (view.space < 0 || !this.#roots.has(view.space) || index % 2 === 1) return set;
    let result = set;
    this.#visit(set, view.space, (table, level, first) => {
      if (table !== frame) return;
      const slot = (index % FRAME_HALVES) >> 1;
      if (slot >= 1 << this.#format.geometry.indexBits) return;
      result = this.#addEntry(result, view.space, table, slot, level, first);
    });
    return result;
  }

  afterWrite(index: number): void {
    const frame = Math.floor(index / FRAME_HALVES);
    if (this.#tables[frame] !== 1) return;
    for (const root of this.#roots) this.#mark(root, this.#format.geometry.levels - 1);
  }

  afterMove(set: number, before: HartView, after: HartView): number {
    if (before.space < 0 || before.space === after.space || !this.#roots.has(before.space)) {
      return set;
    }
    let result = set;
    this.#visit(set, before.space, (table, level, first) => {
      for (let slot = 0; slot < 1 << this.#format.geometry.indexBits; slot++) {
        result = this.#addEntry(result, before.space, table, slot, level, first);
      }
    });
    return result;
  }

  /** Every table that a walk may go through now: from the root, and from cached pointers. */
  #visit(
    set: number,
    space: number,
    see: (table: number, level: number, first: number) => void,
  ): void {
    const { geometry } = this.#format;
    const down = (table: number, level: number, first: number): void => {
      see(table, level, first);
      if (level === 0) return;
      const span = pagesAt(geometry, level);
      for (let i = 0; i < 1 << geometry.indexBits; i++) {
        const entry = this.#decode(table, i, level);
        if (entry.kind === 'table') down(entry.pfn, level - 1, first + i * span);
      }
    };
    down(space, geometry.levels - 1, 0);
    for (const number of this.#sets[set]!.entries) {
      const cached = this.#cached[number]!;
      if (cached.kind === 'table' && cached.space === space) {
        down(cached.frame, cached.level, cached.page);
      }
    }
  }

  #addEntry(
    set: number,
    space: number,
    table: number,
    slot: number,
    level: number,
    first: number,
  ): number {
    const entry = this.#decode(table, slot, level);
    const page = first + slot * pagesAt(this.#format.geometry, level);
    if (entry.kind === 'table') {
      const below = { space, kind: 'table', page, level: level - 1, frame: entry.pfn, rights: 15 };
      return this.#with(set, below as Cached);
    }
    if (entry.kind !== 'leaf' || level !== 0) return set;
    const canWrite = entry.write && (entry.dirty || this.#format.judge.dirtyMask === 0);
    const rights =
      (entry.read ? RIGHT_READ : 0) |
      (canWrite ? RIGHT_WRITE : 0) |
      (entry.execute ? RIGHT_EXECUTE : 0) |
      RIGHT_USER;
    return this.#with(set, { space, kind: 'leaf', page, level: 0, frame: entry.pfn, rights });
  }

  #with(set: number, cached: Cached): number {
    const number = this.#number(cached);
    const { entries } = this.#sets[set]!;
    if (entries.includes(number)) return set;
    return this.#internSet([...entries, number]);
  }

  invalidate(set: number, space: number, page: number): number {
    const { entries } = this.#sets[set]!;
    if (entries.length === 0) return set;
    if (space < 0) return this.nothing;
    return this.#internSet(
      entries.filter((number) => {
        const cached = this.#cached[number]!;
        if (cached.space !== space) return true;
        return page >= 0 && cached.kind === 'leaf' && cached.page !== page;
      }),
    );
  }

  #number(cached: Cached): number {
    const { space, kind, page, level, frame, rights } = cached;
    const key = `${space} ${kind} ${page} ${level} ${frame} ${rights}`;
    let number = this.#numbers.get(key);
    if (number === undefined) {
      // Numbers of entries are arguments of inputs: 0 means that none is used.
      if (this.#cached.length === 0) this.#cached.push(cached);
      number = this.#cached.length;
      this.#cached.push(cached);
      this.#numbers.set(key, number);
    }
    return number;
  }

  /** Entries are kept in the order of what they say, not of when they were found. */
  #internSet(members: readonly number[]): number {
    const entries = [...members].sort((a, b) => compare(this.#content(a), this.#content(b)));
    const key = entries.join(',');
    const known = this.#setNumbers.get(key);
    if (known !== undefined) return known;
    const hash = new Hash64();
    for (const number of entries) for (const value of this.#content(number)) hash.add(value);
    this.#sets.push({ entries, low: hash.low, high: hash.high });
    this.#setNumbers.set(key, this.#sets.length - 1);
    return this.#sets.length - 1;
  }

  #content(number: number): readonly number[] {
    const { space, kind, page, level, frame, rights } = this.#cached[number]!;
    return [space, kind === 'leaf' ? 1 : 0, page, level, frame, rights];
  }

  hashLow(set: number): number {
    return this.#sets[set]!.low;
  }

  hashHigh(set: number): number {
    return this.#sets[set]!.high;
  }

  describe(number: number): string {
    const { kind, page, frame, level } = this.#cached[number]!;
    return kind === 'leaf'
      ? `page ${page} in frame ${frame}`
      : `the table of level ${level} in frame ${frame}`;
  }
}

function compare(a: readonly number[], b: readonly number[]): number {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return a[i]! - b[i]!;
  return 0;
}
