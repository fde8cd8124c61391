/**
 * The end of a VM's vCPUs: each is asked to end, interrupted if it runs its guest, and waited for
 * until its thread is past its last act. The handshake is that of the remote flush: the request is
 * written before the mode is read, and an entry writes its mode before it reads requests
 * (`kvm_vm_dead`, `KVM_REQ_VM_DEAD`: facts).
 */
import { sendIpi, VECTOR_KICK } from '../../machine/instruction.ts';
import { num, type Routine } from '../../runtime/act.ts';
import type { Context } from '../../runtime/context.ts';
import { hasEnded, isInGuest, REQUEST_DEAD, type Vcpu, type Vm } from '../vcpu.ts';

/**
 * Returns when no vCPU thread of `vm` runs or will ever run any more; `but`: the thread that asks,
 * if it is one of them.
 */
export function* stopVcpus(cpu: Context, vm: Vm, but?: Vcpu): Routine<void> {
  const others = vm.vcpus.filter((v) => v !== but);
  for (const v of others) {
    yield cpu.or(v.requests, REQUEST_DEAD, 'stop.request'); // locked: a full barrier
    if (!isInGuest(num(yield cpu.load(v.mode, 'stop.mode')))) continue;
    yield sendIpi(cpu, v.seat, VECTOR_KICK, 'stop.kick');
  }
  for (const v of others) {
    yield cpu.wait([v.mode], () => hasEnded(cpu.peek(v.mode)), 'stop.wait');
  }
}
