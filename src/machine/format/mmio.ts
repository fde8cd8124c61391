/**
 * What KVM keeps in an entry that is malformed on purpose: the guest page of a device, and the
 * generation that the slots had when nobody found the page in one of them. 19 bits of it, in bits
 * that hardware does not look at once the entry is refused.
 *
 * Source: arch/x86/kvm/mmu/spte.h (facts; primer/x86.md 2.6). Leaves out: the rights that KVM's
 * shadow MMU keeps beside them, and the bits that it moves against L1TF.
 */
import { defect } from '../../base/assert.ts';
import type { Word64 } from './format.ts';

/** Bits of a generation that an entry keeps. */
export const MMIO_GENERATION_BITS = 19;
/** Bits 10:3 hold the low part of a generation, bits 62:52 the rest. */
const LOW_BITS = 8;
const LOW_SHIFT = 3;
const HIGH_SHIFT = 52 - 32;
const LOW_MASK = 2 ** LOW_BITS - 1;
const HIGH_MASK = 2 ** (MMIO_GENERATION_BITS - LOW_BITS) - 1;

export function generationWord(generation: number): Word64 {
  if (generation < 0 || generation >= 2 ** MMIO_GENERATION_BITS) {
    defect('generationWord', `generation ${generation} has more than its bits`);
  }
  return {
    lo: (generation & LOW_MASK) << LOW_SHIFT,
    hi: (generation >>> LOW_BITS) << HIGH_SHIFT,
  };
}

/** The generation that an entry of kind `mmio` keeps. */
export function generationOf({ lo, hi }: Word64): number {
  const low = (lo >>> LOW_SHIFT) & LOW_MASK;
  return low | (((hi >>> HIGH_SHIFT) & HIGH_MASK) << LOW_BITS);
}
