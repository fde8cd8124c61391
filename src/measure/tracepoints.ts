/**
 * Tracepoints by phase: how often each of KVM's events happened between two marks, in a simulated
 * run or in a recording of a real one.
 */
import { Event, Tracepoint, type TraceSink } from '../runtime/trace.ts';

/** KVM's names, by kind of event. */
export const TRACEPOINT_NAMES: Readonly<Record<number, string>> = {
  [Tracepoint.pagetableWalk]: 'kvm_mmu_pagetable_walk',
  [Tracepoint.pagingElement]: 'kvm_mmu_paging_element',
  [Tracepoint.setAccessedBit]: 'kvm_mmu_set_accessed_bit',
  [Tracepoint.setDirtyBit]: 'kvm_mmu_set_dirty_bit',
  [Tracepoint.walkerError]: 'kvm_mmu_walker_error',
  [Tracepoint.getPage]: 'kvm_mmu_get_page',
  [Tracepoint.prepareZapPage]: 'kvm_mmu_prepare_zap_page',
  [Tracepoint.syncPage]: 'kvm_mmu_sync_page',
  [Tracepoint.unsyncPage]: 'kvm_mmu_unsync_page',
  [Tracepoint.spteRequested]: 'kvm_mmu_spte_requested',
  [Tracepoint.setSpte]: 'kvm_mmu_set_spte',
  [Tracepoint.zapAllFast]: 'kvm_mmu_zap_all_fast',
  [Tracepoint.injException]: 'kvm_inj_exception',
  [Tracepoint.emulateInsn]: 'kvm_emulate_insn',
  [Tracepoint.pio]: 'kvm_pio',
  [Tracepoint.userspaceExit]: 'kvm_userspace_exit',
  [Tracepoint.unmapRange]: 'kvm_unmap_hva_range',
};

/** Events of one phase, by name. */
export interface PhaseCounts {
  /** The mark's text. */
  readonly phase: string;
  readonly counts: ReadonlyMap<string, number>;
}

/** Counts what is handed to it, from the first mark on. */
export class PhaseCounter implements TraceSink {
  readonly #phases: { phase: string; counts: Map<string, number> }[] = [];
  readonly #names: readonly string[];

  /** `names`: texts of the phases, by number. */
  constructor(names: readonly string[]) {
    this.#names = names;
  }

  event(kind: number, _cpu: number, _cycle: number, a: number): void {
    const name = TRACEPOINT_NAMES[kind];
    if (kind === Event.phase) this.mark(this.#names[a] ?? `phase ${a}`);
    else if (name !== undefined) this.count(name);
  }

  mark(phase: string): void {
    this.#phases.push({ phase, counts: new Map() });
  }

  count(name: string): void {
    const counts = this.#phases[this.#phases.length - 1]?.counts;
    counts?.set(name, (counts.get(name) ?? 0) + 1);
  }

  result(): readonly PhaseCounts[] {
    return this.#phases;
  }
}
