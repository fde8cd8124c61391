/**
 * KPOP, KVM Paravirt Only Paging: L1 tells L0 by hypercall where L2's pages lie; L0 keeps intents
 * beside hardware entries, and nobody shadows anybody's hardware page tables.
 */
import { defect } from '../base/assert.ts';
import { KpopGuest } from '../guest/l1/kpop.ts';
import { kpopVcpuThread } from '../guest/l1/kpop-loop.ts';
import { AnonymousBacking } from '../hypervisor/backing/anonymous.ts';
import { retire } from '../hypervisor/emulate.ts';
import { answerKpopCall } from '../hypervisor/kpop/calls.ts';
import { runningL2 } from '../hypervisor/kpop/run.ts';
import type { KpopVm } from '../hypervisor/kpop/vm.ts';
import type { PageRange } from '../hypervisor/mmu/common.ts';
import { type LockScope, Space, TableWords } from '../hypervisor/mmu/kpop/space.ts';
import { kpopInvalidate } from '../hypervisor/mmu/kpop/unmap.ts';
import { handleViolation } from '../hypervisor/mmu/tdp/violation.ts';
import { tdpUnmap } from '../hypervisor/mmu/tdp/zap.ts';
import { answerCall, type Owner } from '../hypervisor/owner.ts';
import type { ExitHandler } from '../hypervisor/vcpu.ts';
import type { Machine } from '../machine/machine.ts';
import type { Routine } from '../runtime/act.ts';
import type { Context } from '../runtime/context.ts';
import { buildGuestVm, type GuestVm } from './guest-vm.ts';
import { addVcpus, attachRcu, makeVmcs, nothing, startVcpus } from './host.ts';
import { buildKpopHost } from './kpop-checked.ts';
import { attachGrace } from './kpop-grace.ts';
import { kpopL1 } from './kpop-l1-checked.ts';
import { buildL1, type L1 } from './l1.ts';
import { type Design, hostPlatform, type System } from './system.ts';
import { hostExits, rangesOf, slotsOf, tableBytes, tdpOwner } from './tdp.ts';

const FRAME_BYTES = 4096;
/** VPIDs of L2 vCPUs start here; L1's are below. */
const L2_VPIDS = 1024;

export const kpop: Design = {
  id: 'kpop',
  title: 'KPOP: L1 maps L2 by hypercall',
  axes: {
    lock: {
      values: ['entry', 'vm', 'global'],
      default: 'entry',
      describe: 'what protects an entry in L0: a bit of its intent, one lock per VM, one for all',
    },
    run: {
      values: ['fused', 'separate'],
      default: 'fused',
      describe: 'whether a MAP travels with the next RUN or is a hypercall of its own',
    },
    shards: {
      values: ['1', 'gib'],
      default: 'gib',
      describe: "arrays of L1's book: one, or one per GiB of L2 memory",
    },
  },
  source: 'primer/x86.md 6.1-6.7 (proposal); the mail of seeds/000',
  leavesOut: [
    'PROTECT, WINDOW, AGE, DIRTY, quotas, donated table memory, the call that ends a VM (step 4)',
    "reclaim of the pages that hold L1's own book and argument pages",
    'policy tables: CPUID goes to L1',
  ],
  isolates: 'what explicit mapping saves over shadowing the same L1 tables',
  explored: { parts: [kpopL1] },
  build(machine, demand, axes, conditions): System {
    if (demand.barePages !== undefined) return buildKpopHost(machine, demand, axes);
    const host = hostPlatform(machine);
    const guest = buildGuestVm(machine, demand, 2);
    const l1 = buildL1(machine, host, demand, guest.memory, conditions);
    const last = guest.memory[guest.memory.length - 1] ?? defect('kpop', 'L2 has no memory');
    const vm: KpopVm = {
      space: new Space({
        platform: host,
        format: machine.translator.secondStage,
        l1Memory: l1.mmu.backing,
        l1Pages: l1.pages,
        scope: axes['lock'] as LockScope,
      }),
      vcpus: [],
      pinned: [],
      l2Pages: last.end,
    };
    const hypervisor = new KpopGuest({
      platform: l1.platform,
      backing: new AnonymousBacking(l1.platform, slotsOf(guest.memory)),
      l2Pages: last.end,
      shards: axes['shards'] === '1' ? '1' : 'gib',
      run: axes['run'] === 'separate' ? 'separate' : 'fused',
    });
    startL0(machine, l1, vm, conditions.apicv === 'on');
    startL2(l1, vm, hypervisor, guest);
    return {
      machine,
      environments: guest.environments,
      hostInvalidate: (cpu, gfns) =>
        takeFromL1(cpu, l1, vm, rangesOf(l1PagesOf(machine, l1, hypervisor, gfns)), 'keep'),
      memory: () => memoryOf(machine, l1, vm, hypervisor),
    };
  },
};

