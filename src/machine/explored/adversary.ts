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
 * A huge leaf may be cached in pieces of 4 KiB, each of which lives and is dropped by itself
 * (28.4.2, 4.10.2.3): that allows everything that one large entry does, and leaves some of it.
 *
 * Leaves out: combined mappings (explored guests run without paging of their own), capacity
 * (everything fits), accessed bits set by speculation.
 */

import { defect } from '../../base/assert.ts';
import { Hash64 } from '../../base/hash.ts';
import {
  type Adversary,
  FRAME_HALVES,
  type HartView,
  type Translation,
} from '../../runtime/hart.ts';
import { type Entry, indexAt, pagesAt } from '../format/format.ts';
import {
  ALL_RIGHTS,
  RIGHT_EXECUTE,
  RIGHT_READ,
  RIGHT_USER,
  RIGHT_WRITE,
  type WalkedFormat,
} from '../format/judge.ts';
import { Decoded } from './decoded.ts';

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

/** What a walk of the tables finds at one moment. */
export interface Walked {
  /** Frames of the tables, by level. */
  readonly tables: readonly number[];
  /** Frame of the page; -1 if it is absent. */
  readonly frame: number;
  /** AND of the rights on the way. */
  readonly rights: number;
  readonly dirty: boolean;
}

/** An entry, by its table, with the rights of the entries above. */
interface Place {
  readonly table: number;
  readonly slot: number;
  readonly level: number;
  readonly first: number;
  readonly rights: number;
}

/** Where a walk goes on. */
interface From {
  readonly table: number;
  readonly level: number;
  readonly rights: number;
}

type See = (table: number, level: number, first: number, rights: number) => void;

const NONE: readonly number[] = [];

interface CachedSet {
  readonly entries: readonly number[];
  readonly low: number;
  readonly high: number;
}

/** A space whose translations are looked at. */
export interface WatchedSpace {
  /** Frame of the root table. */
  readonly root: number;
  readonly format: WalkedFormat;
  /** Pages that are looked at; all unless given: others are known never to change. */
  readonly pages?: { readonly first: number; readonly end: number };
}

/** The spaces that there are, by EP4TA or, for promised ones, from PROMISED on. */
export interface Spaces {
  /** Spaces that are there from the start. */
  readonly fixed: readonly number[];
  /** How a space is looked at; undefined if it is not. */
  of(space: number): WatchedSpace | undefined;
  /**
   * Tables that no hardware walks, but which a guest hypervisor's CPU would: what they have said
   * since the guest hypervisor's last invalidation on a CPU may still be used there.
   */
  readonly promised: readonly number[];
  /** SVM: the spaces of a CPU carry one ASID, so that what is cached of one serves another. */
  readonly oneTag?: boolean;
}

/** Promised spaces are numbered from here on. */
export const PROMISED = 2 ** 30;

/** All of one format, known from the start. */
export function fixedSpaces(format: WalkedFormat, roots: readonly number[]): Spaces {
  return {
    fixed: roots,
    of: (space) => (roots.includes(space) ? { root: space, format } : undefined),
    promised: [],
  };
}

export class HostileHardware implements Adversary {
  readonly nothing = 0;
  readonly #words: Int32Array;
  readonly #spaces: Spaces;
  readonly #known: number[] = []; // spaces met so far
  readonly #tables: Uint8Array; // frames that were ever a table, by number
  readonly #upper: Uint8Array; // those that were ever one above the leaf tables
  readonly #decoded = new Map<WalkedFormat, Decoded>();
  readonly #cached: Cached[] = [];
  readonly #numbers = new Map<string, number>();
  readonly #sets: CachedSet[] = [];
  readonly #setNumbers = new Map<string, number>();
  readonly #usable: number[] = [];
  /** Who is told which words are read, while somebody is asked about what CPUs may use. */
  heard: ((index: number) => void) | undefined;

