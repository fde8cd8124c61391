/**
 * A shadow page (SP): the words of its header, and the role that tells SPs of one guest table
 * apart.
 *
 * Source: arch/x86/include/asm/kvm_host.h, union kvm_mmu_page_role;
 * arch/x86/kvm/mmu/mmu_internal.h, struct kvm_mmu_page (facts; primer/x86.md 3.1).
 * Leaves out: quadrants and 4-byte entries (32-bit guests), smm, passthrough.
 */
import { atomic, atomicLine, layout, plain, plainLine } from '../../../runtime/layout.ts';

export const ShadowPage = layout('shadow.page', {
  next: plainLine,
  gfn: plain,
  /** Level in the lowest bits, and what else tells SPs of a guest table apart (`Role`). */
  role: plain,
  /** Frame of the entries that hardware walks. */
  table: plain,
  /** Frame with the guest page that each leaf maps, plus one. */
  mapped: plain,
  /** Parent entries that link this page. */
  parents: plain,
});

/**
 * What an SP needs besides if it may be out of step with its guest table, follow writes, or be
 * zapped by age. The bits of children that are out of step come behind.
 */
export const ShadowState = layout('shadow.state', {
  /** 1: its guest table may be written to without an exit. */
  unsync: atomicLine,
  /** Entries below which something is out of step. */
  unsyncChildren: atomic,
  /** Emulated writes to the guest table since it was used last. */
  writes: atomic,
  /** Users of this SP as a root. */
  roots: plain,
  generation: plain,
  /** The list of SPs that are no ghosts, by age. */
  newer: plain,
  older: plain,
});

const STATE = ShadowPage.bytes;
const BITMAP = STATE + ShadowState.bytes;
/** Bits in one word of the bitmap: a plain word holds a number below 2^53. */
export const BITMAP_BITS = 32;

/** Offsets of the second part of a header. */
export const StateAt = {
  unsync: STATE + ShadowState.at.unsync,
  unsyncChildren: STATE + ShadowState.at.unsyncChildren,
  writes: STATE + ShadowState.at.writes,
  roots: STATE + ShadowState.at.roots,
  generation: STATE + ShadowState.at.generation,
  newer: STATE + ShadowState.at.newer,
  older: STATE + ShadowState.at.older,
} as const;

/** Offset of the word of the bitmap that has the bit of an entry. */
export function bitmapAt(index: number): number {
  return BITMAP + Math.floor(index / BITMAP_BITS) * 8;
}

/** Bytes of a header with its second part, for tables of so many entries. */
export function fullBytes(entries: number): number {
  const bytes = BITMAP + Math.ceil(entries / BITMAP_BITS) * 8;
  return Math.ceil(bytes / 64) * 64;
}

/** Rights that a guest's tables give, in the order of KVM's ACC_ masks. */
export const ACCESS_EXECUTE = 1;
export const ACCESS_WRITE = 2;
export const ACCESS_USER = 4;
export const ACCESS_ALL = 7;

const LEVEL_BITS = 15;
const DIRECT = 1 << 4;
const ACCESS_SHIFT = 5;
const INVALID = 1 << 8;
const NXE = 1 << 9;
const WRITE_PROTECT = 1 << 10;
const SMEP_WITHOUT_WP = 1 << 11;
const SMAP_WITHOUT_WP = 1 << 12;

/** The paging mode of a guest as far as it tells SPs apart. */
export interface PagingMode {
  /** EFER.NXE, CR0.WP, CR4.SMEP, CR4.SMAP. */
  readonly nxe: boolean;
  readonly wp: boolean;
  readonly smep: boolean;
  readonly smap: boolean;
}

export const Role = {
  /** Role bits of a mode, to which level and the rest are added. */
  ofMode({ nxe, wp, smep, smap }: PagingMode): number {
    return (
      (nxe ? NXE : 0) |
      (wp ? WRITE_PROTECT : 0) |
      (smep && !wp ? SMEP_WITHOUT_WP : 0) |
      (smap && !wp ? SMAP_WITHOUT_WP : 0)
    );
  },
  /** The role of an SP of `level` in the mode of `like`. */
  of(like: number, level: number, kind: 'direct' | 'mirror', access: number): number {
    const mode = like & (NXE | WRITE_PROTECT | SMEP_WITHOUT_WP | SMAP_WITHOUT_WP);
    return mode | level | (kind === 'direct' ? DIRECT : 0) | (access << ACCESS_SHIFT);
  },
  level: (role: number): number => role & LEVEL_BITS,
  isDirect: (role: number): boolean => (role & DIRECT) !== 0,
  access: (role: number): number => (role >> ACCESS_SHIFT) & ACCESS_ALL,
  isInvalid: (role: number): boolean => (role & INVALID) !== 0,
  invalid: (role: number): number => role | INVALID,
} as const;

/** A role as KVM's tracepoints print it: `l1 8-byte q0 direct wux nxe ad`. */
export function roleText(role: number): string {
  const access = Role.access(role);
  const letters =
    ((access & ACCESS_WRITE) !== 0 ? 'w' : '-') +
    ((access & ACCESS_USER) !== 0 ? 'u' : '-') +
    ((access & ACCESS_EXECUTE) !== 0 ? 'x' : '-');
  const direct = Role.isDirect(role) ? ' direct' : '';
  const invalid = Role.isInvalid(role) ? ' invalid' : '';
  const nxe = (role & NXE) !== 0 ? 'nxe' : '!nxe';
  return `l${Role.level(role) + 1} 8-byte q0${direct} ${letters}${invalid} ${nxe} ad`;
}