/** L0's threads for L1's vCPUs; L1's hypercalls are KPOP's, or those of any guest to its owner. */
function startL0(machine: Machine, l1: L1, vm: KpopVm, virtualIpis: boolean): void {
  const owner: Owner = {
    ...tdpOwner(l1.mmu),
    unmap: (cpu, ranges) => takeFromL1(cpu, l1, vm, ranges, 'free'),
    // What L0 reads by its own address stays where it is.
    owns: (range) => l1.mmu.backing.covers(range) && !vm.pinned.some((p) => isIn(p, range)),
  };
  const toOwner: ExitHandler = function* call(cpu, v): Routine<void> {
    if (yield* answerCall(cpu, owner, v.active.guest)) yield* retire(cpu, v, 0);
  };
  const vmcall: ExitHandler = (cpu, v) => answerKpopCall(cpu, v, vm) ?? toOwner(cpu, v);
  const options = { root: l1.mmu.root, vpid: 1, virtualIpis };
  addVcpus(l1.vm, l1.contexts, options, hostExits(handleViolation(l1.mmu), vmcall));
  l1.mmu.rcu = attachRcu(l1.vm.platform, [l1.vm]);
  attachGrace(vm.space, l1.vm); // L2 faults and calls of L1 are served by the same threads
  startVcpus(machine, l1.vm);
}

function isIn(page: number, range: PageRange): boolean {
  return page >= range.first && page < range.end;
}

/** L0 takes pages of L1: L2's entries first, then EPT01 with its own flush, then the frames. */
function takeFromL1(
  cpu: Context,
  l1: L1,
  vm: KpopVm,
  ranges: readonly PageRange[],
  pages: 'keep' | 'free',
): Routine<void> {
  const l1gfns = ranges.flatMap(({ first, end }) =>
    Array.from({ length: end - first }, (_, i) => first + i),
  );
  return kpopInvalidate(cpu, vm.space, l1gfns, tdpUnmap(cpu, l1.mmu, ranges, pages));
}

/** L2's vCPUs as objects of L0, and L1's threads that run them. */
function startL2(l1: L1, vm: KpopVm, hypervisor: KpopGuest, guest: GuestVm): void {
  const owner: Owner = {
    unmap: (cpu, ranges) => hypervisor.invalidate(cpu, ranges),
    *removeTables(): Routine<void> {
      // a KPOP guest hypervisor keeps no tables
    },
    owns: (range) => hypervisor.backing.covers(range),
    frameOf: (cpu, gfn) => hypervisor.backing.resident(cpu, gfn),
  };
  guest.contexts.forEach((l2, i) => {
    const options = { root: vm.space.rootFrame, vpid: L2_VPIDS, virtualIpis: false };
    const vmcs = makeVmcs(vm.space.platform, i, options);
    const running = runningL2(vm, l2, vmcs);
    const claim = vm.space.platform.arena.take(64);
    vm.vcpus.push({ claim, state: l1.toHost(hypervisor.statePage(i)), guest: l2, running });
    vm.pinned.push(hypervisor.statePage(i) / FRAME_BYTES);
    l2.homeCpu = i;
    const context = l1.contexts[i]!;
    context.vector = nothing; // L1 is only ever kicked out of its RUN
    context.push(kpopVcpuThread(context, hypervisor, owner, l2));
  });
}

/** The L1 pages behind L2 pages, as the exam's host thread needs them. */
function l1PagesOf(
  machine: Machine,
  l1: L1,
  hypervisor: KpopGuest,
  gfns: readonly number[],
): number[] {
  const read = (at: number): number => machine.memory.read(l1.toHost(at));
  return gfns.map((gfn) => hypervisor.backing.peekFrame({ read }, gfn)).sort((a, b) => a - b);
}

function memoryOf(
  machine: Machine,
  l1: L1,
  vm: KpopVm,
  hypervisor: KpopGuest,
): { tableBytes: number; bookBytes: number } {
  const tables = countTables(machine, vm.space, vm.space.root);
  const peekL1 = (at: number): number => machine.memory.read(l1.toHost(at));
  const books = tables * (2 * FRAME_BYTES + TableWords.bytes) + vm.space.reverse.bytes;
  return {
    tableBytes: tableBytes(machine, l1.mmu) + tables * FRAME_BYTES,
    bookBytes: books + hypervisor.book.bytes(peekL1),
  };
}

function countTables(machine: Machine, space: Space, header: number): number {
  const { memory } = machine;
  if (memory.read(header + TableWords.at.level) === 0) return 1;
  const intents = memory.read(header + TableWords.at.intents) * FRAME_BYTES;
  let tables = 1;
  for (let index = 0; index < 1 << space.format.geometry.indexBits; index++) {
    const word = memory.read(intents + index * 8);
    if (Math.floor(word / 2) % 4 === 2) {
      tables += countTables(machine, space, Math.floor(word / 64) * 64);
    }
  }
  return tables;
}
