/**
 * The two-dimensional walk: a guest's long-mode tables at guest-physical addresses, each of them
 * and the final address translated by a second stage (EPT or NPT).
 *
 * Sources: Intel SDM vol. 3, 28.3.1, 28.3.3.2, 28.3.5 (references to guest tables are writes once
 * EPT has A/D flags) and 27.2.1 (exit qualification); AMD APM vol. 2, 15.25.5 and 15.25.6 (table
 * walks are user writes at the nested level; EXITINFO1). Leaves out: guests without paging, PAE
 * guests (PDPTE loads), advanced exit information (qualification bits 9 to 11), SNP.
 */
import { defect } from '../base/assert.ts';
import { indexAt } from './format/format.ts';
import {
  ABSENT,
  type Access,
  ALL_RIGHTS,
  DENIED,
  HOLE,
  type Judge,
  LEAF,
  MALFORMED,
  NOT_PRESENT,
  OK,
  type Outcome,
  type Privilege,
  READ,
  RIGHT_WRITE,
  type Target,
  USER,
  type WalkedFormat,
  WRITE,
} from './format/judge.ts';
import { FRAME_BYTES, type Memory } from './memory.ts';
import { IndexSplit, Walker, type WalkStart } from './walk.ts';
import { Changes, type WalkTrace } from './walk-log.ts';

const ENTRY_BYTES = 8;

/** Which tables a failure comes from. */
export const GUEST_STAGE = 1;
export const SECOND_STAGE = 2;

/** What a machine has cached of the second stage, asked before each second-stage walk. */
export interface NestedCache {
  /** Rights of the entry found by the last `lookup` that did not return -1. */
  readonly rights: number;
  /** Frame of a guest page if what is cached permits `access`, dirty bit included; else -1. */
  lookup(gpaPage: number, access: Access): number;
  /** Told of every second-stage walk that succeeded; `second` holds its results. */
  fill(gpaPage: number, access: Access, second: Walker): void;
}

/** A guest table below the root, and where it lies for the host. */
export interface NestedStart extends WalkStart {
  readonly hostPfn: number;
  /** Rights of the second stage for the table's own page. */
  readonly hostRights: number;
}

export class NestedWalker {
  readonly guest: WalkedFormat;
  /**
   * The second stage. Its flags belong to the translation of one guest-physical address and are
   * set as soon as that succeeds, so that a cache filled from it never knows more than memory.
   * It keeps no `tables` unless told to.
   */
  readonly second: Walker;
  /** Flags of the guest's entries: set once the whole walk has succeeded. */
  readonly changes = new Changes();
  readonly memory: Memory;
  cache: NestedCache | undefined;

  outcome: Outcome = OK;
  /** After a failure: GUEST_STAGE or SECOND_STAGE. */
  stage = GUEST_STAGE;
  /** Host frame of the page. */
  pfn = 0;
  /** Guest frame of the page: what the guest's tables say, also when the second stage fails. */
  gfn = 0;
  /** Level of the guest's leaf, or of the guest entry at which the walk stopped. */
  level = 0;
  /** Level of the second-stage leaf under the final page; after a cache hit, 0. */
  secondLevel = 0;
  rights = 0;
  /** Entries of both stages. */
  references = 0;
  /** Of a failure, in the terms of the failing stage. */
  code = 0;
  /** Guest page whose translation failed, and the offset in it where a table entry was wanted. */
  failedGpaPage = 0;
  failedGpaOffset = 0;
  /** Whether the second stage failed for the final address, whose offset the caller knows. */
  failedFinal = false;
  /** Of a failure: where the entry lies for the host, or the missing word. */
  failedPa = 0;
  /** Dirty bit of the guest's leaf after this walk. */
  dirty = false;
  /** Guest frame and host frame of the guest's table at each level. */
  readonly tables: Float64Array;
  readonly hostTables: Float64Array;
  readonly hostRights: Uint8Array;
  readonly rightsAbove: Uint8Array;

  readonly #judge: Judge;
  readonly #split: IndexSplit;
  readonly #spans: Float64Array;
  /** How references to guest tables count for the second stage. */
  readonly #tableAccess: Access;
  #secondRoot = 0;
  #nestedRights = 0;

