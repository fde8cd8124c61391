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
  /** Where the kernel keeps its areas; undefined: every page of it is anonymous memory. */
  readonly space?: number;
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
  /** The page-fault entry, `code` the error code: gives the program the page it lacks. */
  handleFault(cpu: GuestContext, process: Process, page: number, code: number): Routine<void>;
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
  readonly spaces: SpaceServices;
  readonly interrupts: InterruptServices;
}

/** What an mmap asks for. */
export interface MapRequest {
  readonly pages: number;
  /** File whose first pages are mapped; anonymous memory unless given. */
  readonly file?: number;
  /** Of a file: whether the mapping is shared and writable. */
  readonly write?: boolean;
}

/** System calls of processes with areas; a kernel has them if its exam asks for them. */
export interface SpaceServices {
  /** An empty process, in which the vCPU runs from now on. */
  begin(cpu: GuestContext): Routine<Process>;
  /** First page of the new mapping. */
  map(cpu: GuestContext, process: Process, request: MapRequest): Routine<number>;
  unmap(cpu: GuestContext, process: Process, first: number, pages: number): Routine<void>;
  /** Moves a mapping elsewhere with its pages; its new first page. */
  move(cpu: GuestContext, process: Process, first: number, pages: number): Routine<number>;
  /** A child with the same areas, sharing pages until they are written; not entered yet. */
  fork(cpu: GuestContext, process: Process): Routine<Process>;
  /** Replaces the process that the vCPU runs in by an empty one (execve). */
  exec(cpu: GuestContext, process: Process): Routine<Process>;
  /** Runs in a process from now on, as a context switch does. */
  enter(cpu: GuestContext, process: Process): Routine<void>;
  /** Ends a process, in which no vCPU runs any more afterwards. */
  exit(cpu: GuestContext, process: Process): Routine<void>;
  /** A system call that does nothing (getpid). */
  trivialCall(cpu: GuestContext): Routine<void>;
}

/** Interrupts of the kernel; a kernel has them if its exam asks for them. */
export interface InterruptServices {
  /** The kernel's timer, if it ticks at all. */
  startTick(cpu: GuestContext): Routine<void>;
  stopTick(cpu: GuestContext): Routine<void>;
  /** Runs `instructions` again and again until `count` ticks were taken. */
  runTicks(cpu: GuestContext, count: number, instructions: number): Routine<void>;
  /** Sends a reschedule IPI. */
  reschedule(cpu: GuestContext, target: number): Routine<void>;
  /** Waits, running, until a vCPU has taken `count` of them. */
  awaitReceived(cpu: GuestContext, vcpu: number, count: number): Routine<void>;
  /** Waits in HLT until this one has. */
  idle(cpu: GuestContext, count: number): Routine<void>;
}
