/**
 * Intel's: the control block is a VMCS, reached by VMREAD and VMWRITE once it is current, and
 * second-stage translations are dropped by INVEPT at once.
 */

import { StatePage } from '../../abi/kpop.ts';
import type { BootMemory } from '../../alloc/frames.ts';
import { ExitReason } from '../../machine/exit.ts';
import { MANUAL_4 } from '../../machine/format/format.ts';
import {
  copyFields,
  enter,
  invept,
  inveptAll,
  vmptrld,
  vmread,
  vmwrite,
} from '../../machine/instruction.ts';
import { FRAME_BYTES } from '../../machine/memory.ts';
import { eptp, Field, fieldAt, IPI_VIRTUALISATION } from '../../machine/vmcs.ts';
import { type Act, num, type Routine } from '../../runtime/act.ts';
import type { Context } from '../../runtime/context.ts';
import type { Stage2Fault } from '../mmu/common.ts';
import type { Vcpu } from '../vcpu.ts';
import type { BlockOptions, ExitReasons, Virtualisation } from './virt.ts';

/** VMCS fields of KPOP's exit record, and the words of the state page that they become. */
const RECORD = [
  Field.exitQualification,
  Field.exitGuestPhysical,
  Field.exitGuestLinear,
  Field.exitInstructionLength,
  Field.guestRip,
];
const RECORD_WORDS = [
  StatePage.exitQualification,
  StatePage.exitGuestPhysical,
  StatePage.exitGuestLinear,
  StatePage.exitInstructionLength,
  StatePage.exitRip,
].map((offset) => offset / 8);

/** Exit qualification of an EPT violation: the access, and the rights that the walk found. */
const WRITE = 2;
const EXECUTE = 4;
const RIGHTS = 0x38;

export class Vmx implements Virtualisation {
  readonly id = 'vmx';
  readonly blockFrames = 1;
  readonly exits: ExitReasons = {
    interrupt: ExitReason.externalInterrupt,
    cpuid: ExitReason.cpuid,
    hypercall: ExitReason.vmcall,
    msrWrite: ExitReason.msrWrite,
    msrRead: ExitReason.msrRead,
    halt: ExitReason.hlt,
    fault: ExitReason.eptViolation,
    logFull: ExitReason.pmlFull,
    misconfig: ExitReason.eptMisconfig,
  };

  writeBlock(boot: BootMemory, block: number, options: BlockOptions): void {
    const put = (field: number, value: number): void => boot.write(fieldAt(block, field), value);
    put(Field.eptp, eptp(options.root, options.levels ?? MANUAL_4.levels));
    put(Field.vpid, options.vpid);
    put(Field.tertiaryControls, options.virtualIpis ? IPI_VIRTUALISATION : 0);
  }

  load(cpu: Context, block: number, label: string): Act {
    return vmptrld(cpu, block, label);
  }

  enter(cpu: Context, v: Vcpu): Act {
    return enter(cpu, v.active.guest, 'run.enter');
  }

  reason(cpu: Context, _block: number, label: string): Act {
    return vmread(cpu, Field.exitReason, label);
  }

  delivering(cpu: Context, _block: number, label: string): Act {
    return vmread(cpu, Field.exitIdtVectoring, label);
  }

  faultCode(cpu: Context, _block: number, label: string): Act {
    return vmread(cpu, Field.exitQualification, label);
  }

  faultAddress(cpu: Context, _block: number, label: string): Act {
    return vmread(cpu, Field.exitGuestPhysical, label);
  }

  accessOf(code: number): Stage2Fault['access'] {
    if ((code & WRITE) !== 0) return 'write';
    return (code & EXECUTE) !== 0 ? 'execute' : 'read';
  }

  isMapped(code: number): boolean {
    return (code & RIGHTS) !== 0;
  }

  isMalformed(_code: number): boolean {
    return false; // a misconfiguration is an exit of its own
  }

  *setRoot(cpu: Context, v: Vcpu, root: number, levels: number): Routine<void> {
    if (v.loaded !== v.own.block) {
      yield vmptrld(cpu, v.own.block, 'root.load-vmcs');
      v.loaded = v.own.block;
    }
    yield vmwrite(cpu, Field.eptp, eptp(root, levels), 'root.set');
  }

  *advance(cpu: Context, _block: number): Routine<void> {
    const length = num(yield vmread(cpu, Field.exitInstructionLength, 'retire.length'));
    const rip = num(yield vmread(cpu, Field.guestRip, 'retire.rip'));
    yield vmwrite(cpu, Field.guestRip, rip + length, 'retire.advance');
  }

  setInstructionPointer(cpu: Context, _block: number, at: number, label: string): Act {
    return vmwrite(cpu, Field.guestRip, at, label);
  }

  recordExit(cpu: Context, block: number, record: number, label: string): Act {
    const to = record / FRAME_BYTES;
    return copyFields(cpu, { fields: RECORD, into: RECORD_WORDS, from: block, to }, label);
  }

  flushAll(cpu: Context, _v: Vcpu, label: string): Act {
    return inveptAll(cpu, label);
  }

  flushRoot(cpu: Context, _v: Vcpu, root: number, label: string): Act {
    return invept(cpu, root, label);
  }
}

export const vmx: Virtualisation = new Vmx();
