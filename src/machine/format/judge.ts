/**
 * The judgement of one entry during a walk, shared by the hot walker and by walkers that go one
 * level at a time. Each format describes itself as masks and small tables, so that one function
 * without a branch on the format judges all of them: the walk's call sites stay monomorphic.
 *
 * Sources: Intel SDM vol. 3, "Paging" (4.5, 4.6, 4.7) and "The Extended Page Table Mechanism"
 * (28.3.2, 28.3.3); AMD APM vol. 2, 5.3, 5.6 and 15.25; of Arm and RISC-V see arm-stage2.ts and
 * riscv-g.ts. Leaves out: memory types as a result of a
 * walk, protection keys, shadow stacks, mode-based execute control, PAE and 32-bit paging.
 */
import { defect } from '../../base/assert.ts';
import { type Field, mask } from './fields.ts';
import type { Geometry, TableFormat } from './format.ts';

/** Rights of an entry, or the AND over a walk. Bits 2:0 are those of an EPT entry. */
export const RIGHT_READ = 1;
export const RIGHT_WRITE = 2;
export const RIGHT_EXECUTE = 4;
export const RIGHT_USER = 8;
export const ALL_RIGHTS = 15;

/** A verdict is negative, or the entry's rights with LEAF for a leaf. */
export const LEAF = 16;
export const NOT_PRESENT = -1;
export const RESERVED = -2;

export const READ = 0;
export const WRITE = 1;
export const EXECUTE = 2;
export type Access = 0 | 1 | 2;

export const SUPERVISOR = 0;
export const USER = 1;
export type Privilege = 0 | 1;

/** Outcomes of a walk: a number so that the hot path compares, never allocates. */
export const OK = 0;
/** An entry on the way was not present. */
export const ABSENT = 1;
/** An entry was present and malformed: #PF with RSVD, or an EPT misconfiguration. */
export const MALFORMED = 2;
/** All entries were present and well formed, and together do not permit the access. */
export const DENIED = 3;
/** The memory has no such word: the dump is incomplete; never happens on a machine. */
export const HOLE = 4;
/** The leaf lacks an accessed or dirty flag that hardware does not set here. */
export const UNFLAGGED = 5;
/** A dirty bit would be set, and the log of such pages has no room (SDM vol. 3, 28.3.6). */
export const LOG_FULL = 6;
export type Outcome = 0 | 1 | 2 | 3 | 4 | 5 | 6;

/** Who made the access that failed: bits 7 and 8 of EPT, bits 32 and 33 of NPT. */
export type Target = 'final' | 'guest-table';

export interface JudgeRules {
  readonly geometry: Geometry;
  /** The entry is present iff one of these bits of the low half is set. */
  readonly presentMask: number;
  /** Of the low half, after `invert`: an entry above level 0 with one of these bits is a leaf. */
  readonly leafMask: number;
  /** Of the low half: bits that mean the opposite for `leafMask` and `absent`. */
  readonly invert?: number;
  /** Of the low half, after `invert`: an entry with one of these bits is no entry. */
  readonly absent?: (level: number, leaf: boolean) => number;
  /** Must-be-zero bits of a table pointer, and of a leaf, at a level. */
  readonly reserved: (level: number, leaf: boolean) => { readonly lo: number; readonly hi: number };
  /** Rights, or RESERVED, from the six bits from `rightsShift` (0) up of a present entry. */
  readonly rights: (six: number, leaf: boolean) => number;
  readonly rightsShift?: number;
  /** What four bits of the high half, from `highShift` up, take away and add. */
  readonly highRights: (four: number, leaf: boolean) => { readonly kept: number; added?: number };
  readonly highShift: number;
  /** Where the frame number lies in an entry; bits 51:12 if not given. */
  readonly frame?: Field;
  /** Of the low half; 0 when hardware does not write them. */
  readonly accessedMask: number;
  readonly dirtyMask: number;
  /** Whether entries that point to tables have an accessed flag, too (they have if not given). */
  readonly flagsTables?: boolean;
  /** Of a leaf's low half: what must be set for any access, and for a write. */
  readonly requiredMask?: number;
  readonly requiredToWrite?: number;
  readonly allows: (rights: number, access: Access, privilege: Privilege) => boolean;
  /** The code that the machine reports for a failed walk. */
  readonly code: (failure: Failure) => number;
}

export interface Failure {
  readonly outcome: Outcome;
  readonly access: Access;
  readonly privilege: Privilege;
  /** AND over the entries read, the failing one included; 0 after an absent entry. */
  readonly rights: number;
  readonly target: Target;
}

/** A table format that a walker can read. */
export interface WalkedFormat extends TableFormat {
  readonly judge: Judge;
}

const LOW_SIX = 0x3f;
const FOUR = 0xf;
/** The frame number of x86's formats. */
const FRAME: Field = [51, 12];
const PRIVILEGE_SHIFT = 4;
const ACCESS_SHIFT = 5;

export class Judge {
  readonly geometry: Geometry;
  readonly accessedMask: number;
  readonly dirtyMask: number;
  /** Of entries that point to tables. */
  readonly tableAccessedMask: number;
  readonly requiredMask: number;
  readonly requiredToWrite: number;
  readonly code: (failure: Failure) => number;
  readonly #presentMask: number;
  readonly #leafMask: number;
  readonly #invert: number;
  readonly #rightsShift: number;
  readonly #highShift: number;
  readonly #frameShift: number;
  readonly #upperMask: number;
  readonly #upperUnit: number;
  /** Indexed by 2 * level + leaf. */
  readonly #absent: Int32Array;
  /** Indexed by 2 * level + leaf. */
  readonly #reservedLo: Int32Array;
  readonly #reservedHi: Int32Array;
  /** Frame bits of the low half, by 2 * level + leaf: a huge leaf's low bits are no address. */
  readonly #frameLo: Int32Array;
  /** Rights or RESERVED by six bits, leaves in the second half. */
  readonly #rights: Int8Array;
  /** By four bits of the high half, leaves in the second half. */
  readonly #kept: Uint8Array;
  readonly #added: Uint8Array;
  /** 1 where an access is allowed, by access, privilege and rights. */
  readonly #allowed: Uint8Array;

