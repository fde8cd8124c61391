/**
 * KPOP, KVM Paravirt Only Paging: L1 tells L0 by hypercall where L2's pages lie; L0 keeps intents
 * beside hardware entries, and nobody shadows anybody's hardware page tables.
 */
import { BOOK_KINDS } from '../guest/l1/book/kinds.ts';
import { type Space, TableWords } from '../hypervisor/mmu/kpop/space.ts';
import type { Machine } from '../machine/machine.ts';
import { FRAME_BYTES } from '../machine/memory.ts';
import { buildGuestVm } from './guest-vm.ts';
import { buildKpopHost } from './kpop-checked.ts';
import { l1LogOf, listWrites } from './kpop-log.ts';
import {
  composeKpop,
  type KpopStack,
  l1PagesOf,
  startL0,
  startL2,
  takeFromL1,
} from './kpop-parts.ts';
import { buildL1 } from './l1.ts';
import { type Design, hostPlatform, type System } from './system.ts';
import { hugeSize, rangesOf, tableBytes, widened } from './tdp.ts';

export const kpop: Design = {
  id: 'kpop',
  title: 'KPOP: L1 maps L2 by hypercall',
  axes: {
    lock: {
      values: ['entry', 'vm', 'global'],
      default: 'entry',
      describe: 'what protects an entry in L0: a bit of its intent, one lock per VM, one for all',
      alike: { global: 'vm' }, // a check has one VM
    },
    run: {
      values: ['fused', 'separate'],
      default: 'fused',
      describe: 'whether a MAP travels with the next RUN or is a hypercall of its own',
    },
    book: {
      values: BOOK_KINDS,
      default: 'xarray',
      describe: "L1's book of what is mapped: XArray, trees by page or by run, an array, none",
    },
    flush: {
      values: ['visible', 'request'],
      default: 'visible',
      describe: 'whether UNMAP returns when L2 sees it, or L1 asks for the flush by a call',
    },
    batch: {
      values: ['1', '16', '64'],
      default: '1',
      describe: 'pages of the aligned block that a fault resolves and maps in one RUN',
    },
    shards: {
      values: ['1', 'gib'],
      default: 'gib',
      describe: "parts of L1's book with locks of their own: one, or one per GiB of L2 memory",
    },
    log: {
      values: ['dirty', 'pml', 'protect'],
      default: 'dirty',
      describe:
        'how writes to a logged L2 are noticed: D, looked for in every entry; D, and the CPU ' +
        'lists the pages; or write protection',
      concerns: ['log-start'],
    },
    policy: {
      values: ['off', 'tables'],
      default: 'off',
      describe: 'whether L0 answers CPUID, MSRs and HLT of L2 by tables that L1 publishes',
    },
  },
  source: 'primer/x86.md 6.1-6.7 (proposal); the mail of seeds/000',
  leavesOut: [
    'quotas, donated table memory, the call that ends a VM',
    'PROTECT and the log of writes that L1 keeps with it are explored (check), and in no workload',
    'WINDOW is explored (check) and called by tests: this L1 backs L2 page by page, and opens none',
    'book=none: L1 cannot tell which pages are mapped, and unmaps whole ranges',
    "reclaim of the pages that hold L1's own book and argument pages",
    'policy=tables: leaves and registers that guests here use; L1 publishes once, at its boot',
  ],
  pages: ['4k', '2m', '1g'],
  logs: true,
  isolates: 'what explicit mapping saves over shadowing the same L1 tables',
  build(machine, demand, axes, conditions): System {
    if (demand.barePages !== undefined) return buildKpopHost(machine, demand, axes, conditions);
    const host = hostPlatform(machine);
    const guest = buildGuestVm(machine, demand, 2);
    const size = hugeSize(machine.translator.secondStage.geometry, conditions.pages);
    const l1 = buildL1(machine, host, demand, widened(guest.memory, size), conditions);
    const stack = composeKpop(machine, l1, guest.memory, demand, axes);
    startL0(stack, conditions.apicv === 'on');
    startL2(stack, guest);
    listWrites(stack);
    const log = l1LogOf(stack, widened(guest.memory, size), demand.vcpus);
    return {
      machine,
      environments: guest.environments,
      hostInvalidate: (cpu, gfns) =>
        takeFromL1(cpu, stack, rangesOf(l1PagesOf(stack, gfns)), 'keep'),
      memory: () => memoryOf(stack),
      ...(log === undefined ? {} : { log }),
    };
  },
};

function memoryOf(stack: KpopStack): { tableBytes: number; bookBytes: number } {
  const { machine, l1, vm, hypervisor } = stack;
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
