/**
 * KVM's remote flush: set a request on every vCPU, look at each one's mode, interrupt those in
 * guest mode and wait until they have answered (`kvm_make_all_cpus_request`). The flush itself
 * happens at each vCPU's next entry. Requests are written before modes are read; the entry writes
 * its mode before it reads requests; both sides have a full barrier in between (primer/x86.md 2.5).
 */
import { sendIpi, VECTOR_CALL } from '../../machine/instruction.ts';
import { num, type Routine } from '../../runtime/act.ts';
import type { Context } from '../../runtime/context.ts';
import { isInGuest, REQUEST_FLUSH, type Vcpu, type Vm } from '../vcpu.ts';

/** Returns when no vCPU of `vm` can use a translation older than the call. */
export function flushRemote(cpu: Context, vm: Vm, wait = 'flush.wait'): Routine<void> {
  const { flushEverywhere } = vm.platform.virt;
  if (vm.sharedTag !== undefined && flushEverywhere !== undefined) {
    return flushEverywhere(cpu, vm.sharedTag);
  }
  return requestAll(cpu, vm, REQUEST_FLUSH, wait);
}

/** Returns when every vCPU is out of guest mode or has been since: it does not enter unserved. */
export function* requestAll(
  cpu: Context,
  vm: Vm,
  requests: number,
  wait = 'flush.wait',
): Routine<void> {
  const called: { v: Vcpu; ticket: number }[] = [];
  cpu.attempt('flush');
  for (const v of vm.vcpus) {
    cpu.attempt('flush.vcpu');
    yield cpu.or(v.requests, requests, 'flush.request'); // locked: a full barrier
    const runs = isInGuest(num(yield cpu.load(v.mode, 'flush.mode')));
    cpu.conclude('flush.vcpu', runs ? 1 : 0);
    if (!runs) continue;
    const ticket = num(yield cpu.add(v.called, 1, 'flush.call')) + 1;
    yield sendIpi(cpu, v.seat, VECTOR_CALL, 'flush.kick');
    called.push({ v, ticket });
  }
  for (const { v, ticket } of called) {
    yield cpu.wait([v.answered], () => cpu.peek(v.answered) >= ticket, wait);
  }
  cpu.conclude('flush', 0);
}

/**
 * Interrupt handler of a function call: answers all calls made so far. With interrupts off, as an
 * interrupt gate has them: a second one on top of it would answer more, and then this one less.
 */
export function* answerCalls(cpu: Context, v: Vcpu): Routine<void> {
  cpu.masked = true;
  const calls = num(yield cpu.load(v.called, 'call.look'));
  yield cpu.store(v.answered, calls, 'call.answer');
  cpu.masked = false;
}
