/**
 * A vCPU and its VM as a hypervisor sees them: the words of the request-and-kick protocol, and what
 * runs on the vCPU at present. A vCPU of the host runs a guest hypervisor or, on its behalf, that
 * one's guest; each has its own table of exit handlers, so "whose exit is this?" is answered once.
 */
import { defect } from '../base/assert.ts';
import type { GuestContext } from '../machine/guest.ts';
import type { Act, Routine } from '../runtime/act.ts';
import type { Context } from '../runtime/context.ts';
import { atomic, atomicLine, layout, plain } from '../runtime/layout.ts';
import type { Platform } from './platform.ts';
import type { Virtualisation } from './virt/virt.ts';

/** KVM keeps mode and requests side by side in `struct kvm_vcpu`; the call words are per CPU. */
export const VcpuWords = layout('vcpu', {
  /** Odd while the vCPU is in guest mode; rises at entries and exits; high half: it has ended. */
  mode: atomicLine,
  requests: atomic,
  /** Function calls asked of the vCPU's CPU, and answered by it. */
  called: atomicLine,
  answered: atomic,
  /** SVM: what the next VMRUN is to drop; the vCPU's thread alone uses it. */
  flush: plain,
  /** Virtual interrupts posted for the vCPU; whether hardware has a notification outstanding. */
  vectors: atomic,
  outstanding: atomic,
  /** Whether its thread has gone idle and is to be woken. */
  halted: atomic,
  /** Where roots come and go: number of the record of the one that it holds, + 1; 0 = none. */
  root: plain,
});

export const REQUEST_FLUSH = 1;
/** The VM is going: the thread ends instead of entering again. */
export const REQUEST_DEAD = 2;
/** Whether hardware logs modified pages has changed. */
export const REQUEST_LOGGING = 4;
/** Somebody posted a virtual interrupt. */
export const REQUEST_EVENT = 8;
/** The root of the second stage that the vCPU uses may be obsolete. */
export const REQUEST_ROOT = 16;

const TWO32 = 4294967296;

export type ExitHandler = (cpu: Context, v: Vcpu) => Routine<void>;

/** Handlers by exit reason, for one kind of guest on one kind of hypervisor. */
export type ExitTable = ReadonlyMap<number, ExitHandler>;

/**
 * What a vCPU runs: a guest context with its control block and the handlers of its exits. Objects
 * that have all fields, in this order, are of one kind to the compiler, and the run loop is faster.
 */
export interface Running {
  readonly guest: GuestContext;
  /** Frame of its control block, VMCS or VMCB, in the hypervisor's own memory. */
  readonly block: number;
  readonly exits: ExitTable;
  /** Work before an entry that may take locks, sleep or wait: interrupts are on. */
  readonly prepare?: ((cpu: Context, v: Vcpu) => Routine<void>) | undefined;
  /** The last look with interrupts off, without waiting; true if something else is to run. */
  readonly beforeEntry?: ((cpu: Context, v: Vcpu) => Routine<boolean>) | undefined;
  /** Undoes what `beforeEntry` announced, once the guest does not run any more. */
  readonly afterExit?: ((cpu: Context) => Act) | undefined;
}

/** A guest around whose entries nothing is to be done. */
export function running(guest: GuestContext, block: number, exits: ExitTable): Running {
  return { guest, block, exits, prepare: undefined, beforeEntry: undefined, afterExit: undefined };
}

export interface Vm {
  readonly name: string;
  readonly platform: Platform;
  readonly vcpus: Vcpu[];
  /** The tag of all its vCPUs, if a flush is a broadcast of it; else each has a tag of its own. */
  readonly sharedTag?: number | undefined;
  /** What its vCPUs do about logs of modified pages; none if it never has any. */
  logging?: VcpuLogging;
  /** The roots of its second stage, where they come and go. */
  roots?: VcpuRoots;
}

/** A vCPU's hold on one of several roots, as its own thread changes it. */
export interface VcpuRoots {
  /** Before an entry, once asked: lets the root go if it is obsolete. */
  refresh(cpu: Context, v: Vcpu): Routine<void>;
}

/** The part of dirty logging that each vCPU's thread does for itself. */
export interface VcpuLogging {
  /** Before an entry, once asked: switches hardware's log on or off. */
  update(cpu: Context, v: Vcpu): Routine<void>;
  /** After an exit: empties it. */
  drain(cpu: Context, v: Vcpu): Routine<void>;
  /** The same before anybody is told that the guest is out (`Running.afterExit`). */
  leave?(cpu: Context, v: Vcpu): Routine<void>;
}

export class Vcpu {
  readonly vm: Vm;
  readonly index: number;
  /** Seat of the thread that runs it; threads do not migrate in this step. */
  readonly seat: number;
  readonly words: number;
  /** The processor that this hypervisor runs guests with. */
  readonly virt: Virtualisation;
  /** What the vCPU itself is: the guest of this hypervisor. */
  readonly own: Running;
  active: Running;
  /** The control block that was loaded last. */
  loaded = 0;
  /** Whether hardware logs modified pages for it. */
  logs = false;
  /** Where roots come and go: frame of the one that it holds, 0 = none. */
  root = 0;

  constructor(vm: Vm, index: number, seat: number, own: Running) {
    if (vm.vcpus.length !== index) defect('Vcpu', 'vCPUs are created in order');
    this.vm = vm;
    this.index = index;
    this.seat = seat;
    this.words = vm.platform.arena.place(VcpuWords);
    this.virt = vm.platform.virt;
    this.own = own;
    this.active = own;
    vm.vcpus.push(this);
  }

  get mode(): number {
    return this.words + VcpuWords.at.mode;
  }

  get requests(): number {
    return this.words + VcpuWords.at.requests;
  }

  get called(): number {
    return this.words + VcpuWords.at.called;
  }

  get flush(): number {
    return this.words + VcpuWords.at.flush;
  }

  get answered(): number {
    return this.words + VcpuWords.at.answered;
  }

  get vectors(): number {
    return this.words + VcpuWords.at.vectors;
  }

  get outstanding(): number {
    return this.words + VcpuWords.at.outstanding;
  }

  get rootRecord(): number {
    return this.words + VcpuWords.at.root;
  }

  get halted(): number {
    return this.words + VcpuWords.at.halted;
  }
}

/** Whether the thread whose mode this is has performed its last act. */
export function hasEnded(mode: number): boolean {
  return mode >= TWO32;
}

export function isInGuest(mode: number): boolean {
  return mode % 2 === 1;
}
