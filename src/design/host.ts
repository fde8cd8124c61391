/**
 * Parts that every stack is put together from: vCPUs with their control blocks, threads on CPUs,
 * the host's interrupt vectors, RCU over all vCPU threads of a level.
 */
import { defect } from '../base/assert.ts';
import { answerCalls } from '../hypervisor/flush/request-kick.ts';
import { postVector } from '../hypervisor/interrupt.ts';
import type { TdpMmu } from '../hypervisor/mmu/tdp/mmu.ts';
import type { Platform } from '../hypervisor/platform.ts';
import { vcpuThread } from '../hypervisor/run-loop.ts';
import { type ExitTable, type Running, running, Vcpu, type Vm } from '../hypervisor/vcpu.ts';
import type { BlockOptions } from '../hypervisor/virt/virt.ts';
import type { GuestContext } from '../machine/guest.ts';
import { endInterrupt, VECTOR_CALL, VECTOR_KICK, VECTOR_TIMER } from '../machine/instruction.ts';
import type { Machine } from '../machine/machine.ts';
import type { Routine } from '../runtime/act.ts';
import { Rcu } from '../sync/rcu.ts';

/** VPID or ASID of the first vCPU. */
export const FIRST_TAG = 1;

/** Control blocks of vCPUs whose memory is what `mmu` maps; `vpid`: of the first vCPU. */
export function blocksOf(mmu: TdpMmu, vpid: number, virtualIpis: boolean): BlockOptions {
  return { root: mmu.root, levels: mmu.format.geometry.levels, vpid, virtualIpis };
}

/** Writes vCPU `index`'s control block in frames of `platform`'s own memory; its number. */
export function makeBlock(platform: Platform, index: number, options: BlockOptions): number {
  const block = platform.arena.frames(platform.virt.blockFrames);
  const own = { ...options, vpid: options.vpid + (options.shared === true ? 0 : index) };
  platform.virt.writeBlock(platform.boot, block, own);
  return block;
}

/** One vCPU per guest context, on the CPU of the same number. */
export function addVcpus(
  vm: Vm,
  guests: readonly GuestContext[],
  options: BlockOptions,
  exits: ExitTable,
  prepare?: Running['prepare'],
): void {
  guests.forEach((guest, i) => {
    guest.homeCpu = i;
    const block = makeBlock(vm.platform, i, options);
    const v = new Vcpu(vm, i, i, { ...running(guest, block, exits), prepare });
    if (options.virtualIpis && guests.length > 1) guest.posted = v.vectors;
  });
}

/** RCU whose readers are the vCPU threads of `vms`; what it releases are frames of `platform`. */
export function attachRcu(platform: Platform, vms: readonly Vm[]): Rcu {
  const readers = vms.flatMap((vm) => vm.vcpus);
  const base = platform.arena.take(Rcu.bytes(platform.cpus, readers.length));
  return new Rcu(base, readers, (cpu, frame) => platform.frames.give(cpu, frame));
}

/** Starts the vCPU threads of the host, all unless given, and its answers to function calls. */
export function startVcpus(machine: Machine, vm: Vm, vcpus: readonly Vcpu[] = vm.vcpus): void {
  for (const v of vcpus) {
    machine.hostThread(v.seat, `vcpu.${v.index}`, (me) => vcpuThread(me, v, nothing()));
  }
  machine.hostVectors.set(VECTOR_CALL, (cpu, host) => {
    const v = vm.vcpus[cpu.id] ?? defect('startVcpus', `CPU ${cpu.id} runs no vCPU`);
    return answerCalls(host, v);
  });
  machine.hostVectors.set(VECTOR_KICK, nothing); // the exit was the point
  machine.hostVectors.set(VECTOR_TIMER, (cpu, host) => {
    const v = vm.vcpus[cpu.id] ?? defect('startVcpus', `CPU ${cpu.id} runs no vCPU`);
    return postVector(host, v, VECTOR_TIMER); // the CPU's timer is armed for its vCPU only
  });
}

/** Handler of an interrupt of a guest hypervisor's CPU, and its end if the APIC is told. */
export function* handled(cpu: GuestContext, handler: Routine<void>): Routine<void> {
  yield* handler;
  if (cpu.apic.signalsEnd) yield endInterrupt(cpu, 'l1.interrupt.end');
}

export function* nothing(): Routine<void> {
  // a thread without anything to boot
}
