/** The counting workloads: each causes one kind of event a known number of times. */
import { badInput } from '../base/bad-input.ts';
import {
  cpuids,
  refault as refaultProgram,
  touchAfterRemoval,
  touch as touchProgram,
  unmap as unmapProgram,
} from '../guest/program/basic.ts';
import { PAUSE } from '../guest/program/replay.ts';
import { shared } from '../guest/program/shared.ts';
import { checkSharers, countOf, MOST_PAGES, MOST_PER_VCPU, MOST_SHARERS, SPARE } from './limits.ts';
import type { NeededRecording, Parameter, Plan, Workload } from './workload.ts';

const MOST_STRIDED = 1 << 14;
/** Guest-physical frames of a machine with 46 address bits. */
const GUEST_FRAMES = 2 ** 34;

const STRIDES: Readonly<Record<string, number>> = {
  '4k': 1,
  '2m': 2 ** 9,
  '1g': 2 ** 18,
  '512g': 2 ** 27,
};

export const pages: Parameter = {
  name: 'pages',
  unit: 'pages of 4 KiB per vCPU',
  default: '256',
  describe: 'how many pages each vCPU writes to, once each',
  range: [1, MOST_PER_VCPU],
};

const none = (): readonly NeededRecording[] => [];

const MAPPED = 'the guest’s own page tables exist, so that only the second stage is missing';
const ONE_ACCESS = 'an access to a page';

export const touch: Workload = {
  id: 'touch',
  title: 'every vCPU writes once to each of its new pages',
  operation: ONE_ACCESS,
  standsFor: 'a guest that comes to use memory for the first time: boot, a growing heap, a new VM',
  assumes: [MAPPED, 'weak scaling: each vCPU has as many pages as a single one would'],
  leavesOut: ['anything that the guest does with the pages afterwards'],
  conditions: ['l1', 'upper'],
  parameters: [
    pages,
    {
      name: 'stride',
      unit: 'bytes between the guest frames of two pages',
      default: '4k',
      describe: 'beyond 4k every page lies under second-stage tables of its own (upper=absent)',
      values: Object.keys(STRIDES),
    },
    {
      name: 'pause',
      unit: 'instructions',
      default: String(PAUSE),
      describe: 'what each vCPU runs before each write; stride=4k only',
      range: [1, 100_000_000],
    },
  ],
  recordings: none,
  plan(settings, vcpus): Plan {
    const stride = STRIDES[settings.text('stride')]!;
    if (stride === 1) {
      const count = countOf(settings, 'pages', vcpus, MOST_PAGES);
      const program = touchProgram(count, settings.number('pause'));
      return { program, pagesPerVcpu: count + SPARE, stride };
    }
    if (settings.has('pause')) badInput('workload touch: pause is of stride=4k only');
    const fits = Math.min(MOST_STRIDED, GUEST_FRAMES / stride - 2);
    const most = Math.floor(fits / vcpus);
    const left = settings.has('pages') ? settings.number('pages') : Math.min(256, most);
    if (left < 1 || left > most) {
      badInput(
        `workload touch: ${left} pages per vCPU at a distance of ${settings.text('stride')} do ` +
          `not fit into guest memory; with ${vcpus} vCPUs it holds ${most} for each`,
      );
    }
    return { program: touchAfterRemoval(left, stride), pagesPerVcpu: left, stride };
  },
};

export const refault: Workload = {
  id: 'refault',
  title: 'every vCPU writes again to pages whose second-stage entries are gone',
  operation: ONE_ACCESS,
  standsFor: 'the accesses after the host has aged, write-protected or migrated guest memory',
  assumes: [
    'a thread of the host on a CPU of its own removes the entries before the measured part',
    'the host’s pages are resident and are not zeroed again; a guest hypervisor keeps its entries',
  ],
  leavesOut: ['the invalidation itself, which is not measured'],
  conditions: ['l1'],
  parameters: [pages],
  recordings: none,
  plan(settings, vcpus): Plan {
    const count = countOf(settings, 'pages', vcpus, MOST_PAGES);
    const withdrawn: number[] = [];
    const program = refaultProgram(count, (gfn) => withdrawn.push(gfn));
    return { program, pagesPerVcpu: count + SPARE, stride: 1, withdrawn };
  },
};

