/**
 * Virtual interrupts as a hypervisor handles them: posting one for a vCPU, accepting what was
 * posted before an entry, expired timers, and vCPUs that have nothing to do.
 *
 * Posting against entry is the handshake of the remote flush: the vector and the request are
 * written (locked) before the mode is read; an entry writes its mode (locked) before it reads
 * requests. So a vCPU in guest mode is interrupted, and any other sees the request.
 *
 * Source: arch/x86/kvm/lapic.c (__apic_accept_irq), vmx.c (vmx_deliver_posted_interrupt) and
 * kvm_main.c (kvm_vcpu_block, kvm_vcpu_kick); facts.
 * Leaves out: interrupt windows; the host's scheduler, as an idle thread keeps its CPU (a wait
 * within the time that KVM polls for).
 */
import { halt, sendIpi, VECTOR_KICK } from '../machine/instruction.ts';
import { vectorBit, vectorsOf } from '../machine/virtual-apic.ts';
import { num, type Routine } from '../runtime/act.ts';
import type { Context } from '../runtime/context.ts';
import { retire } from './emulate.ts';
import { isInGuest, REQUEST_DEAD, REQUEST_EVENT, type Vcpu } from './vcpu.ts';

/** Posts `vector` for the guest of `v`; it is delivered as soon as the vCPU can take it. */
export function* postVector(cpu: Context, v: Vcpu, vector: number): Routine<void> {
  yield cpu.or(v.vectors, vectorBit(vector), 'post.vector');
  yield cpu.or(v.requests, REQUEST_EVENT, 'post.request'); // locked: a full barrier
  const runs = isInGuest(num(yield cpu.load(v.mode, 'post.mode')));
  if (runs || (yield* isHalted(cpu, v))) {
    yield sendIpi(cpu, v.seat, VECTOR_KICK, 'post.kick');
  }
}

/** Who waits at a word sees it change; who waits in HLT has to be interrupted. */
function* isHalted(cpu: Context, v: Vcpu): Routine<boolean> {
  if (v.vm.platform.idle === undefined) return false;
  return num(yield cpu.load(v.halted, 'post.halted')) !== 0;
}

/** What was posted goes to the virtual APIC of the vCPU's guest, by the thread that runs it. */
export function* acceptVectors(cpu: Context, v: Vcpu): Routine<void> {
  const { apic } = v.own.guest;
  for (const vector of vectorsOf(yield cpu.exchange(v.vectors, 0, 'accept.vectors'))) {
    apic.accept(vector);
  }
}

/** HLT: the vCPU's thread has nothing to do until an interrupt is posted. */
export function* emulateHalt(cpu: Context, v: Vcpu): Routine<void> {
  yield* retire(cpu, v, 0);
  if (v.own.guest.apic.deliverable !== 0) return;
  if (v.vm.platform.idle === undefined) {
    const isOver = (): boolean => isDue(cpu.peek(v.requests)) || cpu.peek(v.outstanding) !== 0;
    yield cpu.wait([v.requests, v.outstanding], isOver, 'halt.wait');
    return;
  }
  // Halted first, then the look: who posts writes its request first and then looks whether we are.
  yield cpu.exchange(v.halted, 1, 'halt.announce');
  for (;;) {
    cpu.masked = true; // an interrupt from here on ends the HLT
    if (isDue(num(yield cpu.load(v.requests, 'halt.look')))) break;
    yield halt(cpu, 'halt.sleep');
    cpu.masked = false;
  }
  cpu.masked = false;
  yield cpu.store(v.halted, 0, 'halt.awake');
}

function isDue(requests: number): boolean {
  return (requests & (REQUEST_EVENT | REQUEST_DEAD)) !== 0;
}
