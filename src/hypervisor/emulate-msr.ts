/**
 * A guest's accesses to MSRs that exit: of the APIC its interrupt command register, its timer and
 * its end-of-interrupt register, and any other.
 *
 * Leaves out: logical destinations, broadcasts, what other registers mean.
 */
import { armTimer, Instruction } from '../machine/instruction.ts';
import { Unit } from '../machine/preset/price.ts';
import type { Routine } from '../runtime/act.ts';
import type { Context } from '../runtime/context.ts';
import { retire } from './emulate.ts';
import { postVector } from './interrupt.ts';
import type { Vcpu } from './vcpu.ts';

/** Decoding the register, and finding what it is about, in controls checked. */
const DECODE_CHECKS = 8;

export function* emulateMsr(cpu: Context, v: Vcpu): Routine<void> {
  const { guest } = v.active;
  const { act } = guest.top;
  const { op, at, lo } = act;
  cpu.spend(Unit.controlChecked, DECODE_CHECKS);
  switch (op) {
    case Instruction.sendIpi: {
      const target = v.vm.vcpus[at];
      if (target !== undefined) yield* postVector(cpu, target, lo); // else nobody has that id
      break;
    }
    case Instruction.armTimer:
      yield armTimer(cpu, at, 'msr.timer'); // the CPU's own: its thread runs this vCPU only
      break;
    case Instruction.endInterrupt:
      guest.apic.end();
      break;
    default:
      cpu.spend(Unit.fieldCopied, 1);
  }
  yield* retire(cpu, v, 0);
}
