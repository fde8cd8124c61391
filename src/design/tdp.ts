/**
 * KVM's two-dimensional paging with the TDP MMU, not nested: the owner of the guest's memory is L0.
 */

import type { Frames } from '../alloc/frames.ts';
import { tdpFrames } from '../check/invariant/mmu-frames.ts';
import { backedBy, tdpDirty, tdpPromises } from '../check/invariant/tdp-backing.ts';
import { tdpOracle } from '../check/oracle/tdp-words.ts';
import type { FramePool } from '../check/promise.ts';
import { AnonymousBacking } from '../hypervisor/backing/anonymous.ts';
import { emulateCpuid, ignoreInterrupt } from '../hypervisor/emulate.ts';
import { emulateIcr } from '../hypervisor/emulate-icr.ts';
import type { PageRange } from '../hypervisor/mmu/common.ts';
import { tdpFault } from '../hypervisor/mmu/tdp/fault.ts';
import { TdpMmu } from '../hypervisor/mmu/tdp/mmu.ts';
import { premap } from '../hypervisor/mmu/tdp/premap.ts';
import { tdpTeardown } from '../hypervisor/mmu/tdp/teardown.ts';
import { handleViolation } from '../hypervisor/mmu/tdp/violation.ts';
import { tdpRemoveTables, tdpUnmap } from '../hypervisor/mmu/tdp/zap.ts';
import type { Owner } from '../hypervisor/owner.ts';
import { answerOwnerCalls } from '../hypervisor/owner.ts';
import type { ExitHandler, ExitTable, Vm } from '../hypervisor/vcpu.ts';
import { VIRTUALISATIONS } from '../hypervisor/virt/index.ts';
import type { Virtualisation } from '../hypervisor/virt/virt.ts';
import type { Machine } from '../machine/machine.ts';
import type { Routine } from '../runtime/act.ts';
import type { Context } from '../runtime/context.ts';
import { buildGuestVm } from './guest-vm.ts';
import { addVcpus, attachRcu, blocksOf, startVcpus } from './host.ts';
import { type Checked, type Design, hostPlatform, type Operation, type System } from './system.ts';

export const tdp: Design = {
  id: 'tdp',
  title: 'KVM TDP MMU, not nested',
  axes: {
    lock: {
      values: ['read', 'write'],
      default: 'read',
      describe: 'how a fault holds the mmu_lock',
    },
  },
  source: 'Linux 6.12 arch/x86/kvm/mmu/tdp_mmu.c; primer/x86.md section 2',
  leavesOut: [
    'lockless fast page fault, huge pages, memslot changes, dirty logging, NX huge page recovery',
    'the page allocator and mmap_lock, which bound real hosts before the mmu_lock does',
  ],
  isolates: 'the price of one second-stage fault without nesting',
  build(machine, demand, axes, conditions): System {
    const platform = hostPlatform(machine);
    const vm: Vm = { name: 'guest', platform, vcpus: [] };
    const guest = buildGuestVm(machine, demand, 1);
    const backing = new AnonymousBacking(platform, slotsOf(guest.memory));
    const mmu = new TdpMmu({
      vm,
      format: machine.translator.secondStage,
      backing,
      lockClass: 'l0.mmu',
      faultLock: axes['lock'] === 'write' ? 'write' : 'read',
    });
    const exits = hostExits(handleViolation(mmu), answerOwnerCalls(tdpOwner(mmu)));
    const virtualIpis = conditions.apicv === 'on';
    addVcpus(vm, guest.contexts, blocksOf(mmu, 1, virtualIpis), exits);
    mmu.rcu = attachRcu(platform, [vm]);
    startVcpus(machine, vm);
    return {
      machine,
      environments: guest.environments,
      hostInvalidate: (cpu, gfns) => tdpUnmap(cpu, mmu, rangesOf(gfns), 'keep'),
      memory: () => ({ tableBytes: tableBytes(machine, mmu), bookBytes: 0 }),
      checked: checkedTdp(machine, mmu, guest.memory),
    };
  },
};

