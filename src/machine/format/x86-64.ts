/**
 * Long-mode page tables, 4 or 5 levels: codec and judgement. NPT shares the codec (npt.ts).
 *
 * Source: Intel SDM vol. 3, 4.5 (entries), 4.6 (access rights), 4.7 (page-fault error code), 4.8
 * (accessed and dirty flags), 4.1.3 and 4.1.4 (WP, SMEP, SMAP, NXE, MAXPHYADDR); AMD APM vol. 2,
 * 5.3 and 5.6. Software bits: Linux KVM, arch/x86/kvm/mmu/spte.h.
 * Leaves out: protection keys, shadow stacks, LASS, HLAT, the PAT memory type, PCD/PWT, the global
 * bit, and EFLAGS.AC (SMAP acts as with AC = 0).
 */
import {
  assertDisjoint,
  assertFrame,
  beyondAddresses,
  type Field,
  frameBits,
  highBit,
  lowBit,
  mask,
} from './fields.ts';
import {
  type Entry,
  type Geometry,
  type LeafSpec,
  pagesAt,
  type Rights,
  type Word64,
} from './format.ts';
import {
  ABSENT,
  type Access,
  ALL_RIGHTS,
  EXECUTE,
  type Failure,
  Judge,
  type JudgeRules,
  MALFORMED,
  type Privilege,
  READ,
  RIGHT_EXECUTE,
  RIGHT_READ,
  RIGHT_USER,
  RIGHT_WRITE,
  USER,
  type WalkedFormat,
  WRITE,
} from './judge.ts';

export interface LongModeParams {
  /** MAXPHYADDR: address bits from here up to 51 are reserved. */
  readonly maxPhyBits: number;
  /** EFER.NXE; without it bit 63 is reserved. */
  readonly nxe: boolean;
  /** CR0.WP: supervisor writes obey the R/W bits. */
  readonly wp: boolean;
  /** CR4.SMEP: no supervisor fetch from user pages. */
  readonly smep: boolean;
  /** CR4.SMAP with EFLAGS.AC = 0: no supervisor data access to user pages. */
  readonly smap: boolean;
  /** CPUID 8000_0001h EDX[26]. */
  readonly gigabytePages: boolean;
  /** Whether hardware writes A and D: real processors always do. */
  readonly accessDirty: boolean;
}

export const LONG_MODE_DEFAULTS: LongModeParams = {
  maxPhyBits: 46,
  nxe: true,
  wp: true,
  smep: false,
  smap: false,
  gigabytePages: true,
  accessDirty: true,
};

const FIELDS = {
  present: [0, 0],
  write: [1, 1],
  user: [2, 2],
  writeThrough: [3, 3],
  cacheDisable: [4, 4],
  accessed: [5, 5],
  dirty: [6, 6],
  large: [7, 7],
  global: [8, 8],
  hostWritable: [9, 9],
  mmuWritable: [10, 10],
  mmuPresent: [11, 11],
  frame: [51, 12],
  protectionKey: [62, 59],
  noExecute: [63, 63],
} satisfies Record<string, Field>;
assertDisjoint('x86-64', FIELDS);

const PRESENT = lowBit(FIELDS.present);
const WRITABLE = lowBit(FIELDS.write);
const USER_BIT = lowBit(FIELDS.user);
const ACCESSED = lowBit(FIELDS.accessed);
const DIRTY = lowBit(FIELDS.dirty);
const LARGE = lowBit(FIELDS.large);
const HOST_WRITABLE = lowBit(FIELDS.hostWritable);
const MMU_WRITABLE = lowBit(FIELDS.mmuWritable);
const MMU_PRESENT = lowBit(FIELDS.mmuPresent);
const NO_EXECUTE = highBit(FIELDS.noExecute);
/** KVM's value of an entry that one thread has taken out of use: not present, bit 63 set. */
const FROZEN: Word64 = { lo: 0x5a0, hi: NO_EXECUTE };

/** Bit 63, seen as the highest of bits 63:60. */
const TOP_OF_FOUR = 8;
const NOT_EXECUTE = ALL_RIGHTS & ~RIGHT_EXECUTE;

/** Page-fault error code. */
const ERROR_PRESENT = 1 << 0;
const ERROR_WRITE = 1 << 1;
const ERROR_USER = 1 << 2;
const ERROR_RESERVED = 1 << 3;
const ERROR_FETCH = 1 << 4;

function reservedAt(
  geometry: Geometry,
  params: LongModeParams,
  level: number,
  leaf: boolean,
): Word64 {
  const hi = beyondAddresses(params.maxPhyBits) | (params.nxe ? 0 : NO_EXECUTE);
  if (!leaf || level === 0) return { lo: 0, hi };
  const mayBeLarge = level === 1 || (level === 2 && params.gigabytePages);
  if (!mayBeLarge) return { lo: LARGE, hi }; // always set in what claims to be a leaf here
  return { lo: mask(11 + geometry.indexBits * level, 13).lo, hi }; // bit 12 is PAT
}

function rightsOf(lowSix: number): number {
  return (
    RIGHT_READ |
    RIGHT_EXECUTE |
    ((lowSix & WRITABLE) !== 0 ? RIGHT_WRITE : 0) |
    ((lowSix & USER_BIT) !== 0 ? RIGHT_USER : 0)
  );
}

