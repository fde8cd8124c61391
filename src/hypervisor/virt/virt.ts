/**
 * What a hypervisor needs of the processor's virtualisation extension, whichever vendor's it is:
 * the run loop, exits, flushes and books above know nothing else. Two implementations: vmx.ts and
 * svm.ts; a hypervisor of any level stands on the one of its platform.
 *
 * Methods offer one act, or answer at once where one vendor's act is another's word of memory
 * (`Context.known`); so the same code costs on each processor what it costs there.
 */
import type { BootMemory } from '../../alloc/frames.ts';
import type { Act, Routine } from '../../runtime/act.ts';
import type { Context } from '../../runtime/context.ts';
import type { Stage2Fault } from '../mmu/common.ts';
import type { Vcpu } from '../vcpu.ts';

/** Reasons of exits, as the processor numbers them. */
export interface ExitReasons {
  readonly interrupt: number;
  readonly cpuid: number;
  readonly hypercall: number;
  /** WRMSR, to the interrupt command register above all. */
  readonly msrWrite: number;
  readonly msrRead: number;
  readonly halt: number;
  /** The second stage does not permit an access. */
  readonly fault: number;
  /** The log of modified pages is full, where there is one. */
  readonly logFull?: number;
  /** An entry on the way is malformed, where that is an exit of its own. */
  readonly misconfig?: number;
}

/** What a control block says. */
export interface BlockOptions {
  /** Frame of the second-stage root, in the hypervisor's own memory. */
  readonly root: number;
  /** Levels of its tables; 4 unless given. */
  readonly levels?: number;
  /** Tag of the vCPU's translations: VPID, or ASID. */
  readonly vpid: number;
  readonly virtualIpis: boolean;
  /** Whether all vCPUs carry one tag: none may leave its CPU then. */
  readonly shared?: boolean;
}

export interface Virtualisation {
  readonly id: 'vmx' | 'svm';
  readonly exits: ExitReasons;
  /** Consecutive frames that a control block and what belongs to it take. */
  readonly blockFrames: number;

  /** Writes a control block in frame `block` before anybody runs. */
  writeBlock(boot: BootMemory, block: number, options: BlockOptions): void;

  // --- around an entry ---------------------------------------------------------------------

  /** Makes `block` the one that `enter` and the exit information below belong to. */
  load(cpu: Context, block: number, label: string): Act;
  /** Runs what is active on the vCPU until it exits. */
  enter(cpu: Context, v: Vcpu): Act;

  // --- after an exit -----------------------------------------------------------------------

  /** Yields the reason. */
  reason(cpu: Context, block: number, label: string): Act;
  /** Yields what was being delivered when the exit happened; 0 = nothing. */
  delivering(cpu: Context, block: number, label: string): Act;
  /** Of a second-stage fault: yields the code, in the vendor's bits, and the address. */
  faultCode(cpu: Context, block: number, label: string): Act;
  faultAddress(cpu: Context, block: number, label: string): Act;
  accessOf(code: number): Stage2Fault['access'];
  /** Whether the second stage maps the page, so that only a right was missing. */
  isMapped(code: number): boolean;
  /** Whether an entry on the way had a reserved bit set. */
  isMalformed(code: number): boolean;
  /** Moves the guest's instruction pointer past the instruction that exited. */
  advance(cpu: Context, block: number): Routine<void>;
  setInstructionPointer(cpu: Context, block: number, at: number, label: string): Act;
  /** Writes a KPOP exit record, all but its reason, to the state page at `record`. */
  recordExit(cpu: Context, block: number, record: number, label: string): Act;

  // --- translations ------------------------------------------------------------------------

  /** Makes the second stage rooted at `root` the one that the vCPU itself enters with. */
  setRoot(cpu: Context, v: Vcpu, root: number, levels: number): Routine<void>;

  /** From the next entry of this vCPU on, it uses nothing that was cached before. */
  flushAll(cpu: Context, v: Vcpu, label: string): Act;
  /** The same for what was cached of the second stage rooted at `root`, under whatever tag. */
  flushRoot(cpu: Context, v: Vcpu, root: number, label: string): Act;
  /**
   * Where hardware broadcasts invalidations: drops everything under `tag` on all CPUs, and returns
   * when that is over. Interrupts nobody.
   */
  readonly flushEverywhere?: (cpu: Context, tag: number) => Routine<void>;
}
