/**
 * Machine instructions as acts. A context of any level offers the same ones; whether an instruction
 * is executed or is itself a VM exit is decided by the machine from the mode it is executed in.
 */
import { type Act, FIRST_INSTRUCTION, type Word } from '../runtime/act.ts';
import type { Context } from '../runtime/context.ts';
import type { GuestContext } from './guest.ts';

export const Instruction = {
  /** VMX: VMLAUNCH/VMRESUME of the current VMCS. */
  enter: FIRST_INSTRUCTION,
  vmread: FIRST_INSTRUCTION + 1,
  vmwrite: FIRST_INSTRUCTION + 2,
  vmptrld: FIRST_INSTRUCTION + 3,
  invept: FIRST_INSTRUCTION + 4,
  invvpid: FIRST_INSTRUCTION + 5,
  invlpg: FIRST_INSTRUCTION + 6,
  loadCr3: FIRST_INSTRUCTION + 7,
  /** A write to the interrupt command register: one IPI to one APIC id. */
  sendIpi: FIRST_INSTRUCTION + 8,
  /** VMCALL, on AMD VMMCALL. */
  vmcall: FIRST_INSTRUCTION + 9,
  cpuid: FIRST_INSTRUCTION + 10,
  /** A data or instruction access of a program at a linear address. */
  access: FIRST_INSTRUCTION + 11,
  /** REP STOS over a whole page. */
  zeroFrame: FIRST_INSTRUCTION + 12,
  /** A run of VMREADs or VMWRITEs between a VMCS and a copy of it in memory; root mode only. */
  copyFields: FIRST_INSTRUCTION + 15,
  /** Rings a bell of the exam: no hardware act, no time, reachable from every mode. */
  ring: FIRST_INSTRUCTION + 13,
  /** SVM: runs a guest from the VMCB in frame `at`. */
  vmrun: FIRST_INSTRUCTION + 32,
  /** SVM: loads and saves the hidden state that VMRUN leaves alone. */
  vmload: FIRST_INSTRUCTION + 33,
  vmsave: FIRST_INSTRUCTION + 34,
  /** SVM: the global interrupt flag. */
  stgi: FIRST_INSTRUCTION + 35,
  clgi: FIRST_INSTRUCTION + 36,
  /** SVM: drops one linear page of an ASID. */
  invlpga: FIRST_INSTRUCTION + 37,
  /** Drops an ASID's translations on all CPUs, nested ones included; over with the TLBSYNC. */
  invlpgb: FIRST_INSTRUCTION + 38,
  tlbsync: FIRST_INSTRUCTION + 39,
  /** A stretch of a program's own instructions that touch nothing new. */
  work: FIRST_INSTRUCTION + 14,
  /** REP MOVS of a whole page. */
  copyFrame: FIRST_INSTRUCTION + 16,
  /** STI; HLT: waits for an interrupt. */
  halt: FIRST_INSTRUCTION + 40,
  /** RDMSR and WRMSR of registers that nothing here depends on. */
  rdmsr: FIRST_INSTRUCTION + 41,
  wrmsr: FIRST_INSTRUCTION + 45,
  /** WRMSR to the APIC timer's deadline. */
  armTimer: FIRST_INSTRUCTION + 42,
  /** WRMSR to the APIC's end-of-interrupt register. */
  endInterrupt: FIRST_INSTRUCTION + 43,
  /** A hypervisor's look at what was posted for a guest; its price is in that of every exit. */
  acceptPosted: FIRST_INSTRUCTION + 44,
  /** SYSCALL and SYSRET: a program enters its kernel and returns; no exit in any mode. */
  systemCall: FIRST_INSTRUCTION + 17,
  /** UD2 by which a program asks supervisor code of its own guest for a privileged deed. */
  gate: FIRST_INSTRUCTION + 18,
  /** OUT of a byte to a port. */
  out: FIRST_INSTRUCTION + 19,
} as const;

/** Vectors of exceptions. */
export const INVALID_OPCODE = 6;
export const GENERAL_PROTECTION = 13;
export const PAGE_FAULT = 14;

export const VECTOR_TIMER = 0xec;
export const VECTOR_KICK = 0xf2;
export const VECTOR_CALL = 0xfb;
export const VECTOR_RESCHEDULE = 0xfd;

/** MSRs of programs: one that a hypervisor leaves to its guest, and one that it keeps. */
export const Msr = { kernelGsBase: 0xc0000102, miscEnable: 0x1a0 } as const;
/** MSRs that guests of any level reach without an exit (MSR bitmap). */
export const PASSED_MSRS: ReadonlySet<number> = new Set([Msr.kernelGsBase]);

