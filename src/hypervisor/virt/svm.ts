/**
 * AMD's: the control block is a VMCB, plain memory of the hypervisor's own; VMRUN names it. A flush
 * is asked of the next VMRUN, so that it is in force when the guest runs: until then nobody uses
 * what the CPU has cached of it.
 *
 * Source: arch/x86/kvm/svm/svm.c (svm_vcpu_run, svm_flush_tlb_asid) and vmenter.S (facts).
 * Leaves out: ASIDs that are handed out anew per CPU (a thread does not leave its CPU, and there
 * are enough), NRIPS being absent, event injection.
 */

import { StatePage } from '../../abi/kpop.ts';
import type { BootMemory } from '../../alloc/frames.ts';
import { SvmExit } from '../../machine/exit.ts';
import { clgi, invlpgb, stgi, tlbsync, vmload, vmrun, vmsave } from '../../machine/instruction.ts';
import { FRAME_BYTES } from '../../machine/memory.ts';
import {
  ALL_CLEAN,
  AVIC_ENABLE,
  asidOf,
  asidWord,
  NESTED_PAGING,
  TlbControl,
  Vmcb,
  vmcbAt,
} from '../../machine/vmcb.ts';
import type { Act, Routine } from '../../runtime/act.ts';
import type { Context } from '../../runtime/context.ts';
import type { Stage2Fault } from '../mmu/common.ts';
import type { Vcpu } from '../vcpu.ts';
import type { BlockOptions, ExitReasons, Virtualisation } from './virt.ts';

/** EXITINFO1 of a nested page fault. */
const PRESENT = 1;
const WRITE = 2;
const RESERVED = 8;
const FETCH = 16;
const FINAL_ADDRESS = 2 ** 32;

/** Bytes of every instruction that exits. */
const LENGTH = 3;

/** What is owed at the next VMRUN of a vCPU: its own tag, or every tag. */
const OWN_TAG = 1;
const ALL_TAGS = 2;

export class Svm implements Virtualisation {
  readonly id = 'svm';
  /** The VMCB, and the page where the host's own hidden state is saved. */
  readonly blockFrames = 2;
  readonly flushEverywhere = broadcast;
  readonly exits: ExitReasons = {
    interrupt: SvmExit.interrupt,
    cpuid: SvmExit.cpuid,
    hypercall: SvmExit.vmmcall,
    msrWrite: SvmExit.msr,
    msrRead: SvmExit.msr,
    halt: SvmExit.hlt,
    fault: SvmExit.nestedPageFault,
  };

  writeBlock(boot: BootMemory, block: number, options: BlockOptions): void {
    const put = (field: number, value: number): void => boot.write(vmcbAt(block, field), value);
    put(Vmcb.asid, asidWord(options.vpid, TlbControl.none));
    put(Vmcb.interruptControl, options.virtualIpis ? AVIC_ENABLE : 0);
    put(Vmcb.nestedControl, NESTED_PAGING);
    put(Vmcb.nestedCr3, options.root * FRAME_BYTES);
  }

  load(cpu: Context, _block: number, _label: string): Act {
    return cpu.known(0); // VMRUN names the VMCB
  }

  enter(cpu: Context, v: Vcpu): Act {
    return cpu.call(runGuest(cpu, v));
  }

  reason(cpu: Context, block: number, _label: string): Act {
    return cpu.known(cpu.read(vmcbAt(block, Vmcb.exitCode)));
  }

  delivering(cpu: Context, block: number, _label: string): Act {
    return cpu.known(cpu.read(vmcbAt(block, Vmcb.exitIntInfo)));
  }

  faultCode(cpu: Context, block: number, _label: string): Act {
    return cpu.known(cpu.read(vmcbAt(block, Vmcb.exitInfo1)));
  }

  faultAddress(cpu: Context, block: number, _label: string): Act {
    return cpu.known(cpu.read(vmcbAt(block, Vmcb.exitInfo2)));
  }

  accessOf(code: number): Stage2Fault['access'] {
    if ((code & WRITE) !== 0) return 'write';
    return (code & FETCH) !== 0 ? 'execute' : 'read';
  }

  isMapped(code: number): boolean {
    return (code & PRESENT) !== 0;
  }

  isMalformed(code: number): boolean {
    return (code & RESERVED) !== 0;
  }