  constructor(words: Int32Array, spaces: Spaces) {
    this.#words = words;
    this.#spaces = spaces;
    this.#tables = new Uint8Array(words.length / FRAME_HALVES);
    this.#upper = new Uint8Array(words.length / FRAME_HALVES);
    this.#internSet([]);
    for (const space of [...spaces.fixed, ...spaces.promised]) this.#meet(space);
  }

  /** Whether a space is one of those looked at. */
  watches(space: number): boolean {
    return this.#spaces.of(space) !== undefined;
  }

  formatOf(space: number): WalkedFormat {
    return this.#at(space).format;
  }

  #at(space: number): WatchedSpace {
    return this.#spaces.of(space) ?? defect('HostileHardware', `space ${space} is not watched`);
  }

  /** Frame that an entry maps a page to now; -1 if none does. */
  mapped(space: number, page: number): number {
    return this.walk(space, page).frame;
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

  /** A root is one of those under which CPUs walk: so are the tables below it, from now on. */
  #meet(space: number): void {
    if (!this.#known.includes(space)) this.#known.push(space);
    const { root, format } = this.#at(space);
    this.#mark(root, format.geometry.levels - 1, format);
  }

  #mark(table: number, level: number, format: WalkedFormat): void {
    this.#tables[table] = 1;
    if (level === 0) return;
    this.#upper[table] = 1;
    for (let i = 0; i < 1 << format.geometry.indexBits; i++) {
      const entry = this.#decode(format, table, i, level);
      if (entry.kind === 'table') this.#mark(entry.pfn, level - 1, format);
    }
  }

  #decode(format: WalkedFormat, table: number, index: number, level: number): Entry {
    const at = table * FRAME_HALVES + index * 2;
    this.heard?.(at);
    this.heard?.(at + 1);
    return this.#decodedBy(format).at(this.#words[at]!, this.#words[at + 1]!, level);
  }

  #decodedBy(format: WalkedFormat): Decoded {
    let decoded = this.#decoded.get(format);
    if (decoded === undefined) {
      decoded = new Decoded(format);
      this.#decoded.set(format, decoded);
    }
    return decoded;
  }

  usable(set: number, wanted: Translation): readonly number[] {
    const found = this.#usable;
    found.length = 0;
    const { entries } = this.#sets[set]!;
    if (entries.length === 0) return found;
    const { space, page, right } = wanted;
    const now = this.walk(space, page);
    for (const number of entries) {
      const cached = this.#cached[number]!;
      if (!this.reaches(cached.space, space) || !this.covers(cached, page)) continue;
      if (cached.kind === 'table') {
        if (now.tables[cached.level] !== cached.frame) found.push(number);
      } else if ((cached.rights & right) !== 0) {
        // Who uses a cached right to write does not set D; who walks does.
        const setsDirty = right === RIGHT_WRITE && !now.dirty && this.#hasDirty(space);
        const isNow = cached.frame === now.frame && (now.rights & right) !== 0 && !setsDirty;
        if (!isNow) found.push(number);
      }
    }
    return found;
  }

  #hasDirty(space: number): boolean {
    return this.#at(space).format.judge.dirtyMask !== 0;
  }

  /** Whether what was cached in space `from` is used in `space`: its own, or of one tag with it. */
  reaches(from: number, space: number): boolean {
    if (from === space) return true;
    return this.#spaces.oneTag === true && from < PROMISED && space < PROMISED;
  }

  covers(cached: Cached, page: number): boolean {
    if (cached.kind === 'leaf') return cached.page === page;
    const { geometry } = this.#at(cached.space).format;
    const span = pagesAt(geometry, cached.level + 1);
    return page >= cached.page && page < cached.page + span;
  }

  /** Tables by level, frame and rights that a walk finds now; frame -1 if the page is absent. */
  walk(space: number, page: number): Walked {
    const { root, format } = this.#at(space);
    const top = format.geometry.levels - 1;
    return this.#walkFrom(format, { table: root, level: top, rights: ALL_RIGHTS }, page);
  }

  /** The same from a table that something cached still points to. */
  walkBelow(number: number, page: number): Walked {
    const { space, frame, level, rights } = this.#cached[number]!;
    return this.#walkFrom(this.#at(space).format, { table: frame, level, rights }, page);
  }

  #walkFrom(format: WalkedFormat, from: From, page: number): Walked {
    const { geometry } = format;
    const tables: number[] = [];
    let { table, rights } = from;
    for (let level = from.level; level >= 0; level--) {
      tables[level] = table;
      const entry = this.#decode(format, table, indexAt(geometry, page, level), level);
      if (entry.kind !== 'leaf' && entry.kind !== 'table') break;
      rights &= rightsOf(entry);
      if (entry.kind === 'leaf') {
        const frame = entry.pfn + (page % pagesAt(geometry, level));
        return { tables, frame, rights, dirty: entry.dirty };
      }
      table = entry.pfn;
    }
    return { tables, frame: -1, rights: 0, dirty: false };
  }

  beforeWrite(set: number, view: HartView, index: number): number {
    if (index % 2 === 1) return set;
    let result = set;
    if (view.space >= 0) result = this.#beforeWriteIn(result, view.space, index);
    if (!view.nests) return result;
    for (const space of this.#spaces.promised) result = this.#beforeWriteIn(result, space, index);
    return result;
  }

  #beforeWriteIn(set: number, space: number, index: number): number {
    const frame = Math.floor(index / FRAME_HALVES);
    const slot = (index % FRAME_HALVES) >> 1;
    const { format } = this.#at(space);
    if (slot >= 1 << format.geometry.indexBits) return set;
    let result = set;
    this.#visit(set, space, (table, level, first, rights) => {
      if (table !== frame) return;
      result = this.#addEntry(result, space, { table, slot, level, first, rights });
    });
    return result;
  }

  afterWrite(index: number): void {
    if (this.#upper[Math.floor(index / FRAME_HALVES)] !== 1) return;
    for (const space of this.#known) this.#meet(space);
  }

  afterMove(set: number, before: HartView, after: HartView): number {
    if (before.space === after.space) return set;
    if (after.space >= 0) this.#meet(after.space);
    if (before.space < 0) return set;
    let result = set;
    const { format } = this.#at(before.space);
    this.#visit(set, before.space, (table, level, first, rights) => {
      for (let slot = 0; slot < 1 << format.geometry.indexBits; slot++) {
        result = this.#addEntry(result, before.space, { table, slot, level, first, rights });
      }
    });
    return result;
  }

  /** Every table that a walk may go through now: from the root, and from cached pointers. */
  #visit(set: number, space: number, see: See): void {
    const { root, format, pages } = this.#at(space);
    const { geometry } = format;
    const down = (table: number, level: number, first: number, rights: number): void => {
      see(table, level, first, rights);
      if (level === 0) return;
      const span = pagesAt(geometry, level);
      for (let i = 0; i < 1 << geometry.indexBits; i++) {
        const page = first + i * span;
        if (pages !== undefined && (page >= pages.end || page + span <= pages.first)) continue;
        const entry = this.#decode(format, table, i, level);
        if (entry.kind === 'table') down(entry.pfn, level - 1, page, rights & rightsOf(entry));
      }
    };
    down(root, geometry.levels - 1, 0, ALL_RIGHTS);
    for (const number of this.#sets[set]!.entries) {
      const cached = this.#cached[number]!;
      if (cached.kind === 'table' && cached.space === space) {
        down(cached.frame, cached.level, cached.page, cached.rights);
      }
    }
  }

  #addEntry(set: number, space: number, at: Place): number {
    const { format, pages } = this.#at(space);
    const page = at.first + at.slot * pagesAt(format.geometry, at.level);
    if (pages !== undefined && at.level === 0 && (page < pages.first || page >= pages.end)) {
      return set;
    }
    const entry = this.#decode(format, at.table, at.slot, at.level);
    const rights = at.rights & rightsOf(entry);
    if (entry.kind === 'table') {
      const { pfn: frame } = entry;
      return this.#with(set, { space, kind: 'table', page, level: at.level - 1, frame, rights });
    }
    if (entry.kind !== 'leaf') return set;
    const canWrite = entry.dirty || format.judge.dirtyMask === 0;
    const usable = canWrite ? rights : rights & ~RIGHT_WRITE;
    let result = set;
    for (let i = 0; i < pagesAt(format.geometry, at.level); i++) {
      if (pages !== undefined && (page + i < pages.first || page + i >= pages.end)) continue;
      const piece = { page: page + i, level: 0, frame: entry.pfn + i, rights: usable };
      result = this.#with(result, { space, kind: 'leaf', ...piece });
    }
    return result;
  }

  #with(set: number, cached: Cached): number {
    const number = this.#number(cached);
    const { entries } = this.#sets[set]!;
    if (entries.includes(number)) return set;
    return this.#internSet([...entries, number]);
  }

  invalidate(set: number, space: number, page: number): number {
    return this.#without(set, (cached) => {
      if (cached.space >= PROMISED || (space >= 0 && cached.space !== space)) return false;
      return page < 0 || cached.kind !== 'leaf' || cached.page === page;
    });
  }

  /**
   * A guest's own invalidation has taken effect: what its tables said is past. One of a page drops
   * every entry of paging-structure caches as well (Intel SDM vol. 3, 4.10.4.1).
   */
  guestFlush(set: number, page: number): number {
    return this.#without(set, (cached) => {
      if (cached.space < PROMISED) return false;
      return page < 0 || cached.kind !== 'leaf' || cached.page === page;
    });
  }

  #without(set: number, goes: (cached: Cached) => boolean): number {
    const { entries } = this.#sets[set]!;
    const kept = entries.filter((number) => !goes(this.#cached[number]!));
    return kept.length === entries.length ? set : this.#internSet(kept);
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

  /** Lazy: what hardware caches by itself shows when an entry changes, and needs no move. */
  fills(_set: number, _view: HartView): readonly number[] {
    return NONE;
  }

  filled(set: number, entry: number): number {
    const { entries } = this.#sets[set]!;
    return entries.includes(entry) ? set : this.#internSet([...entries, entry]);
  }

  /** Everything that a walk may find and cache now, as numbers of entries. */
  protected walkable(set: number, space: number): readonly number[] {
    let all = this.nothing;
    const { format } = this.#at(space);
    this.#visit(set, space, (table, level, first, rights) => {
      for (let slot = 0; slot < 1 << format.geometry.indexBits; slot++) {
        all = this.#addEntry(all, space, { table, slot, level, first, rights });
      }
    });
    return this.entries(all);
  }

  hashLow(set: number): number {
    return this.#sets[set]!.low;
  }

  hashHigh(set: number): number {
    return this.#sets[set]!.high;
  }

  describe(number: number): string {
    const { space, kind, page, frame, level } = this.#cached[number]!;
    if (space >= PROMISED && kind === 'leaf') return `L1's word that page ${page} is its ${frame}`;
    return kind === 'leaf'
      ? `page ${page} in frame ${frame}`
      : `the table of level ${level} in frame ${frame}`;
  }
}

function rightsOf(entry: Entry): number {
  return (
    (entry.read ? RIGHT_READ : 0) |
    (entry.write ? RIGHT_WRITE : 0) |
    (entry.execute ? RIGHT_EXECUTE : 0) |
    RIGHT_USER
  );
}

function compare(a: readonly number[], b: readonly number[]): number {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return a[i]! - b[i]!;
  return 0;
}