/** Runs `guest` until it exits; the exit information is in the current VMCS afterwards. */
export function enter(cpu: Context, guest: GuestContext, label: string): Act {
  return cpu.instruct(Instruction.enter, 0, 0, 0, guest, label);
}

/** The same from the VMCB in frame `pfn`, where the exit information is afterwards. */
export function vmrun(cpu: Context, pfn: number, guest: GuestContext, label: string): Act {
  return cpu.instruct(Instruction.vmrun, pfn, 0, 0, guest, label);
}

export function vmload(cpu: Context, pfn: number, label: string): Act {
  return cpu.instruct(Instruction.vmload, pfn, 0, 0, undefined, label);
}

export function vmsave(cpu: Context, pfn: number, label: string): Act {
  return cpu.instruct(Instruction.vmsave, pfn, 0, 0, undefined, label);
}

export function stgi(cpu: Context, label: string): Act {
  return cpu.instruct(Instruction.stgi, 0, 0, 0, undefined, label);
}

export function clgi(cpu: Context, label: string): Act {
  return cpu.instruct(Instruction.clgi, 0, 0, 0, undefined, label);
}

/** Drops linear page `page` of `asid` on this CPU. */
export function invlpga(cpu: Context, page: number, asid: number, label: string): Act {
  return cpu.instruct(Instruction.invlpga, page, asid, 0, undefined, label);
}

/** Drops what any CPU has cached under `asid`; the next `tlbsync` waits until that is done. */
export function invlpgb(cpu: Context, asid: number, label: string): Act {
  return cpu.instruct(Instruction.invlpgb, asid, 0, 0, undefined, label);
}

export function tlbsync(cpu: Context, label: string): Act {
  return cpu.instruct(Instruction.tlbsync, 0, 0, 0, undefined, label);
}

export function vmread(cpu: Context, field: number, label: string): Act {
  return cpu.instruct(Instruction.vmread, field, 0, 0, undefined, label);
}

export function vmwrite(cpu: Context, field: number, value: number, label: string): Act {
  return cpu.instruct(Instruction.vmwrite, field, 0, 0, value, label);
}

/** Makes the VMCS in frame `pfn` current on this CPU. */
export function vmptrld(cpu: Context, pfn: number, label: string): Act {
  return cpu.instruct(Instruction.vmptrld, pfn, 0, 0, undefined, label);
}

/** Single-context INVEPT of the tables rooted at frame `root`. */
export function invept(cpu: Context, root: number, label: string): Act {
  return cpu.instruct(Instruction.invept, root, 1, 0, undefined, label);
}

/** All-context INVEPT. */
export function inveptAll(cpu: Context, label: string): Act {
  return cpu.instruct(Instruction.invept, 0, 2, 0, undefined, label);
}

/** Single-context INVVPID. */
export function invvpid(cpu: Context, vpid: number, label: string): Act {
  return cpu.instruct(Instruction.invvpid, vpid, 1, 0, undefined, label);
}

/** All-context INVVPID. */
export function invvpidAll(cpu: Context, label: string): Act {
  return cpu.instruct(Instruction.invvpid, 0, 2, 0, undefined, label);
}

/** Drops the linear page `page` of the current address space on this CPU. */
export function invlpg(cpu: Context, page: number, label: string): Act {
  return cpu.instruct(Instruction.invlpg, page, 0, 0, undefined, label);
}

/** Switches to the tables rooted at guest frame `root`; drops the PCID's entries if `flush`. */
export function loadCr3(
  cpu: Context,
  root: number,
  pcid: number,
  flush: 'flush' | 'keep',
  label: string,
): Act {
  return cpu.instruct(Instruction.loadCr3, root, pcid, flush === 'flush' ? 1 : 0, undefined, label);
}

/** Sends an interrupt to the CPU with APIC id `target` of the sender's own machine. */
export function sendIpi(cpu: Context, target: number, vector: number, label: string): Act {
  return cpu.instruct(Instruction.sendIpi, target, vector, 0, undefined, label);
}

/** A hypercall: operation and up to three arguments in registers; yields the result register. */
export function vmcall(
  cpu: Context,
  operation: number,
  args: readonly number[],
  label: string,
): Act {
  return cpu.instruct(Instruction.vmcall, operation, 0, 0, args, label);
}

export function cpuid(cpu: Context, leaf: number, label: string): Act {
  return cpu.instruct(Instruction.cpuid, leaf, 0, 0, undefined, label);
}

