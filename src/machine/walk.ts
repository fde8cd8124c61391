/**
 * The page walk over one set of tables: the machine's own, and that of `kpop walk`. It allocates
 * nothing; results are fields of the Walker, valid until its next walk.
 *
 * Sources: Intel SDM vol. 3, 4.5 and 28.3.2 (translation), 4.6 and 28.3.3 (order of the checks: an
 * absent entry, then a malformed one, level by level from the root; permissions only at the end),
 * 4.8 and 28.3.5 (accessed and dirty flags). Leaves out: the TLB and the paging-structure caches,
 * which give `walkFrom` its start; canonical addresses, which the caller strips.
 */
import { type Geometry, pageBits } from './format/format.ts';
import {
  ABSENT,
  type Access,
  ALL_RIGHTS,
  DENIED,
  HOLE,
  type Judge,
  LEAF,
  LOG_FULL,
  MALFORMED,
  NOT_PRESENT,
  OK,
  type Outcome,
  type Privilege,
  type Target,
  UNFLAGGED,
  type WalkedFormat,
  WRITE,
} from './format/judge.ts';
import { FRAME_BYTES, type Memory } from './memory.ts';
import { Changes, type PageLog, type WalkTrace } from './walk-log.ts';

const ENTRY_BYTES = 8;
const ENTRIES_PER_FRAME = FRAME_BYTES / ENTRY_BYTES;

/** A table below the root from which a walk goes on, as a paging-structure cache holds it. */
export interface WalkStart {
  readonly level: number;
  /** Frame of the table at that level. */
  readonly pfn: number;
  /** AND of the rights of the entries above it. */
  readonly rights: number;
}

/**
 * How page numbers, too wide for integer arithmetic, are split into indexes: a far and a near part,
 * each a small integer that holds whole indexes. Walks keep both parts and a shift in locals.
 */
export class IndexSplit {
  /** Index bits per level, and their mask. */
  readonly bits: number;
  readonly mask: number;
  /** Bits of the near part. */
  readonly nearBits: number;
  readonly nearSpan: number;
  readonly perNearSpan: number;
  /** Pages from here on have no entry in the root table. */
  readonly limit: number;

  /** Level of the root table, and the reciprocal of the pages behind one of its entries. */
  readonly top: number;
  readonly perRootSpan: number;

  constructor(geometry: Geometry) {
    const { levels, indexBits } = geometry;
    this.top = levels - 1;
    this.perRootSpan = 2 ** -(indexBits * this.top);
    this.bits = indexBits;
    this.mask = (1 << indexBits) - 1;
    this.nearBits = Math.floor(30 / indexBits) * indexBits;
    this.nearSpan = 2 ** this.nearBits;
    this.perNearSpan = 1 / this.nearSpan; // exact: a power of two
    this.limit = 2 ** pageBits(geometry);
  }
}

export class Walker {
  readonly format: WalkedFormat;
  readonly memory: Memory;
  /** Accessed and dirty bits that the last walk sets. */
  readonly changes = new Changes();
  /** Set to record every entry read. */
  trace: WalkTrace | undefined;
  /** Told of the page before `walk` or `walkFrom` sets a dirty bit. */
  log: PageLog | undefined;
  /** 1, or 2 for the second stage of a nested walk: only named in traces. */
  stage = 1;
  /** What the access is for, in codes of failures. */
  target: Target = 'final';

  outcome: Outcome = OK;
  /** Frame of the page, 4 KiB, inside whatever leaf maps it. */
  pfn = 0;
  /** Level of the leaf, or of the entry that stopped the walk. */
  level = 0;
  /** AND of the rights of all entries read. */
  rights = 0;
  /** Entries read since the last `reset`. */
  references = 0;
  /** Of a failure: #PF error code, EPT exit qualification, EXITINFO1. */
  code = 0;
  /** Of a failure: where the entry lies, or the missing word; -1 if the page has no entry. */
  failedPa = 0;
  /** Dirty bit of the leaf after this walk, or true where the format has none. */
  dirty = false;
  /** Whether the next two are kept: they cost a tenth of a walk. */
  keepsTables = true;
  /** Frame of the table used at each level, down to `level`: what a structure cache may keep. */
  readonly tables: Float64Array;
  /** AND of the rights of the entries above the table at each level. */
  readonly rightsAbove: Uint8Array;

  readonly #judge: Judge;
  readonly #split: IndexSplit;
  readonly #spans: Float64Array;

  constructor(memory: Memory, format: WalkedFormat) {
    const { levels, indexBits } = format.geometry;
    this.memory = memory;
    this.format = format;
    this.tables = new Float64Array(levels);
    this.rightsAbove = new Uint8Array(levels);
    this.#judge = format.judge;
    this.#split = new IndexSplit(format.geometry);
    this.#spans = Float64Array.from({ length: levels }, (_, level) => 2 ** (indexBits * level));
  }

