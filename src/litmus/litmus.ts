/**
 * A litmus program says who does what to which page, and nothing else: no design, no schedule, no
 * expected value. A design runs those whose operations it offers.
 */

/** What a guest program does next. */
export type GuestStep =
  | { readonly do: 'read'; readonly page: number }
  /** Writes `value`, which is never 0. */
  | { readonly do: 'write'; readonly page: number; readonly value: number }
  /** An exit that its owner handles without touching memory (CPUID). */
  | { readonly do: 'leave' }
  /** Asks its hypervisor for something that it does to its own tables or CPU. */
  | { readonly do: 'ask'; readonly what: string }
  /** Stays in the guest, touching nothing, until a thread of the host does `ring`. */
  | { readonly do: 'await' }
  /** Runs until an interrupt was taken. */
  | { readonly do: 'interrupted' }
  /** The same, but waits in HLT. */
  | { readonly do: 'halt' };

/** What a thread of the host does next, to pages `first` .. `end - 1`. */
export interface HostStep {
  readonly do: string;
  readonly first: number;
  readonly end: number;
}

export interface Litmus {
  readonly id: string;
  /** What meets what, in one sentence. */
  readonly title: string;
  /** Row of primer/x86.md 9.2, or the bug, that it is about. */
  readonly source: string;
  /** Pages in play. */
  readonly pages: number;
  /** Pages mapped before anybody runs. */
  readonly mapped?: { readonly first: number; readonly end: number };
  /** Pages of the host behind the guest's; 4 KiB unless given. */
  readonly hostPages?: '4k' | '2m';
  /** One vCPU each. */
  readonly guests: readonly (readonly GuestStep[])[];
  /** One thread of the host each, on CPUs of their own. */
  readonly hosts: readonly (readonly HostStep[])[];
  /** Operations that a design must offer, beside those that are done. */
  readonly needs?: readonly string[];
  /**
   * Labels that some execution must perform, or the litmus was too easy; `a|b` where either will do
   * because designs differ.
   */
  readonly sometimes?: readonly string[];
}

export function write(page: number, value = 1): GuestStep {
  return { do: 'write', page, value };
}

export function read(page: number): GuestStep {
  return { do: 'read', page };
}

export function ask(what: string): GuestStep {
  return { do: 'ask', what };
}

export const leave: GuestStep = { do: 'leave' };
export const awaitRing: GuestStep = { do: 'await' };
export const interrupted: GuestStep = { do: 'interrupted' };
export const halted: GuestStep = { do: 'halt' };
/** Lets guests that await it go on. */
export const ring: HostStep = { do: 'ring', first: 0, end: 0 };

export function host(operation: string, first: number, end = first + 1): HostStep {
  return { do: operation, first, end };
}