  constructor(memory: Memory, guest: WalkedFormat, second: WalkedFormat) {
    const { levels, indexBits } = guest.geometry;
    this.memory = memory;
    this.guest = guest;
    this.second = new Walker(memory, second);
    this.second.stage = SECOND_STAGE;
    this.second.keepsTables = false;
    this.tables = new Float64Array(levels);
    this.hostTables = new Float64Array(levels);
    this.hostRights = new Uint8Array(levels);
    this.rightsAbove = new Uint8Array(levels);
    this.#judge = guest.judge;
    this.#split = new IndexSplit(guest.geometry);
    this.#spans = Float64Array.from({ length: levels }, (_, level) => 2 ** (indexBits * level));
    const readsOnly = second.id === 'ept' && second.judge.accessedMask === 0;
    this.#tableAccess = readsOnly ? READ : WRITE;
  }

  get trace(): WalkTrace | undefined {
    return this.second.trace;
  }

  set trace(trace: WalkTrace | undefined) {
    this.second.trace = trace;
  }

  /** Walks from the guest's root, a guest frame, through the second stage's root, a host frame. */
  walk(
    guestRoot: number,
    secondRoot: number,
    page: number,
    access: Access,
    privilege: Privilege,
  ): Outcome {
    this.#reset(secondRoot);
    const level = this.guest.geometry.levels - 1;
    return this.#end(this.#descend(level, guestRoot, -1, ALL_RIGHTS, page, access, privilege));
  }

  /** The same from a guest table below the root whose place in the host is known. */
  walkFrom(
    start: NestedStart,
    secondRoot: number,
    page: number,
    access: Access,
    privilege: Privilege,
  ): Outcome {
    this.#reset(secondRoot);
    this.#nestedRights = start.hostRights;
    const { level, pfn, hostPfn, rights } = start;
    return this.#end(this.#descend(level, pfn, hostPfn, rights, page, access, privilege));
  }

