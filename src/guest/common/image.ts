/**
 * A guest that is no kernel with processes but one program with tables of its own making: what lies
 * in its memory before it runs, and what the user space of its host does whenever it asks.
 */
import type { GuestContext } from '../../machine/guest.ts';
import type { Routine } from '../../runtime/act.ts';

export interface Frames {
  readonly first: number;
  readonly end: number;
}

/** A word of the guest's memory. */
export interface ImageWord {
  readonly at: number;
  readonly lo: number;
  readonly hi: number;
}

/** Addresses and selectors that exceptions and returns from them use. */
export interface DescriptorTables {
  readonly idt: number;
  readonly gdt: number;
  readonly tss: number;
  readonly codeSelector: number;
  readonly userCode: number;
  readonly userStack: number;
}

/** One thing that user space does while the guest waits for the answer to its OUT. */
export type HostDeed =
  | { readonly kind: 'phase'; readonly number: number }
  | { readonly kind: 'discard'; readonly frames: Frames }
  | { readonly kind: 'end' };

export interface GuestImage {
  /** Guest frames that are memory, ascending; all resident in the host before the guest runs. */
  readonly memory: readonly Frames[];
  readonly words: readonly ImageWord[];
  /** Guest frame of the root table in CR3. */
  readonly root: number;
  readonly tables: DescriptorTables;
  /** What user space does after each OUT of vCPU 0, one list after the other. */
  readonly deeds: readonly (readonly HostDeed[])[];
  /** Texts of the phases, as a tracing mark has them. */
  readonly phases: readonly string[];
  /** What a vCPU runs. */
  body(cpu: GuestContext, index: number): Routine<void>;
}
