/**
 * L1 runs KVM on emulated VMX and EPT, or SVM and NPT: the same run loop and TDP MMU as `tdp`, over
 * its own memory; L0 emulates its entries and exits and shadows its tables.
 */
import { AnonymousBacking } from '../hypervisor/backing/anonymous.ts';
import { TdpMmu } from '../hypervisor/mmu/tdp/mmu.ts';
import { handleViolation } from '../hypervisor/mmu/tdp/violation.ts';
import { tdpUnmap } from '../hypervisor/mmu/tdp/zap.ts';
import type { ShadowedVm } from '../hypervisor/nested/state.ts';
import { answerOwnerCalls } from '../hypervisor/owner.ts';
import type { Vm } from '../hypervisor/vcpu.ts';
import type { Machine } from '../machine/machine.ts';
import { buildGuestVm, type GuestVm } from './guest-vm.ts';
import { attachRcu, blocksOf, startVcpus } from './host.ts';
import { buildL1, type L1 } from './l1.ts';
import { buildNestedHost, L1_GEOMETRY } from './nested-checked.ts';
import { addNestedVcpus, l1Exits, nestedVm } from './nested-host.ts';
import { ENTRY_AXES, startL1Vcpus } from './nested-l1.ts';
import { type Conditions, type Design, hostPlatform, type System } from './system.ts';
import { hostExits, rangesOf, slotsOf, tableBytes, tdpOwner } from './tdp.ts';

export const nested: Design = {
  id: 'nested',
  title: 'KVM on KVM: L0 shadows the EPT or NPT of L1',
  axes: {
    ...ENTRY_AXES,
    unsync: {
      values: ['off', 'on'],
      default: 'off',
      describe: 'whether a shadowed leaf table may be written without an exit until it is synced',
    },
    storeflush: {
      values: ['lazy', 'now'],
      default: 'lazy',
      describe: 'a trapped table store flushes at once (KVM 6.12) or leaves it to the INVEPT of L1',
    },
  },
  source: 'Linux 6.12 arch/x86/kvm/{vmx,svm}/nested.c and mmu/mmu.c; primer/x86.md section 4',
  leavesOut: [
    'prefetch, write flooding, quotas of shadow pages, huge pages in EPT12',
    'L2 access to the tables of L1, VMCS12 written back by VMPTRLD, VMCLEAR',
    'control checks by meaning (they are counted), MSR bitmaps, VMX preemption timer',
    'SVM: event injection, decode assists, an ASID of its own for L2 (KVM 6.12 has none either)',
    'reclaim of the pages that hold the plain data of L1',
    'teardown of the VM but under kpop check, VMCLEAR before a VMCS is freed',
  ],
  isolates: 'what shadowing the tables of L1 costs on the same hypervisor parts',
  explored: { secondStage: L1_GEOMETRY },
  build(machine, demand, axes, conditions): System {
    if (demand.barePages !== undefined) return buildNestedHost(machine, demand, axes);
    const host = hostPlatform(machine);
    const guest = buildGuestVm(machine, demand, 2);
    const l1 = buildL1(machine, host, demand, guest.memory, conditions);
    const vm = nestedVm(machine, l1, axes);
    startL0(machine, l1, vm, conditions);
    const mmu = startL1(machine, l1, guest);
    return {
      machine,
      environments: guest.environments,
      hostInvalidate: (cpu, gfns) =>
        tdpUnmap(cpu, l1.mmu, rangesOf(l1PagesOf(machine, l1, mmu, gfns)), 'keep'),
      memory: () => memoryOf(machine, l1, vm, mmu),
    };
  },
};

function startL0(machine: Machine, l1: L1, vm: ShadowedVm, conditions: Conditions): void {
  addNestedVcpus(l1, vm, l1Exits(l1, vm), conditions.apicv === 'on');
  l1.mmu.rcu = attachRcu(l1.vm.platform, [l1.vm]);
  startVcpus(machine, l1.vm);
}

/** L1's hypervisor: the parts of `tdp`, on L1's platform. */
function startL1(machine: Machine, l1: L1, guest: GuestVm): TdpMmu {
  const { platform } = l1;
  const vm: Vm = { name: 'l2', platform, vcpus: [] };
  const mmu = new TdpMmu({
    vm,
    format: machine.translator.nestedStage,
    backing: new AnonymousBacking(platform, slotsOf(guest.memory)),
    lockClass: 'l1.mmu',
    faultLock: 'read',
  });
  const exits = hostExits(handleViolation(mmu), answerOwnerCalls(tdpOwner(mmu)));
  startL1Vcpus(l1, vm, guest, { options: blocksOf(mmu, 1, false), exits });
  mmu.rcu = attachRcu(platform, [vm]);
  return mmu;
}

function l1PagesOf(machine: Machine, l1: L1, mmu: TdpMmu, gfns: readonly number[]): number[] {
  const read = (at: number): number => machine.memory.read(l1.toHost(at));
  return gfns.map((gfn) => mmu.backing.peekFrame({ read }, gfn));
}

function memoryOf(
  machine: Machine,
  l1: L1,
  vm: ShadowedVm,
  mmu: TdpMmu,
): { tableBytes: number; bookBytes: number } {
  const shadow = vm.shadow.bytes((at) => machine.memory.read(at));
  const ept12 = tableBytes(machine, mmu, l1.toHost);
  return {
    tableBytes: tableBytes(machine, l1.mmu) + ept12 + shadow.tables,
    bookBytes: shadow.books,
  };
}
