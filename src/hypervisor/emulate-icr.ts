/**
 * A guest's write to the interrupt command register where IPIs are not virtualised: the hypervisor
 * posts the vector in the target's virtual APIC and kicks the CPU it runs on, if it runs.
 *
 * Leaves out: logical destinations, broadcasts, EOI (taken as paravirtual, without an exit).
 */
import { sendIpi, VECTOR_KICK } from '../machine/instruction.ts';
import { Unit } from '../machine/preset/price.ts';
import { num, type Routine } from '../runtime/act.ts';
import type { Context } from '../runtime/context.ts';
import { retire } from './emulate.ts';
import { isInGuest, type Vcpu } from './vcpu.ts';

/** Decoding the register and finding the target, in controls checked. */
const DECODE_CHECKS = 8;

export function* emulateIcr(cpu: Context, v: Vcpu): Routine<void> {
  const { act } = v.active.guest.top;
  const target = v.vm.vcpus[act.at];
  cpu.spend(Unit.controlChecked, DECODE_CHECKS);
  if (target === undefined) return yield* retire(cpu, v, 0); // nobody has that APIC id
  target.own.guest.post(act.lo);
  if (isInGuest(num(yield cpu.load(target.mode, 'icr.mode')))) {
    yield sendIpi(cpu, target.seat, VECTOR_KICK, 'icr.kick');
  }
  yield* retire(cpu, v, 0);
}
