/**
 * L1's VMX instructions, emulated by L0: each was an exit. A VM entry of L1's is checks, merging
 * VMCS12 into VMCS02, and then a plain hardware entry. VMREAD and VMWRITE come here only for
 * fields outside the shadow VMCS, or for all of them when VMCS shadowing is off.
 */
import { ExitReason } from '../../machine/exit.ts';
import type { GuestContext } from '../../machine/guest.ts';
import { copyFields, vmptrld, vmread, vmwrite } from '../../machine/instruction.ts';
import { FRAME_BYTES } from '../../machine/memory.ts';
import { Unit } from '../../machine/preset/price.ts';
import { eptp, Field, fieldAt, Groups, isShadowed } from '../../machine/vmcs.ts';
import { num, type Routine } from '../../runtime/act.ts';
import type { Context } from '../../runtime/context.ts';
import { retire } from '../emulate.ts';
import type { ExitHandler, Vcpu } from '../vcpu.ts';
import { runningL2 } from './entry.ts';
import { CHECKS, ENTRY_ALWAYS, ENTRY_RARE, SHADOWED, SHADOWED_WRITABLE } from './fields.ts';
import { reflect } from './reflect.ts';
import type { NestedSide } from './side.ts';
import { type NestedVcpu, type NestedVm, nestedOf } from './state.ts';

/** What L1's VM entry yields if a control of VMCS12 is refused (VMfailValid). */
const VM_FAIL = 1;
/** VPID02 of L2's vCPUs start here; L1's are below. */
const L2_VPIDS = 1024;

/** Decoding a VMX instruction's operands from the instruction information, in controls checked. */
const DECODE_CHECKS = 8;

function instructions(vm: NestedVm): readonly (readonly [number, ExitHandler])[] {
  return [
    [ExitReason.vmptrld, (cpu, v) => emulateVmptrld(cpu, v, vm)],
    [ExitReason.vmread, (cpu, v) => emulateVmread(cpu, v, vm)],
    [ExitReason.vmwrite, (cpu, v) => emulateVmwrite(cpu, v, vm)],
    [ExitReason.vmresume, (cpu, v) => nestedEntry(cpu, v, vm)],
    [ExitReason.invept, (cpu, v) => emulateInvept(cpu, v, vm)],
    [ExitReason.invvpid, (cpu, v) => emulateInvept(cpu, v, vm)], // flushes more than it must
  ];
}

/** L1 executed VMLAUNCH or VMRESUME. */
function* nestedEntry(cpu: Context, v: Vcpu, vm: NestedVm): Routine<void> {
  const nested = nestedOf(vm, v);
  const l2 = v.own.guest.top.act.operand as GuestContext;
  cpu.spend(Unit.controlChecked, CHECKS);
  if (!vm.tdp.backing.has(rootOf(cpu, nested))) return yield* retire(cpu, v, VM_FAIL);
  if (vm.vmcsShadowing) {
    yield vmptrld(cpu, nested.shadowVmcs, 'nested.in.shadow');
    const copy = { fields: SHADOWED_WRITABLE, from: nested.shadowVmcs, to: nested.cached };
    yield copyFields(cpu, copy, 'nested.in');
  }
  yield vmptrld(cpu, nested.vmcs02, 'nested.entry.vmcs02');
  v.loaded = nested.vmcs02;
  const fields = nested.dirty ? [...ENTRY_ALWAYS, ...ENTRY_RARE] : ENTRY_ALWAYS;
  nested.dirty = false;
  yield copyFields(cpu, { fields, from: nested.cached, to: nested.vmcs02 }, 'nested.merge');
  if (nested.running?.guest !== l2) nested.running = runningL2(vm, l2, nested.vmcs02);
  v.active = nested.running;
}

/** The region's fields are cached; with VMCS shadowing L1 reaches the shadowed ones from now on. */
function* emulateVmptrld(cpu: Context, v: Vcpu, vm: NestedVm): Routine<void> {
  const nested = nestedOf(vm, v);
  cpu.spend(Unit.controlChecked, DECODE_CHECKS);
  const { at } = v.active.guest.top.act;
  const frame = yield* vm.tdp.backing.find(cpu, at);
  if (frame < 0) return yield* retire(cpu, v, 0); // VMfailInvalid: no such memory
  nested.block12 = at;
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

/** L1 page of the root that VMCS12 names; flags beside it do not tell roots apart, as in a TLB. */
function rootOf(cpu: Context, nested: NestedVcpu): number {
  return Math.floor(cpu.read(fieldAt(nested.cached, Field.eptp)) / FRAME_BYTES);
}

export const vmxSide: NestedSide = {
  prepareBlock(boot, { vcpus }, v): void {
    boot.write(fieldAt(vcpus[v.index]!.vmcs02, Field.vpid), L2_VPIDS + v.index);
  },
  rootOf,
  useRoot(cpu, { vmcs02 }, table, levels): void {
    cpu.write(fieldAt(vmcs02, Field.eptp), eptp(table, levels));
  },
  reflectInterrupt: (cpu, v, vm) => {
    const reason = ExitReason.externalInterrupt;
    return reflect(cpu, v, vm, { reason, qualification: 0, guestPhysical: 0 });
  },
  *reflectInstruction(cpu, v, vm): Routine<void> {
    const reason = num(yield vmread(cpu, Field.exitReason, 'nested.reason'));
    yield* reflect(cpu, v, vm, { reason, qualification: 0, guestPhysical: 0 });
  },
  reflectFault: (cpu, v, vm, { malformed, rights, code, gpa }) => {
    const reason = malformed ? ExitReason.eptMisconfig : ExitReason.eptViolation;
    const qualification = malformed ? 0 : (code & ~0x38) | rights;
    return reflect(cpu, v, vm, { reason, qualification, guestPhysical: gpa });
  },
  instructions,
};