  constructor(rules: JudgeRules) {
    const { levels, indexBits } = rules.geometry;
    if (levels < 1 || levels > 5 || indexBits < 1 || indexBits > 9) {
      defect('Judge', `no geometry of ${levels} levels and ${indexBits} index bits`);
    }
    this.geometry = rules.geometry;
    this.accessedMask = rules.accessedMask;
    this.dirtyMask = rules.dirtyMask;
    this.code = rules.code;
    this.#presentMask = rules.presentMask;
    this.#leafMask = rules.leafMask;
    this.#invert = rules.invert ?? 0;
    this.#rightsShift = rules.rightsShift ?? 0;
    this.#highShift = rules.highShift;
    this.tableAccessedMask = rules.flagsTables === false ? 0 : rules.accessedMask;
    this.requiredMask = rules.requiredMask ?? 0;
    this.requiredToWrite = rules.requiredToWrite ?? 0;
    const [highest, lowestOfFrame] = rules.frame ?? FRAME;
    this.#frameShift = lowestOfFrame;
    this.#upperMask = mask(highest, 32).hi;
    this.#upperUnit = 2 ** (32 - lowestOfFrame);
    this.#absent = new Int32Array(2 * levels);
    this.#reservedLo = new Int32Array(2 * levels);
    this.#reservedHi = new Int32Array(2 * levels);
    this.#frameLo = new Int32Array(2 * levels);
    for (let level = 0; level < levels; level++) {
      for (const leaf of [0, 1]) {
        const { lo, hi } = rules.reserved(level, leaf === 1);
        this.#reservedLo[2 * level + leaf] = lo;
        this.#reservedHi[2 * level + leaf] = hi;
        this.#absent[2 * level + leaf] = rules.absent?.(level, leaf === 1) ?? 0;
        const lowest = lowestOfFrame + (leaf === 1 ? level * indexBits : 0);
        this.#frameLo[2 * level + leaf] = lowest > 31 ? 0 : -(2 ** lowest);
      }
    }
    this.#rights = new Int8Array(2 * (LOW_SIX + 1));
    for (let low = 0; low <= LOW_SIX; low++) {
      this.#rights[low] = rules.rights(low, false);
      this.#rights[low + LOW_SIX + 1] = rules.rights(low, true);
    }
    this.#kept = new Uint8Array(2 * (FOUR + 1));
    this.#added = new Uint8Array(2 * (FOUR + 1));
    for (let four = 0; four <= FOUR; four++) {
      for (const leaf of [0, 1]) {
        const { kept, added = 0 } = rules.highRights(four, leaf === 1);
        this.#kept[four + leaf * (FOUR + 1)] = kept;
        this.#added[four + leaf * (FOUR + 1)] = added;
      }
    }
    this.#allowed = new Uint8Array(3 << ACCESS_SHIFT);
    for (const access of [READ, WRITE, EXECUTE] as const) {
      for (const privilege of [SUPERVISOR, USER] as const) {
        for (let rights = 0; rights <= ALL_RIGHTS; rights++) {
          const at = (access << ACCESS_SHIFT) | (privilege << PRIVILEGE_SHIFT) | rights;
          this.#allowed[at] = rules.allows(rights, access, privilege) ? 1 : 0;
        }
      }
    }
  }

  /** NOT_PRESENT, RESERVED, or the rights of the entry, with LEAF for a leaf. Pure. */
  judge(lo: number, hi: number, level: number): number {
    if ((lo & this.#presentMask) === 0) return NOT_PRESENT;
    const told = lo ^ this.#invert;
    const leaf = level === 0 || (told & this.#leafMask) !== 0 ? 1 : 0;
    const at = 2 * level + leaf;
    if ((told & this.#absent[at]) !== 0) return NOT_PRESENT;
    if (((lo & this.#reservedLo[at]) | (hi & this.#reservedHi[at])) !== 0) return RESERVED;
    const rights = this.#rights[(leaf << 6) | ((lo >>> this.#rightsShift) & LOW_SIX)];
    if (rights < 0) return RESERVED;
    const four = ((hi >>> this.#highShift) & FOUR) | (leaf << 4);
    return (rights & this.#kept[four]) | this.#added[four] | (leaf << 4);
  }

  /** Frame of the table that a well-formed entry points to. Pure. */
  tableFrame(lo: number, hi: number): number {
    const upper = hi & this.#upperMask;
    const low = lo >>> this.#frameShift;
    return upper === 0 ? low : upper * this.#upperUnit + low;
  }

  /** Frame that a well-formed entry points to: of the next table, or the leaf's first. Pure. */
  frame(lo: number, hi: number, level: number, leaf: boolean): number {
    const low = (lo & this.#frameLo[2 * level + (leaf ? 1 : 0)]) >>> this.#frameShift;
    const upper = hi & this.#upperMask;
    return upper === 0 ? low : upper * this.#upperUnit + low;
  }

  /** Whether the AND of the rights over all entries of a walk permits the access. Pure. */
  allows(rights: number, access: number, privilege: number): boolean {
    return this.#allowed[(access << ACCESS_SHIFT) | (privilege << PRIVILEGE_SHIFT) | rights] === 1;
  }
}
