/**
 * Arm stage 2 tables, VMSAv8-64 with the 4 KiB granule: codec, judgement, and what a change of a
 * live entry needs. Levels are numbered as everywhere here (0 holds 4 KiB pages); the manual counts
 * from the other end, its level is 3 minus ours.
 *
 * Source: Arm ARM (DDI 0487), D8.2 (translation process, concatenated tables, initial lookup), D8.3
 * (descriptor formats), D8.4 (S2AP, XN, FEAT_XNX), D8.5 (hardware update of the Access flag and
 * dirty state), D8.16 (break-before-make, FEAT_BBM), ESR_ELx fault status codes; frozen entries:
 * Linux, arch/arm64/kvm/hyp/pgtable.c (an invalid entry with bit 10).
 * Leaves out: 16 KiB and 64 KiB granules, FEAT_LPA2 (DS = 1), FEAT_S2PIE and S2POE, the MemAttr
 * encodings of FWB (ignored by a walk), stage 1, realms, nT as a reason to fault, table Access
 * flags (FEAT_HAFT), AssuredOnly.
 */
import { defect } from '../../base/assert.ts';
import {
  assertDisjoint,
  assertFrame,
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
  DENIED,
  EXECUTE,
  type Failure,
  Judge,
  MALFORMED,
  type Privilege,
  READ,
  RIGHT_EXECUTE,
  RIGHT_READ,
  RIGHT_USER,
  RIGHT_WRITE,
  SUPERVISOR,
  UNFLAGGED,
  type WalkedFormat,
} from './judge.ts';

/** FEAT_BBM: what the CPU bears when the size of a live entry changes. */
export type BbmLevel = 0 | 1 | 2;

export interface ArmStage2Params {
  /** Output address size of VTCR_EL2.PS. */
  readonly paBits: number;
  /** VTCR_EL2.HA: hardware sets the Access flag. */
  readonly accessFlag: boolean;
  /** VTCR_EL2.HD: hardware makes an entry with DBM writable on the first write. */
  readonly dirtyState: boolean;
  /** FEAT_XNX: execution is controlled for EL1 and EL0 apart. */
  readonly xnx: boolean;
  readonly bbm: BbmLevel;
}

export const ARM_STAGE2_DEFAULTS: ArmStage2Params = {
  paBits: 48,
  accessFlag: false,
  dirtyState: false,
  xnx: true,
  bbm: 0,
};

const FIELDS = {
  valid: [0, 0],
  table: [1, 1],
  memoryAttributes: [5, 2],
  readable: [6, 6],
  writable: [7, 7],
  shareability: [9, 8],
  accessed: [10, 10],
  frame: [47, 12],
  dirtyModifier: [51, 51],
  contiguous: [52, 52],
  executeNever: [54, 53],
  software: [58, 55],
} satisfies Record<string, Field>;
assertDisjoint('arm-stage2', FIELDS);

const VALID = lowBit(FIELDS.valid);
/** A table, or at level 0 a page. */
const TABLE = lowBit(FIELDS.table);
const READABLE = lowBit(FIELDS.readable);
const WRITABLE = lowBit(FIELDS.writable);
const ACCESSED = lowBit(FIELDS.accessed);
const DIRTY_MODIFIER = highBit(FIELDS.dirtyModifier);
const EXECUTE_NEVER = highBit(FIELDS.executeNever);
/** XN[1] alone: neither EL1 nor EL0. */
const NEVER = highBit([54, 54]);
/** Two of the bits that hardware leaves to software. */
const HOST_WRITABLE = highBit([55, 55]);
const MMU_WRITABLE = highBit([56, 56]);
const WRITE_BACK = 0xf << FIELDS.memoryAttributes[1];
const INNER_SHAREABLE = 3 << FIELDS.shareability[1];
/** An invalid entry that one thread has taken out of use. */
const FROZEN: Word64 = { lo: ACCESSED, hi: 0 };

/** Of six bits from MemAttr's lowest up. */
const READABLE_OF_SIX = READABLE >>> FIELDS.memoryAttributes[1];
const WRITABLE_OF_SIX = WRITABLE >>> FIELDS.memoryAttributes[1];
/** Bits 54:51 as a number of four bits. */
const FROM_DBM = FIELDS.dirtyModifier[1] - 32;
const DBM_OF_FOUR = 1;
const XN0_OF_FOUR = 4;
const XN1_OF_FOUR = 8;

/** The lowest level that cannot hold a block: with 4 KiB pages, blocks are of 2 MiB and 1 GiB. */
const FIRST_WITHOUT_BLOCKS = 3;
/** The manual's number of the level of 4 KiB pages. */
const LAST_LEVEL = 3;

