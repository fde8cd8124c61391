/**
 * One physical CPU: its registers as far as memory virtualisation sees them, its TLB, and the two
 * contexts on it: the host thread and the guest that it entered, if any. Whatever level a guest is
 * of, it exits to the host: hardware knows one level.
 */
import type { Context } from '../runtime/context.ts';
import { Processor } from '../runtime/processor.ts';
import type { GuestContext, Regime } from './guest.ts';
import { RecentPages } from './recent-pages.ts';
import type { Tlb } from './tlb.ts';

/** An interrupt in flight to a CPU. `notifies`: a posted-interrupt notification for that guest. */
export interface InFlight {
  readonly at: number;
  readonly vector: number;
  readonly notifies: GuestContext | undefined;
}

export class Cpu extends Processor {
  readonly tlb: Tlb;
  host: Context | undefined;
  guest: GuestContext | undefined;
  /** Frame of the current VMCS, or of the VMCB that VMRUN named last. */
  block = 0;
  /** Arrivals not yet looked at, earliest first; ties in order of sending. */
  readonly inFlight: InFlight[] = [];
  /** What arrived while the host ran, and waits for it to unmask (or for the next VM entry). */
  latched: InFlight[] = [];
  /** Reason of the last exit, and when it happened: for the trace. */
  exitReason = 0;

  /** Where pages of the guest's plain words lie. */
  readonly recent = new RecentPages();

  // The spaces of the tags last used here, and the TLB generation in which they were asked for.
  #generation = -1;
  #tag = -1;
  #guestPhysical = 0;
  #combinedOf: Regime | undefined;
  #cr3 = -1;
  #combined = 0;

  constructor(id: number, tlb: Tlb) {
    super(id);
    this.tlb = tlb;
  }

  /** TLB space of guest-physical mappings under an EP4TA or ASID. */
  guestPhysicalSpace(tag: number): number {
    if (this.#generation !== this.tlb.generation) this.#forget();
    if (this.#tag !== tag) {
      this.#tag = tag;
      this.#guestPhysical = this.tlb.space('guest-physical', 0, 0, tag);
    }
    return this.#guestPhysical;
  }

  /** TLB space of a guest's combined mappings. */
  combinedSpace(regime: Regime): number {
    if (this.#generation !== this.tlb.generation) this.#forget();
    if (this.#combinedOf !== regime || this.#cr3 !== regime.cr3) {
      this.#combinedOf = regime;
      this.#cr3 = regime.cr3;
      this.#combined = this.tlb.space('combined', regime.vpid, regime.pcid, regime.tag);
    }
    return this.#combined;
  }

  /** After a VM entry or an invalidation: ask the TLB again. */
  #forget(): void {
    this.#generation = this.tlb.generation;
    this.#tag = -1;
    this.#combinedOf = undefined;
    this.#cr3 = -1;
  }

  /** A VM entry may have changed any tag. */
  newRegime(): void {
    this.#generation = -1;
    this.tlb.changes++;
  }

  /** Queues an interrupt that arrives at cycle `at`. */
  arrive(interrupt: InFlight): void {
    let i = this.inFlight.length;
    while (i > 0 && this.inFlight[i - 1]!.at > interrupt.at) i--;
    this.inFlight.splice(i, 0, interrupt);
    this.interruptAt = this.inFlight[0]!.at;
    if (this.horizon > this.interruptAt) this.horizon = this.interruptAt;
  }

  /** Interrupts this CPU by `vector` at cycle `at` and no more when it was armed for; 0: not. */
  armTimer(at: number, vector: number): void {
    const armed = this.inFlight.findIndex((each) => each.vector === vector);
    if (armed >= 0) this.inFlight.splice(armed, 1);
    this.interruptAt = this.inFlight[0]?.at ?? Number.POSITIVE_INFINITY;
    if (at > 0) this.arrive({ at, vector, notifies: undefined });
  }

  /** Takes the earliest arrival out of flight. */
  takeArrival(): InFlight {
    const first = this.inFlight.shift()!;
    this.interruptAt = this.inFlight[0]?.at ?? Number.POSITIVE_INFINITY;
    return first;
  }
}