export const cpuid: Workload = {
  id: 'cpuid',
  title: 'every vCPU executes CPUID',
  operation: 'one CPUID',
  standsFor: 'any instruction that the owner of the guest emulates: the price of an exit to it',
  assumes: ['the owner decides about the result; L0 does not answer in its place'],
  leavesOut: ['what is read into caches and predictors again after an exit'],
  conditions: [],
  parameters: [
    {
      name: 'count',
      unit: 'instructions per vCPU',
      default: '1000',
      describe: 'how many each vCPU executes',
      range: [1, 10_000_000],
    },
  ],
  recordings: none,
  plan(settings): Plan {
    return { program: cpuids(settings.number('count')), pagesPerVcpu: SPARE, stride: 1 };
  },
};

export const unmap: Workload = {
  id: 'unmap',
  title: 'vCPU 0 gives ranges of pages back to the owner while all others run',
  operation: 'one range of one page',
  standsFor: 'ballooning, free-page reporting, MADV_FREE in the VMM: memory leaves a running guest',
  assumes: [
    'the ranges are not adjacent; they are handed over by hypercall, as many as a list holds',
    'the other vCPUs are in guest mode when it begins, and wait there for its end',
  ],
  leavesOut: ['the virtio queue of a balloon: a hypercall with a list stands for it'],
  conditions: ['apicv'],
  parameters: [
    {
      name: 'ranges',
      unit: 'ranges of one page',
      default: '64',
      describe: 'how many ranges are given back',
      range: [0, MOST_PER_VCPU / 2],
    },
  ],
  recordings: none,
  plan(settings): Plan {
    const ranges = settings.number('ranges');
    return { program: unmapProgram(ranges), pagesPerVcpu: 2 * ranges + SPARE, stride: 1 };
  },
};

export const munmap: Workload = {
  id: 'munmap',
  title: 'threads that share an address space map and unmap pages: shootdowns in the guest',
  operation: 'one unmapping with its shootdown',
  standsFor: 'allocators that return memory, thread stacks, garbage collection in a guest',
  assumes: [
    'every thread unmaps; all vCPUs of a process are interrupted and flush, as Linux does it',
    'frames go back to the guest’s own pool, so the owner is not asked for them again',
  ],
  leavesOut: ['mmap_lock, lazy TLB mode, batching over several unmappings'],
  conditions: ['apicv'],
  parameters: [
    {
      name: 'threads',
      unit: 'vCPUs per process',
      default: '0',
      describe: 'how many vCPUs share an address space; 0 = all',
      range: [0, MOST_SHARERS],
    },
    {
      name: 'rounds',
      unit: 'unmappings per vCPU',
      default: '64',
      describe: 'how often each vCPU maps and unmaps',
      range: [1, 1_000_000],
    },
    {
      name: 'callers',
      unit: 'vCPUs per process',
      default: '0',
      describe: 'how many of them unmap, while the others are interrupted only; 0 = all',
      range: [0, MOST_SHARERS],
    },
    {
      name: 'pages',
      unit: 'pages per unmapping',
      default: '8',
      describe: 'how many pages are mapped and unmapped at once',
      range: [1, 4096],
    },
  ],
  recordings: none,
  plan(settings, vcpus): Plan {
    checkSharers('munmap', vcpus);
    const threads = settings.number('threads') === 0 ? vcpus : settings.number('threads');
    if (threads > vcpus) {
      badInput(`workload munmap: ${threads} threads need as many vCPUs; there are ${vcpus}`);
    }
    const perRound = settings.number('pages');
    const asked = settings.number('callers');
    const callers = asked === 0 ? threads : asked;
    if (callers > threads) {
      badInput(`workload munmap: ${callers} callers of a process that has ${threads} threads`);
    }
    const rounds = settings.number('rounds');
    const program = shared({ threads, rounds, pages: perRound, callers });
    return { program, pagesPerVcpu: perRound + SPARE, stride: 1 };
  },
};