/** What may be done to a TDP MMU by threads of its host, and what it promises. */
export function checkedTdp(machine: Machine, mmu: TdpMmu, memory: readonly PageRange[]): Checked {
  const { platform, backing } = mmu;
  return {
    roots: [mmu.root],
    operations: {
      fault: (cpu, range) => faultAll(cpu, mmu, range),
      unmap: told('unmap', (cpu, range) => tdpUnmap(cpu, mmu, [range], 'free')),
      invalidate: told('invalidate', (cpu, range) => tdpUnmap(cpu, mmu, [range], 'keep')),
      teardown: told('teardown', (cpu) => tdpTeardown(cpu, mmu)),
      'remove-tables': told('remove-tables', (cpu, range) => tdpRemoveTables(cpu, mmu, range)),
    },
    premap: (range) => premap(machine.memory, mmu, range, 'clean'),
    pools: [{ name: platform.name, ...poolOf(platform.frames) }],
    misuse: (view, page, frame) => {
      const now = backing.has(page) ? backing.peekFrame(view, page) : -1;
      return now === frame ? undefined : backedBy(now);
    },
    exclusive: true,
    freeHanded: [],
    privates: (hart) => mmu.vm.vcpus.filter((v) => v.seat === hart),
    promises: [...tdpPromises(mmu), tdpDirty(mmu, memory), tdpFrames(mmu, memory)],
    structures: platform.arena.placed,
    oracle: tdpOracle(
      mmu,
      memory.reduce((most, { end }) => Math.max(most, end), 0),
    ),
  };
}

/** An operation that says when it begins and ends. */
function told(name: string, operation: Operation): Operation {
  return function* tell(cpu, range): Routine<void> {
    cpu.began(name, range.first, range.end);
    yield* operation(cpu, range);
    cpu.ended(name, 'ok');
  };
}

/** Resolves faults as the exit handler of a guest would, again until each page is there. */
function* faultAll(cpu: Context, mmu: TdpMmu, range: PageRange): Routine<void> {
  for (let gfn = range.first; gfn < range.end; gfn++) {
    for (;;) {
      cpu.began('fault', gfn);
      const outcome = yield* tdpFault(cpu, mmu, { gfn, access: 'write' });
      cpu.ended('fault', outcome);
      if (outcome !== 'retry') break;
      cpu.rest(gfn, 1);
    }
  }
}

export function poolOf(frames: Frames): Omit<FramePool, 'name'> {
  return {
    covers: (frame) => frames.covers(frame),
    isFree: (view, frame) => frames.isFree(view, frame),
    linkAt: (frame) => frames.linkAt(frame),
  };
}

export function slotsOf(memory: readonly PageRange[]): { base: number; pages: number }[] {
  return memory.map(({ first, end }) => ({ base: first, pages: end - first }));
}

/** Single pages as ranges, ascending. */
export function rangesOf(gfns: readonly number[]): PageRange[] {
  return [...gfns].sort((a, b) => a - b).map((gfn) => ({ first: gfn, end: gfn + 1 }));
}

export function tdpOwner(mmu: TdpMmu): Owner {
  return {
    unmap: (cpu, ranges) => tdpUnmap(cpu, mmu, ranges, 'free'),
    removeTables: (cpu, range) => tdpRemoveTables(cpu, mmu, range),
    owns: (range) => mmu.backing.covers(range),
    frameOf: (cpu, gfn) => mmu.backing.resident(cpu, gfn),
  };
}

/** What any owner does about its guest's exits, whichever vendor's numbers they have. */
export function hostExits(violation: ExitHandler, hypercall: ExitHandler): ExitTable {
  const of = ({ exits }: Virtualisation): (readonly [number, ExitHandler])[] => [
    [exits.interrupt, ignoreInterrupt],
    [exits.fault, violation],
    [exits.cpuid, emulateCpuid],
    [exits.msrWrite, emulateIcr],
    [exits.hypercall, hypercall],
  ];
  return new Map(VIRTUALISATIONS.flatMap(of));
}

/** Bytes of the tables reachable from the root; `toHost` says where the MMU's memory lies. */
export function tableBytes(
  machine: Machine,
  mmu: TdpMmu,
  toHost: (at: number) => number = (at) => at,
): number {
  const { memory } = machine;
  const { format } = mmu;
  const count = (table: number, level: number): number => {
    if (level === 0) return 1;
    let tables = 1;
    for (let index = 0; index < 1 << format.geometry.indexBits; index++) {
      const at = memory.indexOf(toHost(table * 4096 + index * 8));
      const entry = format.decode({ lo: memory.words[at]!, hi: memory.words[at + 1]! }, level);
      if (entry.kind === 'table') tables += count(entry.pfn, level - 1);
    }
    return tables;
  };
  return count(mmu.root, format.geometry.levels - 1) * 4096;
}
