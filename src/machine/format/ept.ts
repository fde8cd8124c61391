/**
 * Extended page tables of VMX: codec and judgement, 4 or 5 levels.
 *
 * Source: Intel SDM vol. 3, 28.3.2 (translation, tables of the entries' formats), 28.3.3.1
 * (misconfigurations), 28.3.3.2 (violations), 28.3.3.3 (their order), 28.3.5 (accessed and dirty
 * flags), 27.2.1 (exit qualification). Software bits: Linux KVM, arch/x86/kvm/mmu/spte.h.
 * Leaves out: mode-based execute control (bit 10 is ignored), #VE, sub-page permissions,
 * shadow-stack bits, paging-write control, and KVM's access tracking without A/D bits beyond
 * keeping such an entry a leaf.
 */
import { defect } from '../../base/assert.ts';
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
  type Access,
  ALL_RIGHTS,
  DENIED,
  EXECUTE,
  type Failure,
  Judge,
  MALFORMED,
  READ,
  RESERVED,
  RIGHT_EXECUTE,
  RIGHT_READ,
  RIGHT_USER,
  RIGHT_WRITE,
  type WalkedFormat,
} from './judge.ts';
import { generationWord } from './mmio.ts';

export interface EptParams {
  /** MAXPHYADDR: address bits from here up to 51 are reserved. */
  readonly maxPhyBits: number;
  /** EPTP bit 6. */
  readonly accessDirty: boolean;
  /** IA32_VMX_EPT_VPID_CAP bit 0. */
  readonly executeOnly: boolean;
  /** IA32_VMX_EPT_VPID_CAP bit 17. */
  readonly gigabytePages: boolean;
}

export const EPT_DEFAULTS: EptParams = {
  maxPhyBits: 46,
  accessDirty: true,
  executeOnly: true,
  gigabytePages: true,
};

const FIELDS = {
  read: [0, 0],
  write: [1, 1],
  execute: [2, 2],
  memoryType: [5, 3],
  ignorePat: [6, 6],
  large: [7, 7],
  accessed: [8, 8],
  dirty: [9, 9],
  userExecute: [10, 10],
  mmuPresent: [11, 11],
  frame: [51, 12],
  hostWritable: [57, 57],
  mmuWritable: [58, 58],
  suppressVe: [63, 63],
} satisfies Record<string, Field>;
assertDisjoint('ept', FIELDS);

const PERMISSIONS = RIGHT_READ | RIGHT_WRITE | RIGHT_EXECUTE; // bits 2:0 are the rights themselves
const MEMORY_TYPE_SHIFT = FIELDS.memoryType[1];
const WRITE_BACK = 6 << MEMORY_TYPE_SHIFT;
const GOOD_MEMORY_TYPES = [0, 1, 4, 5, 6];
const IGNORE_PAT = lowBit(FIELDS.ignorePat);
const LARGE = lowBit(FIELDS.large);
const ACCESSED = lowBit(FIELDS.accessed);
const DIRTY = lowBit(FIELDS.dirty);
const MMU_PRESENT = lowBit(FIELDS.mmuPresent);
const HOST_WRITABLE = highBit(FIELDS.hostWritable);
const MMU_WRITABLE = highBit(FIELDS.mmuWritable);
const SUPPRESS_VE = highBit(FIELDS.suppressVe);
/** What KVM plants for a device's page: W and X without R, and no entry of the MMU's own. */
const MMIO = RIGHT_WRITE | RIGHT_EXECUTE;
/** KVM's value of an entry that one thread has taken out of use. */
export const FROZEN_LO = 0x5a0;
export const FROZEN_HI = SUPPRESS_VE;

/** Exit qualification of a violation. */
const LINEAR_VALID = 1 << 7;
const FINAL_ACCESS = 1 << 8;

function rightsOf(lowSix: number, leaf: boolean, executeOnly: boolean): number {
  const permissions = lowSix & PERMISSIONS;
  if ((permissions & RIGHT_READ) === 0) {
    if ((permissions & RIGHT_WRITE) !== 0) return RESERVED;
    if (permissions === RIGHT_EXECUTE && !executeOnly) return RESERVED;
  }
  if (leaf && !GOOD_MEMORY_TYPES.includes(lowSix >> MEMORY_TYPE_SHIFT)) return RESERVED;
  return permissions | RIGHT_USER;
}

function reservedAt(geometry: Geometry, params: EptParams, level: number, leaf: boolean): Word64 {
  const hi = beyondAddresses(params.maxPhyBits);
  if (!leaf) return { lo: mask(6, 3).lo, hi };
  if (level === 0) return { lo: 0, hi };
  const mayBeLarge = level === 1 || (level === 2 && params.gigabytePages);
  if (!mayBeLarge) return { lo: LARGE, hi }; // always set in what claims to be a leaf here
  return { lo: mask(11 + geometry.indexBits * level, 12).lo, hi };
}

/** Exit qualification bits 8:0 of a violation; misconfigurations have none. */
function qualification(failure: Failure, accessDirty: boolean): number {
  if (failure.outcome === MALFORMED) return 0;
  // With A/D flags on, references to guest tables are reads and writes at once (28.3.3.2).
  const access =
    failure.target === 'guest-table' && accessDirty
      ? RIGHT_READ | RIGHT_WRITE
      : accessBit(failure.access);
  const permissions = failure.outcome === DENIED ? failure.rights & PERMISSIONS : 0;
  const final = failure.target === 'final' ? FINAL_ACCESS : 0;
  return access | (permissions << 3) | LINEAR_VALID | final;
}

