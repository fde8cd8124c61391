/**
 * Parts that every stack is put together from: vCPUs with their VMCSs, threads on CPUs, the host's
 * interrupt vectors, RCU over all vCPU threads of a level.
 */
import { defect } from '../base/assert.ts';
import { answerCalls } from '../hypervisor/flush/request-kick.ts';
import type { Platform } from '../hypervisor/platform.ts';
import { vcpuThread } from '../hypervisor/run-loop.ts';
import { type ExitTable, type Running, running, Vcpu, type Vm } from '../hypervisor/vcpu.ts';
import type { GuestContext } from '../machine/guest.ts';
import { VECTOR_CALL, VECTOR_KICK } from '../machine/instruction.ts';
import type { Machine } from '../machine/machine.ts';
import { Field, fieldAt, IPI_VIRTUALISATION } from '../machine/vmcs.ts';
import type { Routine } from '../runtime/act.ts';
import { Rcu } from '../sync/rcu.ts';

/** EPTP flags: write-back, 4 levels, accessed and dirty flags on. */
export const EPTP_FLAGS = 0x5e;
const FRAME_BYTES = 4096;

/** What the VMCSs of a VM's vCPUs have in common. */
export interface VmcsOptions {
  /** Frame of the second-stage root, in the hypervisor's own memory; undefined: EPT is off. */
  readonly root: number | undefined;
  /** VPID of the first vCPU. */
  readonly vpid: number;
  readonly virtualIpis: boolean;
}

/** Writes a VMCS in a frame of `platform`'s own memory; its frame number. */
export function makeVmcs(platform: Platform, index: number, options: VmcsOptions): number {
  const vmcs = platform.arena.frames(1);
  const put = (field: number, value: number): void => {
    platform.boot.write(fieldAt(vmcs, field), value);
  };
  put(Field.eptp, options.root === undefined ? 0 : options.root * FRAME_BYTES + EPTP_FLAGS);
  put(Field.vpid, options.vpid + index);
  put(Field.tertiaryControls, options.virtualIpis ? IPI_VIRTUALISATION : 0);
  return vmcs;
}

/** One vCPU per guest context, on the CPU of the same number. */
export function addVcpus(
  vm: Vm,
  guests: readonly GuestContext[],
  options: VmcsOptions,
  exits: ExitTable,
  prepare?: Running['prepare'],
): void {
  guests.forEach((guest, i) => {
    guest.homeCpu = i;
    const vmcs = makeVmcs(vm.platform, i, options);
    new Vcpu(vm, i, i, { ...running(guest, vmcs, exits), prepare });
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
}

export function* nothing(): Routine<void> {
  // a thread without anything to boot
}