  #reset(secondRoot: number): void {
    this.second.reset();
    this.changes.clear();
    this.#secondRoot = secondRoot;
  }

  #end(outcome: Outcome): Outcome {
    this.outcome = outcome;
    this.references = this.second.references;
    if (outcome === OK && this.changes.pending) this.#setFlags(this.changes);
    return outcome;
  }

  #setFlags(changes: Changes): void {
    if (!changes.apply(this.memory)) defect('NestedWalker', 'an entry changed under the walk');
  }

  #descend(
    startLevel: number,
    guestTable: number,
    hostTable: number,
    startRights: number,
    page: number,
    access: Access,
    privilege: Privilege,
  ): Outcome {
    const { memory, second } = this;
    const judge = this.#judge;
    const { bits, mask, nearBits, nearSpan, perNearSpan, limit } = this.#split;
    let level = startLevel;
    let gfn = guestTable;
    let host = hostTable;
    let rights = startRights;
    let blocked = -1; // level of the first guest entry whose flags the second stage will not let be
    if (page >= limit) return this.#guestFailed(ABSENT, -1, level, 0, access, privilege);
    const far = Math.floor(page * perNearSpan) | 0;
    const near = (page - far * nearSpan) | 0;
    let shift = bits * level;
    for (;;) {
      const index = (shift < nearBits ? near >> shift : far >> (shift - nearBits)) & mask;
      if (host < 0) {
        host = this.#translate(gfn, this.#tableAccess, 'guest-table');
        if (host < 0) return this.#secondFailed(gfn, index * ENTRY_BYTES, level, false);
      }
      this.tables[level] = gfn;
      this.hostTables[level] = host;
      this.hostRights[level] = this.#nestedRights;
      this.rightsAbove[level] = rights;
      const at = memory.base(host) + 2 * index;
      const pa = host * FRAME_BYTES + index * ENTRY_BYTES;
      if (at < 0) {
        second.trace?.add(GUEST_STAGE, level, index, pa, 0, 0, NOT_PRESENT);
        return this.#guestFailed(HOLE, pa, level, 0, access, privilege);
      }
      const lo = memory.words[at];
      const hi = memory.words[at + 1];
      second.references++;
      const verdict = judge.judge(lo, hi, level);
      second.trace?.add(GUEST_STAGE, level, index, pa, lo, hi, verdict);
      if (verdict < 0) {
        const reason = verdict === NOT_PRESENT ? ABSENT : MALFORMED;
        return this.#guestFailed(reason, pa, level, 0, access, privilege);
      }
      rights &= verdict;
      const isLeaf = verdict >= LEAF;
      const wanted = judge.accessedMask | (isLeaf && access === WRITE ? judge.dirtyMask : 0);
      if ((lo & wanted) !== wanted) {
        this.changes.add(at, pa, wanted, lo);
        if (blocked < 0 && (this.#nestedRights & RIGHT_WRITE) === 0) blocked = level;
      }
      gfn = isLeaf ? judge.frame(lo, hi, level, true) : judge.tableFrame(lo, hi);
      if (!isLeaf) {
        host = -1;
        level--;
        shift -= bits;
        continue;
      }
      if (!judge.allows(rights, access, privilege)) {
        return this.#guestFailed(DENIED, pa, level, rights, access, privilege);
      }
      if (blocked >= 0) return this.#flagsDenied(blocked, page);
      this.dirty = ((lo | wanted) & judge.dirtyMask) === judge.dirtyMask;
      this.gfn = level === 0 ? gfn : gfn + (page % this.#spans[level]);
      return this.#final(level, rights, access);
    }
  }

  #final(level: number, rights: number, access: Access): Outcome {
    this.level = level;
    this.rights = rights;
    const pfn = this.#translate(this.gfn, access, 'final');
    if (pfn < 0) return this.#secondFailed(this.gfn, 0, level, true);
    this.pfn = pfn;
    return OK;
  }

  /** Host frame of a guest page for an access, or -1 with the failure in `second`. */
  #translate(gpaPage: number, access: Access, target: Target): number {
    const { cache, second } = this;
    if (cache !== undefined) {
      const pfn = cache.lookup(gpaPage, access);
      if (pfn >= 0) {
        this.#nestedRights = cache.rights;
        this.secondLevel = 0;
        return pfn;
      }
    }
    second.target = target;
    const level = second.format.geometry.levels - 1;
    if (second.descend(level, this.#secondRoot, ALL_RIGHTS, gpaPage, access, USER) !== OK) {
      return -1;
    }
    if (second.changes.pending) {
      if (!second.notes(gpaPage)) return -1;
      this.#setFlags(second.changes);
    }
    this.#nestedRights = second.rights;
    this.secondLevel = second.level;
    cache?.fill(gpaPage, access, second);
    return second.pfn;
  }

  #guestFailed(
    outcome: Outcome,
    entryPa: number,
    level: number,
    rights: number,
    access: Access,
    privilege: Privilege,
  ): Outcome {
    this.stage = GUEST_STAGE;
    this.failedPa = entryPa;
    this.level = level;
    this.rights = rights;
    this.code = this.#judge.code({ outcome, access, privilege, rights, target: 'final' });
    return outcome;
  }

  #secondFailed(gpaPage: number, offset: number, level: number, final: boolean): Outcome {
    this.failedFinal = final;
    this.stage = SECOND_STAGE;
    this.level = level;
    this.secondLevel = this.second.level;
    this.code = this.second.code;
    this.failedPa = this.second.failedPa;
    this.failedGpaPage = gpaPage;
    this.failedGpaOffset = offset;
    return this.second.outcome;
  }

  /** EPT without A/D: the guest's own flags cannot be set in a table that is read-only below. */
  #flagsDenied(level: number, page: number): Outcome {
    this.stage = SECOND_STAGE;
    this.failedFinal = false;
    this.secondLevel = 0;
    this.level = level;
    this.failedGpaPage = this.tables[level];
    this.failedGpaOffset = indexAt(this.guest.geometry, page, level) * ENTRY_BYTES;
    this.failedPa = this.hostTables[level] * FRAME_BYTES + this.failedGpaOffset;
    this.code = this.second.format.judge.code({
      outcome: DENIED,
      access: WRITE,
      privilege: USER,
      rights: this.hostRights[level],
      target: 'guest-table',
    });
    return DENIED;
  }
}
