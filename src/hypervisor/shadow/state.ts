/**
 * What a hypervisor keeps for a guest whose own long-mode tables it shadows: KVM without EPT or
 * NPT.
 *
 * Source: arch/x86/kvm/mmu/mmu.c (facts; primer/x86.md section 3).
 */
import type { Judge } from '../../machine/format/judge.ts';
import type { RwLock } from '../../sync/rwlock.ts';
import type { AnonymousBacking } from '../backing/anonymous.ts';
import type { PageRange } from '../mmu/common.ts';
import type { ShadowMmu } from '../mmu/shadow/mmu.ts';
import type { GuestTables } from '../mmu/shadow/tables.ts';
import type { Vcpu, Vm } from '../vcpu.ts';

/** Roots that a vCPU keeps besides the one it runs on. */
export const PREVIOUS_ROOTS = 3;

export interface ShadowVm {
  readonly vm: Vm;
  readonly mmu: ShadowMmu;
  readonly backing: AnonymousBacking;
  readonly tables: GuestTables;
  /** Judges entries of the guest's tables. */
  readonly judge: Judge;
  /** Role bits of the guest's paging mode. */
  readonly mode: number;
  /** MmuWords: the lock, and the invalidation sequence. */
  readonly words: number;
  readonly lock: RwLock;
  readonly memory: readonly PageRange[];
  /** Whether a leaf table may be written to without an exit until it is synced. */
  readonly unsync: 'on' | 'off';
  /** Word: rises when a root in use becomes invalid; atomic. */
  readonly reload: number;
  readonly vcpus: ShadowVcpu[];
}

/** A root of the shadow: the SP and what it is the root for. */
export interface ShadowRoot {
  /** Header of the SP; 0 = none. */
  readonly page: number;
  /** Frame that hardware walks. */
  readonly table: number;
  /** Guest frame in CR3, and the PCID beside it; -1: the guest has no paging. */
  readonly gfn: number;
  readonly pcid: number;
}

export const NO_ROOT: ShadowRoot = { page: 0, table: 0, gfn: -2, pcid: 0 };

/** Private to the vCPU's thread. */
export interface ShadowVcpu {
  root: ShadowRoot;
  readonly previous: ShadowRoot[];
  /** Value of `reload` when the roots were last looked at. */
  reloaded: number;
  /** Before the next entry: sync the root, and flush what the CPU has cached of it. */
  needsSync: boolean;
  needsFlush: boolean;
  /** Words of a page that an emulated REP STOS has written so far, and which page. */
  stos: { gfn: number; words: number };
}

export function newShadowVcpu(): ShadowVcpu {
  return {
    root: NO_ROOT,
    previous: Array.from({ length: PREVIOUS_ROOTS }, () => NO_ROOT),
    reloaded: 0,
    needsSync: false,
    needsFlush: false,
    stos: { gfn: -1, words: 0 },
  };
}

export function shadowOf(vm: ShadowVm, v: Vcpu): ShadowVcpu {
  return vm.vcpus[v.index]!;
}