function allows(
  params: LongModeParams,
  rights: number,
  access: Access,
  privilege: Privilege,
): boolean {
  const userPage = (rights & RIGHT_USER) !== 0;
  if (privilege === USER && !userPage) return false;
  if (privilege !== USER && userPage && (access === EXECUTE ? params.smep : params.smap)) {
    return false;
  }
  if (access === READ) return true;
  if (access === EXECUTE) return (rights & RIGHT_EXECUTE) !== 0;
  return (rights & RIGHT_WRITE) !== 0 || (privilege !== USER && !params.wp);
}

/** The #PF error code; what an NPF reports in its low half. */
export function pageFaultCode(params: LongModeParams, failure: Failure): number {
  return (
    (failure.outcome === ABSENT ? 0 : ERROR_PRESENT) |
    (failure.outcome === MALFORMED ? ERROR_RESERVED : 0) |
    (failure.access === WRITE ? ERROR_WRITE : 0) |
    (failure.privilege === USER ? ERROR_USER : 0) |
    (failure.access === EXECUTE && (params.nxe || params.smep) ? ERROR_FETCH : 0)
  );
}

/** The judgement of long-mode entries; `npt` overrides what nesting changes. */
export function longModeRules(geometry: Geometry, params: LongModeParams): JudgeRules {
  return {
    geometry,
    presentMask: PRESENT,
    leafMask: LARGE,
    reserved: (level, leaf) => reservedAt(geometry, params, level, leaf),
    rights: rightsOf,
    highRights: (four) => ({ kept: params.nxe && four >= TOP_OF_FOUR ? NOT_EXECUTE : ALL_RIGHTS }),
    highShift: 28,
    accessedMask: params.accessDirty ? ACCESSED : 0,
    dirtyMask: params.accessDirty ? DIRTY : 0,
    allows: (rights, access, privilege) => allows(params, rights, access, privilege),
    code: (failure) => pageFaultCode(params, failure),
  };
}

export interface LongModeVariant {
  readonly id: string;
  readonly judge: Judge;
  /** What an entry without a mapping holds. */
  readonly empty: Word64;
}

/** The codec of long-mode entries around a judgement. */
export function longModeFormat(
  geometry: Geometry,
  params: LongModeParams,
  variant: LongModeVariant,
): WalkedFormat {
  const { id, judge } = variant;

  const decode = (word: Word64, level: number): Entry => {
    const { lo, hi } = word;
    const present = (lo & PRESENT) !== 0;
    const leaf = level === 0 || (lo & LARGE) !== 0;
    const frozen = lo === FROZEN.lo && hi === FROZEN.hi;
    return {
      kind: present ? (leaf ? 'leaf' : 'table') : frozen ? 'frozen' : 'empty',
      lo,
      hi,
      pfn: present ? judge.frame(lo, hi, level, leaf) : 0,
      read: present,
      write: present && (lo & WRITABLE) !== 0,
      execute: present && !(params.nxe && (hi & NO_EXECUTE) !== 0),
      user: present && (lo & USER_BIT) !== 0,
      accessed: present && (lo & ACCESSED) !== 0,
      dirty: present && leaf && (lo & DIRTY) !== 0,
      hostWritable: present && (lo & HOST_WRITABLE) !== 0,
      mmuWritable: present && (lo & MMU_WRITABLE) !== 0,
    };
  };

  const leaf = (spec: LeafSpec): Entry => {
    const { rights, level } = spec;
    assertFrame(`${id}.leaf`, spec.pfn, pagesAt(geometry, level), params.maxPhyBits);
    const frame = frameBits(spec.pfn);
    const lo =
      frame.lo |
      PRESENT |
      MMU_PRESENT |
      (rights.write ? WRITABLE : 0) |
      (rights.user ? USER_BIT : 0) |
      (level > 0 ? LARGE : 0) |
      (spec.accessed ? ACCESSED : 0) |
      (spec.dirty ? DIRTY : 0) |
      (spec.hostWritable ? HOST_WRITABLE : 0) |
      (spec.mmuWritable ? MMU_WRITABLE : 0);
    return decode({ lo, hi: frame.hi | (params.nxe && !rights.execute ? NO_EXECUTE : 0) }, level);
  };

  const table = (pfn: number, rights?: Rights): Entry => {
    assertFrame(`${id}.table`, pfn, 1, params.maxPhyBits);
    const frame = frameBits(pfn);
    const write = rights?.write === false ? 0 : WRITABLE;
    const user = rights?.user === false ? 0 : USER_BIT;
    const noExecute = params.nxe && rights?.execute === false ? NO_EXECUTE : 0;
    const lo = frame.lo | PRESENT | write | user | ACCESSED | MMU_PRESENT;
    return decode({ lo, hi: frame.hi | noExecute }, 1);
  };

  return {
    id,
    geometry,
    judge,
    empty: Object.freeze(decode(variant.empty, 0)),
    frozen: Object.freeze(decode(FROZEN, 0)),
    table,
    leaf,
    decode,
  };
}

/** Long-mode tables as an operating system uses them; an absent entry is zero. */
export function x86_64(geometry: Geometry, given: Partial<LongModeParams> = {}): WalkedFormat {
  const params: LongModeParams = { ...LONG_MODE_DEFAULTS, ...given };
  const judge = new Judge(longModeRules(geometry, params));
  return longModeFormat(geometry, params, { id: 'x86-64', judge, empty: { lo: 0, hi: 0 } });
}
