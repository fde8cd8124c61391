/**
 * RISC-V G-stage tables, Sv39x4 and Sv48x4: codec and judgement. The root is four times as large as
 * other tables: two index bits more. Levels are the manual's own (0 holds 4 KiB pages).
 *
 * Source: RISC-V privileged specification, "Sv39" (entries, the algorithm of address translation),
 * "Guest Physical Address Translation" (Sv39x4, Sv48x4: every access is a user access, wide root),
 * hgatp, mcause (20, 21, 23), mtval2.
 * Leaves out: Svnapot and Svpbmt (their bits are reserved), Sv32x4 and Sv57x4, PMP, big-endian
 * tables (mstatus.SBE), MXR and SUM (VS-stage matters), the two-stage walk under vsatp.
 */
import { defect } from '../../base/assert.ts';
import { assertDisjoint, type Field, highBit, lowBit, mask } from './fields.ts';
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
  EXECUTE,
  type Failure,
  Judge,
  READ,
  RESERVED,
  RIGHT_EXECUTE,
  RIGHT_READ,
  RIGHT_USER,
  RIGHT_WRITE,
  type WalkedFormat,
} from './judge.ts';

export interface RiscvGParams {
  /** Hardware sets A and D (Svadu); without it an unset bit faults (Svade). */
  readonly hardwareAD: boolean;
}

export const RISCV_G_DEFAULTS: RiscvGParams = { hardwareAD: true };

const FIELDS = {
  valid: [0, 0],
  read: [1, 1],
  write: [2, 2],
  execute: [3, 3],
  user: [4, 4],
  global: [5, 5],
  accessed: [6, 6],
  dirty: [7, 7],
  software: [9, 8],
  frame: [53, 10],
  reserved: [60, 54],
  memoryType: [62, 61],
  napot: [63, 63],
} satisfies Record<string, Field>;
assertDisjoint('riscv-g', FIELDS);

const VALID = lowBit(FIELDS.valid);
const READABLE = lowBit(FIELDS.read);
const WRITABLE = lowBit(FIELDS.write);
const EXECUTABLE = lowBit(FIELDS.execute);
const USER = lowBit(FIELDS.user);
const ACCESSED = lowBit(FIELDS.accessed);
const DIRTY = lowBit(FIELDS.dirty);
/** RSW: left to software. */
const HOST_WRITABLE = lowBit([8, 8]);
const MMU_WRITABLE = lowBit([9, 9]);
const MAPS = READABLE | WRITABLE | EXECUTABLE;
const RESERVED_HIGH =
  mask(FIELDS.reserved[0], FIELDS.reserved[1]).hi |
  mask(FIELDS.memoryType[0], FIELDS.memoryType[1]).hi |
  highBit(FIELDS.napot);
const FRAME_SHIFT = FIELDS.frame[1];
const FRAMES_PER_HALF = 2 ** (32 - FRAME_SHIFT);
const FRAME_WIDTH = FIELDS.frame[0] - FRAME_SHIFT + 1;
/** Ours: an invalid entry with both software bits. */
const FROZEN: Word64 = { lo: HOST_WRITABLE | MMU_WRITABLE, hi: 0 };

/** Causes of guest-page faults. */
const FETCH_FAULT = 20;
const LOAD_FAULT = 21;
const STORE_FAULT = 23;

function rightsOf(six: number, leaf: boolean): number {
  const maps = six & MAPS;
  if (!leaf) return (six & USER) === 0 ? ALL_RIGHTS : RESERVED;
  if (maps === 0) return RESERVED; // a pointer where no table can follow
  if ((maps & WRITABLE) !== 0 && (maps & READABLE) === 0) return RESERVED;
  return (
    ((maps & READABLE) !== 0 ? RIGHT_READ : 0) |
    ((maps & WRITABLE) !== 0 ? RIGHT_WRITE : 0) |
    ((maps & EXECUTABLE) !== 0 ? RIGHT_EXECUTE : 0) |
    ((six & USER) !== 0 ? RIGHT_USER : 0)
  );
}

/** Reserved bits; a superpage is aligned to its size; a pointer has no D and no A. */
function reservedAt({ indexBits }: Geometry, level: number, leaf: boolean): Word64 {
  if (!leaf) return { lo: ACCESSED | DIRTY, hi: RESERVED_HIGH };
  const low = mask(FRAME_SHIFT - 1 + indexBits * level, FRAME_SHIFT);
  return { lo: low.lo, hi: low.hi | RESERVED_HIGH };
}

