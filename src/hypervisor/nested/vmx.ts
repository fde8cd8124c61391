/**
 * L1's VMX instructions, emulated by L0: each was an exit. VMREAD and VMWRITE come here only for
 * fields outside the shadow VMCS, or for all of them when VMCS shadowing is off.
 */
import { ExitReason } from '../../machine/exit.ts';
import { copyFields, vmwrite } from '../../machine/instruction.ts';
import { Unit } from '../../machine/preset/price.ts';
import { Field, fieldAt, Groups, isShadowed } from '../../machine/vmcs.ts';
import type { Routine } from '../../runtime/act.ts';
import type { Context } from '../../runtime/context.ts';
import { retire } from '../emulate.ts';
import type { ExitHandler, Vcpu } from '../vcpu.ts';
import { nestedEntry } from './entry.ts';
import { SHADOWED } from './fields.ts';
import { type NestedVm, nestedOf } from './state.ts';

/** Decoding a VMX instruction's operands from the instruction information, in controls checked. */
const DECODE_CHECKS = 8;

export function vmxExits(vm: NestedVm): readonly (readonly [number, ExitHandler])[] {
  return [
    [ExitReason.vmptrld, (cpu, v) => emulateVmptrld(cpu, v, vm)],
    [ExitReason.vmread, (cpu, v) => emulateVmread(cpu, v, vm)],
    [ExitReason.vmwrite, (cpu, v) => emulateVmwrite(cpu, v, vm)],
    [ExitReason.vmresume, (cpu, v) => nestedEntry(cpu, v, vm)],
    [ExitReason.invept, (cpu, v) => emulateInvept(cpu, v, vm)],
    [ExitReason.invvpid, (cpu, v) => emulateInvept(cpu, v, vm)], // flushes more than it must
  ];
}

/** The region's fields are cached; with VMCS shadowing L1 reaches the shadowed ones from now on. */
function* emulateVmptrld(cpu: Context, v: Vcpu, vm: NestedVm): Routine<void> {
  const nested = nestedOf(vm, v);
  cpu.spend(Unit.controlChecked, DECODE_CHECKS);
  const frame = yield* vm.tdp.backing.find(cpu, v.active.guest.top.act.at);
  if (frame < 0) return yield* retire(cpu, v, 0); // VMfailInvalid: no such memory
  for (const field of Object.values(Groups).flat()) {
    cpu.spend(Unit.fieldCopied, 1);
    cpu.write(fieldAt(nested.cached, field), cpu.read(fieldAt(frame, field)));
  }
  nested.dirty = true;
  if (vm.vmcsShadowing) {
    yield copyFields(
      cpu,
      { fields: SHADOWED, from: nested.cached, to: nested.shadowVmcs },
      'vmptrld.shadow',
    );
    yield vmwrite(cpu, Field.linkPointer, nested.shadowVmcs, 'vmptrld.link');
  }
  yield* retire(cpu, v, 0);
}

function* emulateVmread(cpu: Context, v: Vcpu, vm: NestedVm): Routine<void> {
  cpu.spend(Unit.controlChecked, DECODE_CHECKS);
  cpu.spend(Unit.fieldCopied, 1);
  const value = cpu.read(fieldAt(nestedOf(vm, v).cached, v.active.guest.top.act.at));
  yield* retire(cpu, v, value);
}

function* emulateVmwrite(cpu: Context, v: Vcpu, vm: NestedVm): Routine<void> {
  const nested = nestedOf(vm, v);
  const { act } = v.active.guest.top;
  cpu.spend(Unit.controlChecked, DECODE_CHECKS);
  cpu.spend(Unit.fieldCopied, 1);
  cpu.write(fieldAt(nested.cached, act.at), act.operand as number);
  if (!isShadowed(act.at)) nested.dirty = true;
  yield* retire(cpu, v, 0);
}

/** This vCPU's root is looked up again and hardware flushes, both at the next entry. */
function* emulateInvept(cpu: Context, v: Vcpu, vm: NestedVm): Routine<void> {
  const nested = nestedOf(vm, v);
  cpu.spend(Unit.controlChecked, DECODE_CHECKS);
  nested.invalidated = true;
  nested.root = 0;
  yield* retire(cpu, v, 0);
}