function accessBit(access: Access): number {
  if (access === READ) return RIGHT_READ;
  return access === EXECUTE ? RIGHT_EXECUTE : RIGHT_WRITE;
}

function eptJudge(geometry: Geometry, params: EptParams): Judge {
  return new Judge({
    geometry,
    presentMask: PERMISSIONS,
    leafMask: LARGE,
    reserved: (level, leaf) => reservedAt(geometry, params, level, leaf),
    rights: (lowSix, leaf) => rightsOf(lowSix, leaf, params.executeOnly),
    highRights: () => ({ kept: ALL_RIGHTS }),
    highShift: 0,
    accessedMask: params.accessDirty ? ACCESSED : 0,
    dirtyMask: params.accessDirty ? DIRTY : 0,
    allows: (rights, access) => (rights & accessBit(access)) !== 0,
    code: (failure) => qualification(failure, params.accessDirty),
  });
}

function mmioWord(gfn: number, generation: number): Word64 {
  const [frame, kept] = [frameBits(gfn), generationWord(generation)];
  return { lo: frame.lo | kept.lo | MMIO, hi: frame.hi | kept.hi };
}

/** An entry that maps nothing: fields in the order of `decode`, so that all are of one shape. */
function unused(kind: Entry['kind'], lo: number, hi: number, pfn: number): Entry {
  return {
    kind,
    lo,
    hi,
    pfn,
    read: false,
    write: false,
    execute: false,
    user: false,
    accessed: false,
    dirty: false,
    hostWritable: false,
    mmuWritable: false,
  };
}

const EVERYTHING: Rights = { read: true, write: true, execute: true, user: true };

function permissions(rights: Rights): number {
  return (
    (rights.read ? RIGHT_READ : 0) |
    (rights.write ? RIGHT_WRITE : 0) |
    (rights.execute ? RIGHT_EXECUTE : 0)
  );
}

export function ept(geometry: Geometry, given: Partial<EptParams> = {}): WalkedFormat {
  const params: EptParams = { ...EPT_DEFAULTS, ...given };
  const judge = eptJudge(geometry, params);

  const decode = (word: Word64, level: number): Entry => {
    const { lo, hi } = word;
    if ((lo & (PERMISSIONS | MMU_PRESENT)) === 0) {
      return unused(lo === FROZEN_LO && hi === FROZEN_HI ? 'frozen' : 'empty', lo, hi, 0);
    }
    if (level === 0 && (lo & (PERMISSIONS | MMU_PRESENT)) === MMIO) {
      return unused('mmio', lo, hi, judge.frame(lo, hi, 0, true));
    }
    const leaf = level === 0 || (lo & LARGE) !== 0;
    return {
      kind: leaf ? 'leaf' : 'table',
      lo,
      hi,
      pfn: judge.frame(lo, hi, level, leaf),
      read: (lo & RIGHT_READ) !== 0,
      write: (lo & RIGHT_WRITE) !== 0,
      execute: (lo & RIGHT_EXECUTE) !== 0,
      user: true,
      accessed: (lo & judge.accessedMask) !== 0,
      dirty: leaf && (lo & judge.dirtyMask) !== 0,
      hostWritable: (hi & HOST_WRITABLE) !== 0,
      mmuWritable: (hi & MMU_WRITABLE) !== 0,
    };
  };

  const leaf = (spec: LeafSpec): Entry => {
    const { rights, level } = spec;
    assertFrame('ept.leaf', spec.pfn, pagesAt(geometry, level), params.maxPhyBits);
    if (rights.write && !rights.read) defect('ept.leaf', 'write without read is misconfigured');
    const frame = frameBits(spec.pfn);
    const lo =
      frame.lo |
      WRITE_BACK |
      IGNORE_PAT |
      MMU_PRESENT |
      permissions(rights) |
      (level > 0 ? LARGE : 0) |
      (spec.accessed ? judge.accessedMask : 0) |
      (spec.dirty ? judge.dirtyMask : 0);
    const hi =
      frame.hi | (spec.hostWritable ? HOST_WRITABLE : 0) | (spec.mmuWritable ? MMU_WRITABLE : 0);
    return decode({ lo, hi }, level);
  };

  const table = (pfn: number, rights: Rights = EVERYTHING): Entry => {
    assertFrame('ept.table', pfn, 1, params.maxPhyBits);
    const frame = frameBits(pfn);
    const lo = frame.lo | permissions(rights) | MMU_PRESENT | judge.accessedMask;
    return decode({ lo, hi: frame.hi }, 1);
  };

  return {
    id: 'ept',
    geometry,
    judge,
    empty: Object.freeze(decode({ lo: 0, hi: SUPPRESS_VE }, 0)),
    frozen: Object.freeze(decode({ lo: FROZEN_LO, hi: FROZEN_HI }, 0)),
    table,
    leaf,
    mmio: (gfn, generation) => decode(mmioWord(gfn, generation), 0),
    decode,
  };
}