  /** Walks from the root and sets accessed and dirty bits if that succeeds. */
  walk(rootPfn: number, page: number, access: Access, privilege: Privilege): Outcome {
    this.reset();
    const level = this.format.geometry.levels - 1;
    const outcome = this.descend(level, rootPfn, ALL_RIGHTS, page, access, privilege);
    if (outcome !== OK || !this.changes.pending) return outcome;
    if (!this.notes(page)) return LOG_FULL;
    return this.changes.apply(this.memory) ? outcome : this.walk(rootPfn, page, access, privilege);
  }

  /** The same from a table below the root. */
  walkFrom(start: WalkStart, page: number, access: Access, privilege: Privilege): Outcome {
    this.reset();
    const { level, pfn, rights } = start;
    const outcome = this.descend(level, pfn, rights, page, access, privilege);
    if (outcome !== OK || !this.changes.pending) return outcome;
    if (!this.notes(page)) return LOG_FULL;
    return this.changes.apply(this.memory)
      ? outcome
      : this.walkFrom(start, page, access, privilege);
  }

  /** Before the flags of a walk are set: false if the page had to be logged and was not. */
  notes(page: number): boolean {
    const { log } = this;
    if (log === undefined || !this.changes.sets(this.#judge.dirtyMask) || log.take(page))
      return true;
    this.outcome = LOG_FULL;
    this.code = 0;
    return false;
  }

  reset(): void {
    this.references = 0;
    this.changes.clear();
    if (this.trace !== undefined) this.trace.count = 0;
  }

  /** One walk that adds to references, changes and trace and writes nothing. */
  descend(
    startLevel: number,
    tablePfn: number,
    startRights: number,
    page: number,
    access: Access,
    privilege: Privilege,
  ): Outcome {
    const judge = this.#judge;
    const memory = this.memory;
    const { bits, mask, nearBits, nearSpan, perNearSpan, limit, top, perRootSpan } = this.#split;
    const keepsTables = this.keepsTables;
    let level = startLevel;
    let table = tablePfn;
    let rights = startRights;
    if (page >= limit) return this.#failed(ABSENT, -1, level, 0, access, privilege);
    const far = Math.floor(page * perNearSpan) | 0;
    const near = (page - far * nearSpan) | 0;
    let shift = bits * level;
    let index = (shift < nearBits ? near >> shift : far >> (shift - nearBits)) & mask;
    if (level === top) {
      // Above the root's index there is nothing; it may reach into concatenated frames.
      index = Math.floor(page * perRootSpan) | 0;
      table += (index / ENTRIES_PER_FRAME) | 0;
    }
    for (;;) {
      if (keepsTables) {
        this.tables[level] = table;
        this.rightsAbove[level] = rights;
      }
      const inFrame = index & (ENTRIES_PER_FRAME - 1);
      const at = memory.base(table) + 2 * inFrame;
      const pa = table * FRAME_BYTES + inFrame * ENTRY_BYTES;
      if (at < 0) {
        this.trace?.add(this.stage, level, index, pa, 0, 0, NOT_PRESENT);
        return this.#failed(HOLE, pa, level, 0, access, privilege);
      }
      const lo = memory.words[at];
      const hi = memory.words[at + 1];
      this.references++;
      const verdict = judge.judge(lo, hi, level);
      this.trace?.add(this.stage, level, index, pa, lo, hi, verdict);
      if (verdict < 0) {
        const reason = verdict === NOT_PRESENT ? ABSENT : MALFORMED;
        return this.#failed(reason, pa, level, 0, access, privilege);
      }
      rights &= verdict;
      if (verdict < LEAF) {
        if ((lo & judge.tableAccessedMask) !== judge.tableAccessedMask) {
          this.changes.add(at, pa, judge.tableAccessedMask, lo);
        }
        table = judge.tableFrame(lo, hi);
        level--;
        shift -= bits;
        index = (shift < nearBits ? near >> shift : far >> (shift - nearBits)) & mask;
        continue;
      }
      const required = judge.requiredMask | (access === WRITE ? judge.requiredToWrite : 0);
      if ((lo & required) !== required) {
        return this.#failed(UNFLAGGED, pa, level, rights, access, privilege);
      }
      if (!judge.allows(rights, access, privilege)) {
        return this.#failed(DENIED, pa, level, rights, access, privilege);
      }
      const wanted = judge.accessedMask | (access === WRITE ? judge.dirtyMask : 0);
      if ((lo & wanted) !== wanted) this.changes.add(at, pa, wanted, lo);
      this.dirty = ((lo | wanted) & judge.dirtyMask) === judge.dirtyMask;
      return this.#reached(judge.frame(lo, hi, level, true), page, level, rights);
    }
  }

  #reached(frame: number, page: number, level: number, rights: number): Outcome {
    this.pfn = level === 0 ? frame : frame + (page % this.#spans[level]);
    this.level = level;
    this.rights = rights;
    this.outcome = OK;
    return OK;
  }

  #failed(
    outcome: Outcome,
    entryPa: number,
    level: number,
    rights: number,
    access: Access,
    privilege: Privilege,
  ): Outcome {
    this.outcome = outcome;
    this.failedPa = entryPa;
    this.level = level;
    this.rights = rights;
    const target = this.target;
    this.code = this.#judge.code({ outcome, access, privilege, rights, target });
    return outcome;
  }
}