/** RIGHT_EXECUTE is EL1's, RIGHT_USER stands for execution at EL0. */
function highRights(params: ArmStage2Params, four: number, leaf: boolean) {
  if (!leaf) return { kept: ALL_RIGHTS }; // stage 2 tables permit everything
  const [xn1, xn0] = [(four & XN1_OF_FOUR) !== 0, (four & XN0_OF_FOUR) !== 0];
  const isEl1 = params.xnx ? xn1 === xn0 : !xn1;
  const added = params.dirtyState && (four & DBM_OF_FOUR) !== 0 ? RIGHT_WRITE : 0;
  const kept = RIGHT_READ | RIGHT_WRITE | (isEl1 ? RIGHT_EXECUTE : 0) | (xn1 ? 0 : RIGHT_USER);
  return { kept, added };
}

function leafRights(six: number): number {
  return (
    RIGHT_EXECUTE |
    RIGHT_USER |
    ((six & READABLE_OF_SIX) !== 0 ? RIGHT_READ : 0) |
    ((six & WRITABLE_OF_SIX) !== 0 ? RIGHT_WRITE : 0)
  );
}

function allows(rights: number, access: Access, privilege: Privilege): boolean {
  if (access === READ) return (rights & RIGHT_READ) !== 0;
  if (access !== EXECUTE) return (rights & RIGHT_WRITE) !== 0;
  return (rights & (privilege === SUPERVISOR ? RIGHT_EXECUTE : RIGHT_USER)) !== 0;
}

/** An invalid descriptor, or at level 0 and above 1 GiB a reserved one, which is as good. */
function absentAt(level: number, leaf: boolean): number {
  return leaf && (level === 0 || level >= FIRST_WITHOUT_BLOCKS) ? TABLE : 0;
}

/** Fault status codes without the level. */
const STATUS: Readonly<Record<number, number>> = {
  [MALFORMED]: 0b000000,
  [ABSENT]: 0b000100,
  [UNFLAGGED]: 0b001000,
  [DENIED]: 0b001100,
};

/** Fault status code of a walk that failed at our `level`. */
export function armFaultStatus(failure: Pick<Failure, 'outcome'>, level: number): number {
  const status = STATUS[failure.outcome];
  if (status === undefined) defect('armFaultStatus', `outcome ${failure.outcome} is no fault`);
  return status | (LAST_LEVEL - level);
}

function armJudge(geometry: Geometry, params: ArmStage2Params): Judge {
  const beyond = mask(FIELDS.frame[0], params.paBits).hi;
  return new Judge({
    geometry,
    presentMask: VALID,
    invert: TABLE,
    leafMask: TABLE, // inverted: a descriptor with bit 1 clear is a block
    absent: absentAt,
    // An output address beyond PS is an address size fault; other bits are ignored.
    reserved: () => ({ lo: 0, hi: beyond }),
    rights: (six, leaf) => (leaf ? leafRights(six) : ALL_RIGHTS),
    rightsShift: FIELDS.memoryAttributes[1],
    highRights: (four, leaf) => highRights(params, four, leaf),
    highShift: FROM_DBM,
    frame: FIELDS.frame,
    accessedMask: params.accessFlag ? ACCESSED : 0,
    dirtyMask: params.dirtyState ? WRITABLE : 0,
    flagsTables: false,
    requiredMask: params.accessFlag ? 0 : ACCESSED,
    allows,
    code: (failure) => STATUS[failure.outcome] ?? 0,
  });
}

const NOTHING = {
  pfn: 0,
  read: false,
  write: false,
  execute: false,
  user: false,
  accessed: false,
  dirty: false,
  hostWritable: false,
  mmuWritable: false,
};

const EVERYTHING: Rights = { read: true, write: true, execute: true, user: true };

function decodeBy(judge: Judge, params: ArmStage2Params, word: Word64, level: number): Entry {
  const { lo, hi } = word;
  const isValid = (lo & VALID) !== 0;
  const isLeaf = level === 0 || (lo & TABLE) === 0;
  const isReserved = isLeaf && (~lo & absentAt(level, true)) !== 0;
  if (!isValid || isReserved) {
    const frozen = lo === FROZEN.lo && hi === FROZEN.hi;
    return { kind: frozen ? 'frozen' : 'empty', lo, hi, ...NOTHING };
  }
  const pfn = judge.frame(lo, hi, level, isLeaf);
  if (!isLeaf) {
    return { kind: 'table', lo, hi, ...NOTHING, ...EVERYTHING, pfn };
  }
  const rights = leafRights(lo >>> FIELDS.memoryAttributes[1]);
  const { kept, added = 0 } = highRights(params, (hi >>> FROM_DBM) & 0xf, true);
  const now = (rights & kept) | added;
  return {
    kind: 'leaf',
    lo,
    hi,
    pfn,
    read: (now & RIGHT_READ) !== 0,
    write: (now & RIGHT_WRITE) !== 0,
    execute: (now & RIGHT_EXECUTE) !== 0,
    user: true,
    accessed: (lo & ACCESSED) !== 0,
    dirty: added !== 0 && (lo & WRITABLE) !== 0,
    hostWritable: (hi & HOST_WRITABLE) !== 0,
    mmuWritable: (hi & MMU_WRITABLE) !== 0,
  };
}

