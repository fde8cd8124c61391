/**
 * A nested VM exit, emulated: an exit of L2 is delivered to L1. L2's state is saved to VMCS12,
 * L1's is loaded from its host-state fields, and L1's VM entry instruction returns.
 */
import { copyFields, vmptrld } from '../../machine/instruction.ts';
import { Field, fieldAt } from '../../machine/vmcs.ts';
import { completeAct } from '../../machine/world-switch.ts';
import type { Routine } from '../../runtime/act.ts';
import type { Context } from '../../runtime/context.ts';
import { Event } from '../../runtime/trace.ts';
import type { Vcpu } from '../vcpu.ts';
import { EXIT_ALWAYS, HOST_STATE, HOST_STATE_INTO, SHADOWED } from './fields.ts';
import { type NestedVm, nestedOf } from './state.ts';

export interface ReflectedExit {
  readonly reason: number;
  readonly qualification: number;
  readonly guestPhysical: number;
}

/** Delivers an exit of L2 to L1: L1's VM entry instruction returns. */
export function* reflect(cpu: Context, v: Vcpu, vm: NestedVm, exit: ReflectedExit): Routine<void> {
  const nested = nestedOf(vm, v);
  yield copyFields(
    cpu,
    { fields: EXIT_ALWAYS, from: nested.vmcs02, to: nested.cached },
    'nested.out',
  );
  cpu.write(fieldAt(nested.cached, Field.exitReason), exit.reason);
  cpu.write(fieldAt(nested.cached, Field.exitQualification), exit.qualification);
  cpu.write(fieldAt(nested.cached, Field.exitGuestPhysical), exit.guestPhysical);
  yield vmptrld(cpu, v.own.block, 'nested.exit.vmcs01');
  v.loaded = v.own.block;
  const host = { fields: HOST_STATE, into: HOST_STATE_INTO, from: nested.cached, to: v.own.block };
  yield copyFields(cpu, host, 'nested.host');
  if (vm.vmcsShadowing) {
    yield vmptrld(cpu, nested.shadowVmcs, 'nested.publish.shadow');
    const copy = { fields: SHADOWED, from: nested.cached, to: nested.shadowVmcs };
    yield copyFields(cpu, copy, 'nested.publish');
    yield vmptrld(cpu, v.own.block, 'nested.publish.vmcs01');
  }
  v.active = v.own;
  cpu.note(Event.nested, exit.reason, v.own.guest.level);
  completeAct(v.own.guest.top, 0);
}
