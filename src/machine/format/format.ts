/**
 * What every page-table format offers: a geometry, a codec between 64-bit words and decoded
 * entries, and a judgement of one entry during a walk. Hypervisors see entries, never halves of a
 * word.
 *
 * Geometry is a parameter (DESIGN.md law 4): machines use the manual's, small programs under
 * exploration may use one or two index bits per level with the same code.
 */
import { bitsAt, power } from '../../base/bits.ts';

export interface Geometry {
  /** Number of table levels; the root's level is `levels - 1`, level 0 holds 4 KiB leaves. */
  readonly levels: number;
  /** Index bits per level: 9 in the manuals. */
  readonly indexBits: number;
  /** Index bits of the root, where it is smaller or several concatenated tables. */
  readonly rootBits?: number;
}

export const MANUAL_4: Geometry = { levels: 4, indexBits: 9 };
export const MANUAL_5: Geometry = { levels: 5, indexBits: 9 };

/** A 64-bit word as two signed 32-bit halves. */
export interface Word64 {
  readonly lo: number;
  readonly hi: number;
}

/** What a leaf allows. In formats without a read bit, `read` is implied by presence. */
export interface Rights {
  readonly read: boolean;
  readonly write: boolean;
  readonly execute: boolean;
  /** User-mode accesses allowed; ignored by EPT. */
  readonly user: boolean;
}

/**
 * One decoded entry; immutable. `frozen` is KVM's FROZEN_SPTE: not present, owned by another
 * thread; `mmio` is malformed on purpose, so that every access to a device's page is an exit that
 * says so. `hostWritable` and `mmuWritable` are KVM's software bits (primer/x86.md 2.1).
 */
export interface Entry extends Word64, Rights {
  readonly kind: 'empty' | 'frozen' | 'table' | 'leaf' | 'mmio';
  /** Frame number that the entry points to (table or leaf); of `mmio` the page; 0 otherwise. */
  readonly pfn: number;
  readonly accessed: boolean;
  readonly dirty: boolean;
  readonly hostWritable: boolean;
  readonly mmuWritable: boolean;
}

export interface LeafSpec {
  readonly pfn: number;
  readonly level: number;
  readonly rights: Rights;
  readonly accessed?: boolean;
  readonly dirty?: boolean;
  readonly hostWritable?: boolean;
  readonly mmuWritable?: boolean;
}

/** The codec of one format: pure functions, no steps. */
export interface TableFormat {
  readonly id: string;
  readonly geometry: Geometry;
  readonly empty: Entry;
  readonly frozen: Entry;
  /** A pointer to a table; it permits everything unless told otherwise. */
  table(pfn: number, rights?: Rights): Entry;
  leaf(spec: LeafSpec): Entry;
  /**
   * The entry of level 0 for a device's page, made when the slots were of that generation
   * (`MMIO_GENERATION_BITS` of it are kept); of formats of a second stage that KVM plants it in.
   */
  mmio?(gfn: number, generation: number): Entry;
  decode(word: Word64, level: number): Entry;
}

/** Page number -> index into the table at `level`. Page numbers are below 2^52. */
export function indexAt(geometry: Geometry, page: number, level: number): number {
  const { indexBits, levels } = geometry;
  const bits = level === levels - 1 ? rootBitsOf(geometry) : indexBits;
  return bitsAt(page, indexBits * level, (1 << bits) - 1);
}

export function rootBitsOf({ indexBits, rootBits }: Geometry): number {
  return rootBits ?? indexBits;
}

/** Bits of a page number that tables translate. */
export function pageBits(geometry: Geometry): number {
  return geometry.indexBits * (geometry.levels - 1) + rootBitsOf(geometry);
}

/** Number of 4 KiB pages that one entry at `level` spans. */
export function pagesAt(geometry: Geometry, level: number): number {
  return power(geometry.indexBits * level);
}