/** Every access at the G-stage is a user access. */
function allows(rights: number, access: Access): boolean {
  if ((rights & RIGHT_USER) === 0) return false;
  if (access === READ) return (rights & RIGHT_READ) !== 0;
  return (rights & (access === EXECUTE ? RIGHT_EXECUTE : RIGHT_WRITE)) !== 0;
}

function causeOf({ access }: Failure): number {
  if (access === READ) return LOAD_FAULT;
  return access === EXECUTE ? FETCH_FAULT : STORE_FAULT;
}

function riscvJudge(geometry: Geometry, params: RiscvGParams): Judge {
  return new Judge({
    geometry,
    presentMask: VALID,
    leafMask: MAPS,
    reserved: (level, leaf) => reservedAt(geometry, level, leaf),
    rights: rightsOf,
    highRights: () => ({ kept: ALL_RIGHTS }),
    highShift: 0,
    frame: FIELDS.frame,
    accessedMask: params.hardwareAD ? ACCESSED : 0,
    dirtyMask: params.hardwareAD ? DIRTY : 0,
    flagsTables: false,
    requiredMask: params.hardwareAD ? 0 : ACCESSED,
    requiredToWrite: params.hardwareAD ? 0 : DIRTY,
    allows,
    code: causeOf,
  });
}

function frameWord(name: string, pfn: number, multiple: number): Word64 {
  if (!Number.isInteger(pfn) || pfn < 0 || pfn >= 2 ** FRAME_WIDTH) {
    defect(name, `frame ${pfn} has more than ${FRAME_WIDTH} bits`);
  }
  if (pfn % multiple !== 0) defect(name, `frame ${pfn} is not a multiple of ${multiple}`);
  const lo = ((pfn % FRAMES_PER_HALF) * 2 ** FRAME_SHIFT) | 0;
  return { lo, hi: Math.floor(pfn / FRAMES_PER_HALF) };
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

export function riscvG(geometry: Geometry, given: Partial<RiscvGParams> = {}): WalkedFormat {
  const judge = riscvJudge(geometry, { ...RISCV_G_DEFAULTS, ...given });

  const decode = (word: Word64, level: number): Entry => {
    const { lo, hi } = word;
    if ((lo & VALID) === 0) {
      const frozen = lo === FROZEN.lo && hi === FROZEN.hi;
      return { kind: frozen ? 'frozen' : 'empty', lo, hi, ...NOTHING };
    }
    const isLeaf = level === 0 || (lo & MAPS) !== 0;
    const pfn = judge.frame(lo, hi, level, isLeaf);
    const software = {
      hostWritable: (lo & HOST_WRITABLE) !== 0,
      mmuWritable: (lo & MMU_WRITABLE) !== 0,
    };
    if (!isLeaf) return { kind: 'table', lo, hi, ...NOTHING, ...EVERYTHING, ...software, pfn };
    return {
      kind: 'leaf',
      lo,
      hi,
      pfn,
      read: (lo & READABLE) !== 0,
      write: (lo & WRITABLE) !== 0,
      execute: (lo & EXECUTABLE) !== 0,
      user: (lo & USER) !== 0,
      accessed: (lo & ACCESSED) !== 0,
      dirty: (lo & DIRTY) !== 0,
      ...software,
    };
  };

  const leaf = (spec: LeafSpec): Entry => {
    const { rights, level } = spec;
    if (rights.write && !rights.read) defect('riscv-g.leaf', 'write without read is reserved');
    const frame = frameWord('riscv-g.leaf', spec.pfn, pagesAt(geometry, level));
    const lo =
      frame.lo |
      VALID |
      (rights.read ? READABLE : 0) |
      (rights.write ? WRITABLE : 0) |
      (rights.execute ? EXECUTABLE : 0) |
      (rights.user ? USER : 0) |
      (spec.accessed ? ACCESSED : 0) |
      (spec.dirty ? DIRTY : 0) |
      (spec.hostWritable ? HOST_WRITABLE : 0) |
      (spec.mmuWritable ? MMU_WRITABLE : 0);
    return decode({ lo, hi: frame.hi }, level);
  };

  const table = (pfn: number): Entry => {
    const frame = frameWord('riscv-g.table', pfn, 1);
    return decode({ lo: frame.lo | VALID, hi: frame.hi }, 1);
  };

  return {
    id: 'riscv-g',
    geometry,
    judge,
    empty: Object.freeze(decode({ lo: 0, hi: 0 }, 0)),
    frozen: Object.freeze(decode(FROZEN, 0)),
    table,
    leaf,
    decode,
  };
}
