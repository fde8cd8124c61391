/**
 * KVM's two-dimensional paging with the TDP MMU, not nested: the owner of the guest's memory is L0.
 */

import { AnonymousBacking } from '../hypervisor/backing/anonymous.ts';
import type { HugeSize } from '../hypervisor/backing/huge.ts';
import { Memslots } from '../hypervisor/memslots.ts';
import type { PageRange } from '../hypervisor/mmu/common.ts';
import {
  harvestLog,
  startLogging,
  stopLogging,
  type TdpLogging,
} from '../hypervisor/mmu/tdp/dirty-log.ts';
import { TdpMmu } from '../hypervisor/mmu/tdp/mmu.ts';
import { NxHuge, tdpRecover } from '../hypervisor/mmu/tdp/nx.ts';
import { tdpRemoveTables } from '../hypervisor/mmu/tdp/remove.ts';
import { handleViolation } from '../hypervisor/mmu/tdp/violation.ts';
import { tdpUnmap } from '../hypervisor/mmu/tdp/zap.ts';
import type { Owner } from '../hypervisor/owner.ts';
import { answerOwnerCalls } from '../hypervisor/owner.ts';
import type { Platform } from '../hypervisor/platform.ts';
import { pmlLogging } from '../hypervisor/pml.ts';
import type { Vm } from '../hypervisor/vcpu.ts';
import { type Geometry, pagesAt } from '../machine/format/format.ts';
import type { Routine } from '../runtime/act.ts';
import type { Context } from '../runtime/context.ts';
import { buildGuestVm } from './guest-vm.ts';
import { addVcpus, attachRcu, blocksOf, FIRST_TAG, startVcpus } from './host.ts';
import {
  type Axes,
  type Demand,
  type Design,
  type DirtyLog,
  type HostPages,
  hostPlatform,
  type System,
} from './system.ts';
import { checkedTdp } from './tdp-checked.ts';
import { hostExits, rangesOf, tableBytes } from './tdp-parts.ts';
import { buildWithSlots } from './tdp-slots.ts';

export { checkedTdp, poolOf } from './tdp-checked.ts';
export { hostExits, rangesOf, tableBytes } from './tdp-parts.ts';

export const tdp: Design = {
  id: 'tdp',
  title: 'KVM TDP MMU, not nested',
  axes: {
    lock: {
      values: ['read', 'write'],
      default: 'read',
      describe: 'how a fault holds the mmu_lock',
    },
    flush: {
      values: ['kick', 'broadcast'],
      default: 'kick',
      describe:
        'how others drop translations: interrupted, at their next entry; or by INVLPGB, with one ' +
        'ASID for all vCPUs (unverified: that it reaches all nested translations)',
      vendor: 'amd',
      alike: { broadcast: 'kick' }, // not explored: invalidations there are of a CPU's own TLB
    },
    zap: {
      values: ['hold', 'yield'],
      default: 'hold',
      describe: 'whether a long zap lets the mmu_lock go, flushed, while others wait for it',
      alike: { yield: 'hold' }, // a check says for each zap whether it yields
    },
    fast: {
      values: ['on', 'off'],
      default: 'on',
      describe: 'whether a write to a page that only lacks W takes no lock',
      concerns: ['log-start'],
    },
    log: {
      values: ['pml', 'protect'],
      default: 'pml',
      describe: 'how writes to a logged slot are noticed: by the CPU, or by write protection',
      concerns: ['log-start'],
    },
    split: {
      values: ['eager', 'fault', 'zap'],
      default: 'eager',
      describe:
        'huge leaves of a logged slot: split as logging starts; in place by the first fault; or ' +
        'taken away by it, as before Linux 5.20',
      concerns: ['log-start', 'pages:2m'],
    },
    slot: {
      values: ['all', 'range'],
      default: 'all',
      describe:
        'what the deletion of a memory slot zaps: everything, by a new root (as KVM does unless ' +
        'told otherwise), or the slot’s own pages',
      concerns: ['slot-delete'],
    },
    nxhuge: {
      values: ['off', 'on'],
      default: 'off',
      describe:
        'whether no huge page is executable, because of iTLB multihit: a fetch splits it, and a ' +
        'worker makes it huge again',
      concerns: ['fault-execute'],
    },
  },
  source: 'Linux 6.12 arch/x86/kvm/mmu/tdp_mmu.c; primer/x86.md section 2',
  leavesOut: [
    'the dirty ring and manual protection of logs',
    'a VM whose memory slots change has pages of 4 KiB, is not logged and not torn down, and its ' +
      'guest gives no pages back; the way to user space and back is counted and has no price',
    'a read of a logged slot leaves its page clean or read-only, where KVM marks it dirty',
    'ageing is checked and not timed',
    'khugepaged: a huge page of which a part was given back stays split',
    'the page allocator and mmap_lock, which bound real hosts before the mmu_lock does',
  ],
  isolates: 'the price of one second-stage fault without nesting',
  pages: ['4k', '2m', '1g'],
  logs: true,
  changesSlots: true,
  recoversHuge: true,
  build(machine, demand, axes, conditions): System {
    const platform = hostPlatform(machine);
    const isBroadcast = axes['flush'] === 'broadcast';
    const sharedTag = isBroadcast ? FIRST_TAG : undefined;
    const vm: Vm = { name: 'guest', platform, vcpus: [], sharedTag };
    const guest = buildGuestVm(machine, demand, 1);
    if (demand.slots !== undefined) {
      return buildWithSlots({ machine, demand, axes, conditions, platform, vm, guest });
    }
    const huge = hugeSize(machine.translator.secondStage.geometry, conditions.pages);
    const memory = widened(guest.memory, huge);
    const backing = new AnonymousBacking(platform, slotsOf(memory), huge);
    const mmu = new TdpMmu({
      vm,
      format: machine.translator.secondStage,
      backing,
      lockClass: 'l0.mmu',
      faultLock: axes['lock'] === 'write' ? 'write' : 'read',
      fast: axes['fast'] !== 'off',
      yields: axes['zap'] === 'yield',
      split: axes['split'] === 'zap' ? 'zap' : 'in-place',
      logging: loggingOf(platform, demand, axes, memory),
      nx: axes['nxhuge'] === 'on' && huge !== undefined ? new NxHuge(platform) : undefined,
    });
    const exits = hostExits(handleViolation(mmu), answerOwnerCalls(tdpOwner(mmu)));
    const virtualIpis = conditions.apicv === 'on';
    addVcpus(
      vm,
      guest.contexts,
      { ...blocksOf(mmu, FIRST_TAG, virtualIpis), shared: isBroadcast },
      exits,
    );
    if (mmu.logging?.by === 'pml') {
      const entries = demand.barePages === undefined ? {} : { entries: EXPLORED_PML };
      vm.logging = pmlLogging(platform, vm, mmu.logging.slots, entries);
    }
    mmu.rcu = attachRcu(platform, [vm]);
    startVcpus(machine, vm);
    return {
      machine,
      environments: guest.environments,
      hostInvalidate: (cpu, gfns) => tdpUnmap(cpu, mmu, rangesOf(gfns), 'keep'),
      log: logOf(mmu),
      recoverHuge: (cpu, ratio) => tdpRecover(cpu, mmu, ratio),
      memory: () => ({ tableBytes: tableBytes(machine, mmu), bookBytes: 0 }),
      checked: checkedTdp(machine, mmu, memory),
    };
  },
};

