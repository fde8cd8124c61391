/**
 * A guest context: code of any guest level, with the state that a VM entry loads. Its addresses are
 * guest-physical (L1's hypervisor and every kernel work through a direct map of their memory); its
 * program accesses are linear and walked in two dimensions.
 *
 * Leaves out: the kernel's own stage-1 walk of its direct map (global huge mappings, taken as
 * cached).
 */

import type { Routine } from '../runtime/act.ts';
import { Context, type OnTheSpot, type PlainMemory } from '../runtime/context.ts';
import { type Privilege, SUPERVISOR } from './format/judge.ts';
import { VirtualApic } from './virtual-apic.ts';

/** What hardware has loaded for a guest: from its control block at entry, and by MOV to CR3. */
export interface Regime {
  /** Tag of its linear and combined mappings: VPID, or ASID. */
  vpid: number;
  /** Frame of the second-stage root. */
  root: number;
  /** Tag of its guest-physical mappings: EP4TA, which is the root's frame; or the ASID again. */
  tag: number;
  /** Frame of the tables that hardware walks where EPT is off; 0 = EPT is on. */
  shadowRoot: number;
  /** Guest frame of the guest's own root table; 0 = no paging yet. */
  cr3: number;
  pcid: number;
  /** Frame of the shadow VMCS that VMREAD/VMWRITE reach without an exit; 0 = none. */
  shadowVmcs: number;
  /** IPIs among siblings are posted by hardware. */
  virtualIpis: boolean;
  /** Pages whose dirty bit hardware sets are logged. */
  logs: boolean;
  /** SVM: STGI and CLGI, VMLOAD and VMSAVE do not exit. */
  virtualGif: boolean;
  virtualLoad: boolean;
}

/** A pending access of a program: the linear page, what it wants, instructions since the last. */
export interface Access {
  page: number;
  kind: number;
  /** Cycle of the first try; negative when no access is under way. */
  began: number;
  /** Cycles of the instructions before the access that are still to run; negative before them. */
  workLeft: number;
  leftGuest: boolean;
  faulted: boolean;
}

/** Accesses one after the other; recorded traces and generated programs have this shape. */
export interface AccessLines {
  /** Page number by page index. */
  readonly pageOf: Float64Array;
  /** Page index of each line. */
  readonly pages: Int32Array;
  /** READ, WRITE or EXECUTE of each line. */
  readonly kinds: Uint8Array;
  /** Instructions run since the previous line. */
  readonly instructions: Uint32Array;
}

export type PrivatePath = (guest: GuestContext, lines: AccessLines, from: number) => number;

/**
 * Where the code of a guest reaches its physical memory by linear addresses: what a store to a page
 * table goes through when the tables in CR3 are not the guest's own.
 */
export interface DirectMap {
  /** Linear page of guest frame 0. */
  readonly base: number;
  readonly privilege: Privilege;
}

export class GuestContext extends Context {
  readonly level: number;
  readonly regime: Regime = {
    vpid: 0,
    root: 0,
    tag: 0,
    shadowRoot: 0,
    cr3: 0,
    pcid: 0,
    shadowVmcs: 0,
    virtualIpis: false,
    logs: false,
    virtualGif: false,
    virtualLoad: false,
  };
  /** The map of memory that the guest's code works through; no paging: frames are pages. */
  direct: DirectMap = { base: 0, privilege: SUPERVISOR };
  /** All of its code runs without privilege: hardware runs no supervisor code of it. */
  deprivileged = false;
  /** Address of the instruction that it is at; undefined where its text is not modelled. */
  rip: number | undefined;
  /** Frame behind a page that plain words lie in, for who shadows the guest's tables; or -1. */
  plainFrame: ((page: number) => number) | undefined;
  /** General registers as far as hypercalls and emulation use them. */
  readonly registers = new Float64Array(8);
  readonly access: Access = {
    page: 0,
    kind: 0,
    began: -1,
    workLeft: -1,
    leftGuest: false,
    faulted: false,
  };
  readonly apic = new VirtualApic();
  /** Host-physical address of its posted-interrupt descriptor; 0: hardware posts nothing. */
  posted = 0;
  /** Handler of a virtual interrupt, run on top of what it interrupts. */
  vector: ((vector: number) => Routine<void>) | undefined;
  /** CPU of the host thread that runs this guest: where posted interrupts are announced. */
  homeCpu = -1;
  /** APIC ids of this guest's VM: whom its own IPIs reach. */
  siblings: readonly GuestContext[] = [];
  readonly #privately: PrivatePath;

  constructor(
    id: number,
    name: string,
    level: number,
    plain: PlainMemory,
    spot: OnTheSpot,
    privately: PrivatePath,
  ) {
    super(id, name, plain, spot);
    this.level = level;
    this.#privately = privately;
  }

  /**
   * Goes through accesses of `lines` from `from` on as long as nobody else could notice; returns
   * the first that has to be offered as an act. A scheduler that explores never goes ahead.
   */
  runAhead(lines: AccessLines, from: number): number {
    return this.#privately(this, lines, from);
  }
}
