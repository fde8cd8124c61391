/**
 * The three hypercalls of KPOP's proof of concept of 2023, between a guest hypervisor (L1) that
 * otherwise runs on emulated VMX or SVM and the host (L0).
 *
 * Source: primer/x86.md 6.0 and primer/protection.md 2.3 (MMU_LOAD_UNLOAD, MMU_MAP, MMU_UNMAP; an
 * address space is known by the VM's number in L1 and the number of its address space). How
 * registers are laid out is ours.
 */
import { defect } from '../base/assert.ts';

export const PocCall = {
  /** Control block, address space, 1 to load it or 0 to unload it. */
  loadUnload: 0x180,
  /** Address space, L2 page, L1 page: all rights. */
  map: 0x181,
  /** Address space, first L2 page, pages. On return no access of L2 uses them. */
  unmap: 0x182,
} as const;

export const PocStatus = {
  ok: 0,
  /** The L1 page is leaving: nothing is mapped, L2 may try again. */
  again: 1,
  /** No such control block or address space is loaded, or another is. */
  unknown: 2,
  /** No such page of L2, or not so many. */
  invalid: 3,
  /** The L1 page is no memory of L1. */
  fault: 4,
  /** Another L1 page is mapped there. */
  busy: 5,
  /** No room for one more control block or address space. */
  full: 6,
} as const;

/** Address spaces of one VM: one, and one for system management mode. */
const SPACES_PER_VM = 2;

/** Names an address space: `vm` as L1 numbers its VMs, `as` as KVM does (`as_id`). */
export function packSpace(vm: number, as: number): number {
  if (as >= SPACES_PER_VM) defect('packSpace', `address space ${as}`);
  return vm * SPACES_PER_VM + as;
}