export function slotsOf(memory: readonly PageRange[]): { base: number; pages: number }[] {
  return memory.map(({ first, end }) => ({ base: first, pages: end - first }));
}

/** Room in the log of a CPU that is explored: small enough to be full. */
const EXPLORED_PML = 1;

function loggingOf(
  platform: Platform,
  demand: Demand,
  axes: Axes,
  memory: readonly PageRange[],
): TdpLogging | undefined {
  const canLog = platform.virt.exits.logFull !== undefined; // AMD's processors have no such log
  const by = axes['log'] === 'protect' || !canLog ? 'protect' : 'pml';
  const split = axes['split'] === 'eager' ? 'eager' : 'fault';
  return demand.logs === true ? { slots: new Memslots(platform, memory), by, split } : undefined;
}

/** Logging of all slots, one after the other, as a migration asks for it. */
function logOf(mmu: TdpMmu): DirtyLog {
  const slots = mmu.logging?.slots.slots ?? [];
  return {
    *start(cpu: Context): Routine<void> {
      for (const { first } of slots) yield* startLogging(cpu, mmu, first);
    },
    *harvest(cpu: Context): Routine<number> {
      let pages = 0;
      for (const { first } of slots) pages += (yield* harvestLog(cpu, mmu, first)).length;
      return pages;
    },
    *stop(cpu: Context): Routine<void> {
      for (const { first } of slots) yield* stopLogging(cpu, mmu, first);
    },
  };
}

/** What a host page of that size is to a second stage; undefined for the smallest. */
export function hugeSize(geometry: Geometry, pages: HostPages | undefined): HugeSize | undefined {
  if (pages === undefined || pages === '4k') return undefined;
  const level = pages === '2m' ? 1 : 2;
  return { level, pages: pagesAt(geometry, level) };
}

/**
 * Memory in whole huge pages, as a host that has them gives it: each range is rounded outwards as
 * far as it does not meet the next.
 */
export function widened(memory: readonly PageRange[], huge: HugeSize | undefined): PageRange[] {
  if (huge === undefined) return [...memory];
  return memory.map(({ first, end }, i) => {
    const from = Math.max(first - (first % huge.pages), memory[i - 1]?.end ?? 0);
    const to = Math.ceil(end / huge.pages) * huge.pages;
    return { first: from, end: Math.min(to, memory[i + 1]?.first ?? to) };
  });
}

export function tdpOwner(mmu: TdpMmu): Owner {
  return {
    unmap: (cpu, ranges) => tdpUnmap(cpu, mmu, ranges, 'free'),
    removeTables: (cpu, range) => tdpRemoveTables(cpu, mmu, range),
    owns: (range) => mmu.backing.covers(range),
    frameOf: (cpu, gfn) => mmu.backing.resident(cpu, gfn),
  };
}
