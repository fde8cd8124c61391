/**
 * Nested page tables of SVM: long-mode entries under the rules of nesting. Every access at the
 * nested level is a user access, so every entry on the way needs U/S; faults become #VMEXIT(NPF).
 *
 * Source: AMD APM vol. 2, 15.25.4 to 15.25.6 (nested paging, NPF and EXITINFO1). The value of
 * absent entries: Linux KVM, arch/x86/kvm/mmu/spte.h (bit 63 set also where NPT does not need it).
 * Leaves out: guest mode execute trap, SNP's RMP checks and bits 34 to 37 of EXITINFO1, nested
 * supervisor shadow stacks, and PAE or 32-bit hosts.
 */
import { defect } from '../../base/assert.ts';
import { frameBits, highBit } from './fields.ts';
import type { Entry, Geometry, Word64 } from './format.ts';
import { Judge, USER, type WalkedFormat } from './judge.ts';
import { generationWord } from './mmio.ts';
import {
  LONG_MODE_DEFAULTS,
  type LongModeParams,
  longModeFormat,
  longModeRules,
  pageFaultCode,
} from './x86-64.ts';

export type NptParams = Omit<LongModeParams, 'smep' | 'smap' | 'wp'>;

/** EXITINFO1: which access failed. */
const FINAL_ADDRESS = 2 ** 32;
const GUEST_TABLE_WALK = 2 ** 33;

/** KVM's value of an entry without a mapping. */
const EMPTY = { lo: 0, hi: 1 << 31 };

/** What KVM plants for a device's page: present, with the highest bit of the address set. */
const PRESENT = 1;
const TOP_ADDRESS_BIT = highBit([51, 51]);
/** The same in a frame number. */
const TOP_FRAME_BIT = 2 ** (51 - 12);

export function npt(geometry: Geometry, given: Partial<NptParams> = {}): WalkedFormat {
  // Supervisor controls have no say: there is no supervisor access at the nested level.
  const params = { ...LONG_MODE_DEFAULTS, ...given, wp: true, smep: false, smap: false };
  const rules = longModeRules(geometry, params);
  const judge = new Judge({
    ...rules,
    allows: (rights, access) => rules.allows(rights, access, USER),
    code: (failure) =>
      pageFaultCode(params, { ...failure, privilege: USER }) +
      (failure.target === 'final' ? FINAL_ADDRESS : GUEST_TABLE_WALK),
  });
  const format = longModeFormat(geometry, params, { id: 'npt', judge, empty: EMPTY });
  // An address bit that processors with all 52 accept is no reserved one: KVM plants none there.
  if (params.maxPhyBits > 51) return format;
  return withMmio(format);
}

function withMmio(format: WalkedFormat): WalkedFormat {
  const decode = (word: Word64, level: number): Entry => {
    const entry = format.decode(word, level);
    const isMmio = level === 0 && entry.kind === 'leaf' && (word.hi & TOP_ADDRESS_BIT) !== 0;
    if (!isMmio) return entry;
    const { lo, hi } = word;
    return { ...format.empty, kind: 'mmio', lo, hi, pfn: entry.pfn - TOP_FRAME_BIT };
  };
  return {
    ...format,
    mmio(gfn: number, generation: number): Entry {
      if (gfn >= TOP_FRAME_BIT) defect('npt.mmio', `page ${gfn} is beyond all addresses`);
      const [frame, kept] = [frameBits(gfn), generationWord(generation)];
      return decode(
        { lo: frame.lo | kept.lo | PRESENT, hi: frame.hi | kept.hi | TOP_ADDRESS_BIT },
        0,
      );
    },
    decode,
  };
}