  *setRoot(cpu: Context, v: Vcpu, root: number, _levels: number): Routine<void> {
    cpu.write(vmcbAt(v.own.block, Vmcb.nestedCr3), root * FRAME_BYTES);
  }

  *advance(cpu: Context, block: number): Routine<void> {
    cpu.write(vmcbAt(block, Vmcb.rip), cpu.read(vmcbAt(block, Vmcb.nextRip)));
  }

  setInstructionPointer(cpu: Context, block: number, at: number, _label: string): Act {
    cpu.write(vmcbAt(block, Vmcb.rip), at);
    return cpu.known(0);
  }

  recordExit(cpu: Context, block: number, record: number, _label: string): Act {
    const get = (field: number): number => cpu.read(vmcbAt(block, field));
    cpu.write(record + StatePage.exitQualification, this.#qualification(get(Vmcb.exitInfo1)));
    cpu.write(record + StatePage.exitGuestPhysical, get(Vmcb.exitInfo2));
    cpu.write(record + StatePage.exitGuestLinear, 0); // SVM does not tell
    cpu.write(record + StatePage.exitInstructionLength, LENGTH);
    cpu.write(record + StatePage.exitRip, get(Vmcb.rip));
    return cpu.known(0);
  }

  /** The access, and what the walk found, in the bits of the exit record. */
  #qualification(code: number): number {
    const access = { read: 1, write: 2, execute: 4 }[this.accessOf(code)];
    const mapped = this.isMapped(code) ? 8 : 0;
    return access + mapped + 0x80 + (code % (2 * FINAL_ADDRESS) >= FINAL_ADDRESS ? 0x100 : 0);
  }

  flushAll(cpu: Context, v: Vcpu, label: string): Act {
    return cpu.or(v.flush, OWN_TAG, label);
  }

  flushRoot(cpu: Context, v: Vcpu, _root: number, label: string): Act {
    return cpu.or(
      v.flush,
      tagOf(cpu, v.active.block) === ownTag(cpu, v) ? OWN_TAG : ALL_TAGS,
      label,
    );
  }
}

/**
 * Unverified on real parts: that INVLPGB with its nested bit reaches every translation of the ASID
 * (arch/x86/include/asm/tlb.h of Linux names the bit; the shootdowns of hosts do not set it).
 */
function* broadcast(cpu: Context, tag: number): Routine<void> {
  yield invlpgb(cpu, tag, 'flush.broadcast');
  yield tlbsync(cpu, 'flush.sync');
}

function tagOf(cpu: Context, block: number): number {
  return asidOf(cpu.read(vmcbAt(block, Vmcb.asid)));
}

function ownTag(cpu: Context, v: Vcpu): number {
  return tagOf(cpu, v.own.block);
}

/** Around VMRUN nothing may interrupt, and the hidden state of host and guest changes places. */
function* runGuest(cpu: Context, v: Vcpu): Routine<void> {
  const { block, guest } = v.active;
  const host = v.own.block + 1;
  const owed = cpu.read(v.flush);
  if (owed !== 0) askForFlush(cpu, v, owed);
  yield clgi(cpu, 'svm.clgi');
  yield vmload(cpu, block, 'svm.load-guest');
  yield vmrun(cpu, block, guest, 'run.enter');
  yield vmsave(cpu, block, 'svm.save-guest');
  yield vmload(cpu, host, 'svm.load-host');
  yield stgi(cpu, 'svm.stgi');
  cpu.write(vmcbAt(block, Vmcb.cleanBits), ALL_CLEAN);
  if (owed === 0) return;
  cpu.write(vmcbAt(block, Vmcb.asid), asidWord(tagOf(cpu, block), TlbControl.none));
  cpu.write(v.flush, 0);
}

/**
 * A guest that has a tag of its own beside the vCPU's (as KPOP's) leaves entries of other tags
 * behind, which only a flush of everything reaches from here.
 */
function askForFlush(cpu: Context, v: Vcpu, owed: number): void {
  const tag = tagOf(cpu, v.active.block);
  const isOwn = owed === OWN_TAG && tag === ownTag(cpu, v);
  const control = isOwn ? TlbControl.asid : TlbControl.all;
  cpu.write(vmcbAt(v.active.block, Vmcb.asid), asidWord(tag, control));
}

export const svm: Virtualisation = new Svm();