export function armStage2(geometry: Geometry, given: Partial<ArmStage2Params> = {}): WalkedFormat {
  const params: ArmStage2Params = { ...ARM_STAGE2_DEFAULTS, ...given };
  if (params.dirtyState && !params.accessFlag) defect('arm-stage2', 'HD needs HA');
  const judge = armJudge(geometry, params);

  const decode = (word: Word64, level: number): Entry => decodeBy(judge, params, word, level);

  /** With HD a writable entry has DBM, and S2AP's write bit once it is dirty. */
  const writeBits = ({ rights, dirty }: LeafSpec): Word64 => {
    if (!rights.write) return { lo: 0, hi: 0 };
    if (!params.dirtyState) return { lo: WRITABLE, hi: 0 };
    return { lo: dirty ? WRITABLE : 0, hi: DIRTY_MODIFIER };
  };

  const leaf = (spec: LeafSpec): Entry => {
    const { rights, level } = spec;
    if (level >= FIRST_WITHOUT_BLOCKS) defect('arm-stage2.leaf', `no block at level ${level}`);
    assertFrame('arm-stage2.leaf', spec.pfn, pagesAt(geometry, level), params.paBits);
    const frame = frameBits(spec.pfn);
    const write = writeBits(spec);
    const lo =
      frame.lo |
      VALID |
      (level === 0 ? TABLE : 0) |
      WRITE_BACK |
      INNER_SHAREABLE |
      (rights.read ? READABLE : 0) |
      write.lo |
      (spec.accessed === false ? 0 : ACCESSED);
    const hi =
      frame.hi |
      write.hi |
      (rights.execute ? 0 : NEVER) |
      (spec.hostWritable ? HOST_WRITABLE : 0) |
      (spec.mmuWritable ? MMU_WRITABLE : 0);
    return decode({ lo, hi }, level);
  };

  const table = (pfn: number): Entry => {
    assertFrame('arm-stage2.table', pfn, 1, params.paBits);
    const frame = frameBits(pfn);
    return decode({ lo: frame.lo | VALID | TABLE, hi: frame.hi }, 1);
  };

  return {
    id: 'arm-stage2',
    geometry,
    judge,
    empty: Object.freeze(decode({ lo: 0, hi: 0 }, 0)),
    frozen: Object.freeze(decode(FROZEN, 0)),
    table,
    leaf,
    decode,
  };
}

/**
 * How the value of a live entry at `level` may become another one. `break-before-make`: invalid
 * first, and the old translation invalidated everywhere, before the new value is written. `nT`: the
 * old or new block carries the no-translation bit meanwhile (FEAT_BBM level 1). `invalidate`: the
 * value may be replaced; whoever relies on the new one invalidates afterwards (level 2: until then
 * a CPU may report a TLB conflict abort). `free`: nothing that a CPU caches is invalidated by it.
 */
export type ChangeNeeds = 'free' | 'invalidate' | 'nT' | 'break-before-make';

export function armChangeNeeds(
  format: WalkedFormat,
  level: number,
  from: Word64,
  to: Word64,
  bbm: BbmLevel,
): ChangeNeeds {
  const [before, after] = [format.decode(from, level), format.decode(to, level)];
  if (before.kind !== 'leaf' && before.kind !== 'table') return 'free';
  if (after.kind !== 'leaf' && after.kind !== 'table') return 'invalidate';
  if (before.kind !== after.kind) {
    if (bbm === 0) return 'break-before-make';
    return bbm === 1 ? 'nT' : 'invalidate';
  }
  if (before.pfn !== after.pfn) return 'break-before-make';
  if (before.kind === 'table') return 'free';
  const attributes = mask(5, 2).lo | mask(9, 8).lo; // memory type, cacheability, shareability
  if (((from.lo ^ to.lo) & attributes) !== 0) return 'break-before-make';
  const contiguous = highBit(FIELDS.contiguous);
  if (((from.hi ^ to.hi) & contiguous) !== 0) {
    if (bbm === 0) return 'break-before-make';
    return bbm === 1 ? 'nT' : 'invalidate';
  }
  const permissions = READABLE | WRITABLE | ACCESSED;
  const high = EXECUTE_NEVER | DIRTY_MODIFIER;
  const isLess = (from.lo & ~to.lo & permissions) !== 0 || (to.hi & ~from.hi & high) !== 0;
  const isOther = ((from.hi ^ to.hi) & high) !== 0 || ((from.lo ^ to.lo) & permissions) !== 0;
  return isLess || isOther ? 'invalidate' : 'free';
}
