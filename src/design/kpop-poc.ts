/**
 * KPOP's proof of concept of 2023: L1 maps L2 by hypercall, one page per call, and everything else
 * is nested virtualisation as before: L1 enters L2 by emulated VMX or SVM.
 */
import { PocMmu, pocOwner, pocViolation } from '../guest/l1/kpop-poc.ts';
import { AnonymousBacking } from '../hypervisor/backing/anonymous.ts';
import { retire } from '../hypervisor/emulate.ts';
import { answerPocCall, pocStage } from '../hypervisor/kpop-poc/calls.ts';
import { pocTake } from '../hypervisor/kpop-poc/map.ts';
import { makeTables, type PocVm } from '../hypervisor/kpop-poc/vm.ts';
import { handleViolation } from '../hypervisor/mmu/tdp/violation.ts';
import { answerCall, answerOwnerCalls, type Owner } from '../hypervisor/owner.ts';
import type { ExitHandler, ExitTable, Vm } from '../hypervisor/vcpu.ts';
import type { Machine } from '../machine/machine.ts';
import type { Routine } from '../runtime/act.ts';
import { buildGuestVm, type GuestVm } from './guest-vm.ts';
import { attachRcu, startVcpus } from './host.ts';
import { buildPocHost } from './kpop-poc-checked.ts';
import { buildL1, type L1 } from './l1.ts';
import { addNestedVcpus, entryOptions, nestedVcpu } from './nested-host.ts';
import { ENTRY_AXES, startL1Vcpus } from './nested-l1.ts';
import { type Axes, type Design, hostPlatform, type System } from './system.ts';
import { hostExits, rangesOf, slotsOf, tableBytes, tdpOwner } from './tdp.ts';

export const kpopPoc: Design = {
  id: 'kpop-poc',
  title: 'KPOP’s proof of concept of 2023: three hypercalls, full VMX entry',
  axes: {
    ...ENTRY_AXES,
    invalidate: {
      values: ['l1', 'all'],
      default: 'l1',
      describe:
        'what the host’s taking of L1 pages reaches: EPT01, as in the code that was read ' +
        '(unverified), or L2’s roots too, searched for the frames',
    },
  },
  source: 'primer/x86.md 6.0, primer/protection.md 2.3: branch KPOP_RFC of pKVM-IA, September 2023',
  leavesOut: [
    'ageing, dirty logging, page tracking, emulation through L2’s tables, huge pages: ' +
      'they were left to do',
    'a book in L1: it calls for every range that it takes away, mapped or not',
    'memslots of L1 that come and go (zap all), system management mode, read-only mappings',
    'invalidate=l1: L2 goes on using pages that the host has taken, so a workload whose entries ' +
      'the host takes away (refault) finds them all there',
    'control checks by meaning (they are counted), MSR bitmaps, as in nested',
  ],
  isolates: 'what mapping by hypercall alone brings, without a cheaper entry or fewer exits',
  explored: {
    breaks: [{ axis: 'invalidate', value: 'l1', needs: ['invalidate'] }],
  },
  build(machine, demand, axes, conditions): System {
    if (demand.barePages !== undefined) return buildPocHost(machine, demand, axes);
    const host = hostPlatform(machine);
    const guest = buildGuestVm(machine, demand, 2);
    const l1 = buildL1(machine, host, demand, guest.memory, conditions);
    const vm = pocVm(machine, l1, axes);
    const reach = axes['invalidate'] === 'all' ? 'all' : 'l1';
    addNestedVcpus(l1, vm, l1Exits(l1, vm, reach), conditions.apicv === 'on');
    l1.mmu.rcu = attachRcu(host, [l1.vm]);
    startVcpus(machine, l1.vm);
    const mmu = startL1(l1, guest);
    return {
      machine,
      environments: guest.environments,
      hostInvalidate: (cpu, gfns) =>
        pocTake(cpu, vm, reach, rangesOf(l1PagesOf(machine, l1, mmu, gfns)), 'keep'),
      memory: () => memoryOf(machine, l1, vm),
    };
  },
};

function pocVm(machine: Machine, l1: L1, axes: Axes): PocVm {
  const frame = (): number => l1.vm.platform.arena.frames(1);
  const vm: PocVm = {
    ...entryOptions(machine, axes),
    tdp: l1.mmu,
    stage: pocStage(() => vm),
    vcpus: l1.contexts.map(() => nestedVcpu(frame)),
    poc: makeTables(l1.mmu, machine.translator.nestedStage, l1.contexts.length),
  };
  return vm;
}

/** What L0 does about exits of L1; its hypercalls are the three, or those of any guest. */
function l1Exits(l1: L1, vm: PocVm, reach: 'l1' | 'all'): ExitTable {
  const owner: Owner = {
    ...tdpOwner(l1.mmu),
    unmap: (cpu, ranges) => pocTake(cpu, vm, reach, ranges, 'free'),
  };
  const toOwner: ExitHandler = function* call(cpu, v): Routine<void> {
    if (yield* answerCall(cpu, owner, v.active.guest)) yield* retire(cpu, v, 0);
  };
  const vmcall: ExitHandler = (cpu, v) => answerPocCall(cpu, v, vm) ?? toOwner(cpu, v);
  return new Map([...hostExits(handleViolation(l1.mmu), vmcall), ...vm.side.instructions(vm)]);
}

/** L1's hypervisor: KVM's run loop over an MMU of hypercalls. */
function startL1(l1: L1, guest: GuestVm): PocMmu {
  const { platform } = l1;
  const vm: Vm = { name: 'l2', platform, vcpus: [] };
  const mmu = new PocMmu(platform, new AnonymousBacking(platform, slotsOf(guest.memory)));
  startL1Vcpus(l1, vm, guest, {
    options: { root: mmu.root, vpid: 1, virtualIpis: false },
    exits: hostExits(pocViolation(mmu), answerOwnerCalls(pocOwner(mmu))),
    begin: (cpu, v) => mmu.load(cpu, v),
    end: (cpu, v) => mmu.unload(cpu, v),
  });
  return mmu;
}

function l1PagesOf(machine: Machine, l1: L1, mmu: PocMmu, gfns: readonly number[]): number[] {
  const read = (at: number): number => machine.memory.read(l1.toHost(at));
  return gfns.map((gfn) => mmu.backing.peekFrame({ read }, gfn));
}

/** EPT01 and the roots of L2; there are no books. */
function memoryOf(
  machine: Machine,
  l1: L1,
  { poc }: PocVm,
): { tableBytes: number; bookBytes: number } {
  const roots = poc.roots.reduce((sum, { mmu }) => sum + tableBytes(machine, mmu), 0);
  return { tableBytes: tableBytes(machine, l1.mmu) + roots, bookBytes: 0 };
}
