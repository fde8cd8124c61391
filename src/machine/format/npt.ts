/**
 * Nested page tables of SVM: long-mode entries under the rules of nesting. Every access at the
 * nested level is a user access, so every entry on the way needs U/S; faults become #VMEXIT(NPF).
 *
 * Source: AMD APM vol. 2, 15.25.4 to 15.25.6 (nested paging, NPF and EXITINFO1). The value of
 * absent entries: Linux KVM, arch/x86/kvm/mmu/spte.h (bit 63 set also where NPT does not need it).
 * Leaves out: guest mode execute trap, SNP's RMP checks and bits 34 to 37 of EXITINFO1, nested
 * supervisor shadow stacks, and PAE or 32-bit hosts.
 */
import type { Geometry } from './format.ts';
import { Judge, USER, type WalkedFormat } from './judge.ts';
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
  return longModeFormat(geometry, params, { id: 'npt', judge, empty: EMPTY });
}
