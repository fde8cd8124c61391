/**
 * From a second-stage fault to the TDP MMU, for whoever owns that MMU: the host for its guests, a
 * guest hypervisor for its own.
 */
import { defect } from '../../../base/assert.ts';
import { FRAME_BYTES } from '../../../machine/memory.ts';
import { num, type Routine } from '../../../runtime/act.ts';
import type { Context } from '../../../runtime/context.ts';
import type { ExitHandler, Vcpu } from '../../vcpu.ts';
import { tdpFault } from './fault.ts';
import type { TdpMmu } from './mmu.ts';

/** Called for a write to a page that must stay write-protected. */
export type TrackedWrite = (cpu: Context, v: Vcpu, gpa: number) => Routine<void>;

export function handleViolation(mmu: TdpMmu, trackedWrite?: TrackedWrite): ExitHandler {
  return function* violation(cpu: Context, v: Vcpu): Routine<void> {
    const { virt } = v;
    const { block } = v.active;
    const code = num(yield virt.faultCode(cpu, block, 'violation.why'));
    const gpa = num(yield virt.faultAddress(cpu, block, 'violation.where'));
    const gfn = Math.floor(gpa / FRAME_BYTES);
    const access = virt.accessOf(code);
    if (trackedWrite !== undefined && access === 'write' && virt.isMapped(code)) {
      if (yield* mmu.isTracked(cpu, gfn)) return yield* trackedWrite(cpu, v, gpa);
    }
    cpu.began('fault', gfn);
    const outcome = yield* tdpFault(cpu, mmu, { gfn, access, present: virt.isMapped(code) });
    cpu.ended('fault', outcome);
    if (outcome === 'absent') defect('violation', `guest page 0x${gfn.toString(16)} is no memory`);
  };
}
