/**
 * From an EPT violation to the TDP MMU, for whoever owns that MMU: the host for its guests, a guest
 * hypervisor for its own.
 */
import { defect } from '../../../base/assert.ts';
import { vmread } from '../../../machine/instruction.ts';
import { Field } from '../../../machine/vmcs.ts';
import { num, type Routine } from '../../../runtime/act.ts';
import type { Context } from '../../../runtime/context.ts';
import type { ExitHandler, Vcpu } from '../../vcpu.ts';
import { accessOf } from '../common.ts';
import { tdpFault } from './fault.ts';
import type { TdpMmu } from './mmu.ts';

/** Called for a write to a page that must stay write-protected. */
export type TrackedWrite = (cpu: Context, v: Vcpu, gpa: number) => Routine<void>;

const PRESENT = 0x38; // the walk found readable, writable or executable

export function handleViolation(mmu: TdpMmu, trackedWrite?: TrackedWrite): ExitHandler {
  return function* violation(cpu: Context, v: Vcpu): Routine<void> {
    const qualification = num(yield vmread(cpu, Field.exitQualification, 'violation.why'));
    const gpa = num(yield vmread(cpu, Field.exitGuestPhysical, 'violation.where'));
    const gfn = Math.floor(gpa / 4096);
    const access = accessOf(qualification);
    const isPresent = (qualification & PRESENT) !== 0;
    if (trackedWrite !== undefined && access === 'write' && isPresent) {
      if (yield* mmu.isTracked(cpu, gfn)) return yield* trackedWrite(cpu, v, gpa);
    }
    cpu.began('fault', gfn);
    const outcome = yield* tdpFault(cpu, mmu, { gfn, access, present: isPresent });
    cpu.ended('fault', outcome);
    if (outcome === 'absent') defect('violation', `guest page 0x${gfn.toString(16)} is no memory`);
  };
}
