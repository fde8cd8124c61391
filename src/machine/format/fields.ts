/**
 * Bit fields of 64-bit entries, as masks of two 32-bit halves, and the proof that fields declared
 * for one format do not overlap. The proof runs when a format's module loads, so that a wrong
 * layout cannot reach a machine.
 *
 * Source: none; arithmetic. Leaves out: fields wider than one entry.
 */
import { defect } from '../../base/assert.ts';
import { power } from '../../base/bits.ts';
import { FRAME_BYTES } from '../memory.ts';
import type { Word64 } from './format.ts';

/** A field's highest and lowest bit number. */
export type Field = readonly [high: number, low: number];

const HALF = 32;
/** Frame numbers that bits 31:12 of an entry hold. */
export const FRAMES_PER_HALF = 2 ** HALF / FRAME_BYTES;
/** Bits 51:32 of an entry, in its high half. */
export const HIGH_FRAME_BITS = 0xfffff;

function halfMask(high: number, low: number): number {
  if (high < low) return 0;
  const width = high - low + 1;
  return width >= HALF ? -1 : ((2 ** width - 1) << low) | 0;
}

/** The mask of bits `high` to `low`; empty when `high < low`. */
export function mask(high: number, low: number): Word64 {
  return {
    lo: halfMask(Math.min(high, HALF - 1), low),
    hi: halfMask(high - HALF, Math.max(low - HALF, 0)),
  };
}

/** The mask of one bit of the low half. */
export function lowBit(field: Field): number {
  const { lo, hi } = mask(field[0], field[1]);
  if (hi !== 0) defect('lowBit', `bit ${field[0]} lies in the high half`);
  return lo;
}

/** The mask of one field of the high half. */
export function highBit(field: Field): number {
  const { lo, hi } = mask(field[0], field[1]);
  if (lo !== 0) defect('highBit', `bit ${field[1]} lies in the low half`);
  return hi;
}

/** Fails when two fields of a layout share a bit or leave the 64 bits of an entry. */
export function assertDisjoint(layout: string, fields: Readonly<Record<string, Field>>): void {
  const owner = new Map<number, string>();
  for (const [name, [high, low]] of Object.entries(fields)) {
    if (low < 0 || high > 63 || high < low) defect(layout, `field ${name} is bits ${high}:${low}`);
    for (let bit = low; bit <= high; bit++) {
      const other = owner.get(bit);
      if (other !== undefined) defect(layout, `bit ${bit} belongs to ${other} and to ${name}`);
      owner.set(bit, name);
    }
  }
}

/** Reserved bits of every entry: address bits from MAXPHYADDR up to 51. */
export function beyondAddresses(maxPhyBits: number): number {
  if (!Number.isInteger(maxPhyBits) || maxPhyBits < HALF || maxPhyBits > 52) {
    defect('beyondAddresses', `MAXPHYADDR ${maxPhyBits} is not 32 to 52`);
  }
  return mask(51, maxPhyBits).hi;
}

/** A frame number as bits 51:12 of an entry. */
export function frameBits(pfn: number): Word64 {
  return {
    lo: ((pfn % FRAMES_PER_HALF) * FRAME_BYTES) | 0,
    hi: Math.floor(pfn / FRAMES_PER_HALF),
  };
}

/** The frame number in bits 51:12 of an entry. */
export function frameOf(lo: number, hi: number): number {
  return (hi & HIGH_FRAME_BITS) * FRAMES_PER_HALF + (lo >>> 12);
}

/** Fails when a frame cannot stand in a leaf at `level`, or exceeds the machine's addresses. */
export function assertFrame(where: string, pfn: number, align: number, maxPhyBits: number): void {
  if (!Number.isSafeInteger(pfn) || pfn < 0 || pfn * FRAME_BYTES >= power(maxPhyBits)) {
    defect(where, `frame ${pfn} is not below ${maxPhyBits} bits of address`);
  }
  if (pfn % align !== 0) defect(where, `frame 0x${pfn.toString(16)} is not a multiple of ${align}`);
}