/** An access of kind READ, WRITE or EXECUTE to linear page `page`, after `work` instructions. */
export function access(cpu: Context, page: number, kind: number, work: number, label: string): Act {
  return cpu.instruct(Instruction.access, page, kind, work, undefined, label);
}

/** The same at an address within its page, with nothing before it. */
export function accessAt(cpu: Context, at: number, kind: number, label: string): Act {
  return cpu.instruct(Instruction.access, Math.floor(at / 4096), kind, 0, at % 4096, label);
}

/** Registers with which a program goes through its gate, and where the instruction lies. */
export interface GateCall {
  readonly rip: number;
  /** RDX: address of the routine that the handler jumps to. */
  readonly handler: number;
  /** RDI: its argument. */
  readonly argument: number;
  /** What the routine does: hardware that runs supervisor code does it natively. */
  readonly deed: 'invlpg' | 'load-cr3' | 'read-cr3';
}

/** Goes through the gate; yields RDI as the routine left it. */
export function gate(cpu: Context, call: GateCall, label: string): Act {
  return cpu.instruct(Instruction.gate, call.argument, 0, 0, call, label);
}

/** OUT of `value` to `port`, by the instruction at `rip`. */
export function out(cpu: Context, port: number, value: number, rip: number, label: string): Act {
  return cpu.instruct(Instruction.out, port, value, 0, rip, label);
}

/** `count` instructions of a program that stay within what its CPU has cached. */
export function work(cpu: Context, count: number, label: string): Act {
  return cpu.instruct(Instruction.work, 0, 0, count, undefined, label);
}

/** Sets all words of frame `pfn` of the context's own memory to zero. */
export function zeroFrame(cpu: Context, pfn: number, label: string): Act {
  return cpu.instruct(Instruction.zeroFrame, pfn, 0, 0, undefined, label);
}

/** Copies all words of frame `from` of the guest's memory to frame `to`. */
export function copyFrame(cpu: Context, from: number, to: number, label: string): Act {
  return cpu.instruct(Instruction.copyFrame, to, 0, 0, from, label);
}

/** Waits for an interrupt with interrupts on from here on; code unmasks when it returns. */
export function halt(cpu: Context, label: string): Act {
  return cpu.instruct(Instruction.halt, 0, 0, 0, undefined, label);
}

export function rdmsr(cpu: Context, msr: number, label: string): Act {
  return cpu.instruct(Instruction.rdmsr, msr, 0, 0, undefined, label);
}

export function wrmsr(cpu: Context, msr: number, value: number, label: string): Act {
  return cpu.instruct(Instruction.wrmsr, msr, 0, 0, value, label);
}

/** Interrupts this CPU in `cycles` cycles, and not at any time asked for before; 0: not at all. */
export function armTimer(cpu: Context, cycles: number, label: string): Act {
  return cpu.instruct(Instruction.armTimer, cycles, 0, 0, undefined, label);
}

export function endInterrupt(cpu: Context, label: string): Act {
  return cpu.instruct(Instruction.endInterrupt, 0, 0, 0, undefined, label);
}

/** What was posted for `guest` by hardware is in its virtual APIC afterwards. */
export function acceptInterrupts(cpu: Context, guest: GuestContext, label: string): Act {
  return cpu.instruct(Instruction.acceptPosted, 0, 0, 0, guest, label);
}

/** A program's way into its kernel and back. */
export function systemCall(cpu: Context, label: string): Act {
  return cpu.instruct(Instruction.systemCall, 0, 0, 0, undefined, label);
}

/** #PF error code of an access that faulted in the guest's own tables; 0: it went through. */
export function faultCode(word: Word): number {
  return word.ok ? 0 : word.lo;
}

/** Fields to move between two frames, one of which is a VMCS. */
export interface FieldCopy {
  readonly fields: readonly number[];
  /** The fields that they become, if not the same. */
  readonly into?: readonly number[];
  readonly from: number;
  readonly to: number;
}

/**
 * Moves fields one by one, each at the price of a VMCS access and of a field copied. Nobody else
 * can see either side, so the run is one act.
 */
export function copyFields(cpu: Context, copy: FieldCopy, label: string): Act {
  return cpu.instruct(Instruction.copyFields, 0, 0, 0, copy, label);
}

/**
 * Bells: words of the exam, outside every guest's memory, by which workloads line up their threads.
 * Their addresses start here and mean the same in every mode.
 */
export const BELLS = 2 ** 47;

export function bell(index: number): number {
  return BELLS + index * 64;
}

/** Adds one to a bell. */
export function ring(cpu: Context, at: number): Act {
  return cpu.instruct(Instruction.ring, at, 0, 0, undefined, 'exam.ring');
}
