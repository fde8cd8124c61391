/**
 * A process as programs and their kernel agree on it: an address space with its root table and tag,
 * and what a program may ask of its kernel. Programs know no more of the kernel than this.
 */
import type { GuestContext } from '../../machine/guest.ts';
import type { Routine } from '../../runtime/act.ts';

export interface Process {
  /** Guest frame of the root table. */
  readonly root: number;
  readonly pcid: number;
  /** Word with a bit for every vCPU that may hold translations of this address space (below 53). */
  readonly users: number;
}

/** Pages [first, end) of an address space in which something may be mapped. */
export interface Area {
  readonly first: number;
  readonly end: number;
}

export interface KernelServices {
  /** Makes the kernel's own pages resident; the boot CPU does it once. */
  boot(cpu: GuestContext): Routine<void>;
  exec(cpu: GuestContext): Routine<Process>;
  /** Enters an address space that another vCPU made: from now on both run in it. */
  switchTo(cpu: GuestContext, process: Process): Routine<void>;
  /** The page-fault entry: gives the program the page it lacks. */
  handleFault(cpu: GuestContext, process: Process, page: number): Routine<void>;
  /** Makes the tables for pages [first, first + count) but not the pages. */
  prepareTables(cpu: GuestContext, process: Process, first: number, count: number): Routine<void>;
  munmap(cpu: GuestContext, process: Process, first: number, end: number): Routine<void>;
  /** Ends the process, mapped in `areas`; its frames in ascending order, not yet given back. */
  exit(cpu: GuestContext, process: Process, areas: readonly Area[]): Routine<number[]>;
  /** Reports ascending frames as free to the owner of the guest's memory. */
  report(cpu: GuestContext, frames: readonly number[]): Routine<void>;
  /** Gives frames back to the pool. */
  recycle(cpu: GuestContext, frames: readonly number[]): void;
  /** Guest frame behind a page of the process, or -1. */
  frameOf(cpu: GuestContext, process: Process, page: number): Routine<number>;
}
