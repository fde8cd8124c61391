/** Workloads of system calls on address spaces: what a guest does that its owner never sees. */
import { calling, churning, execChain, forking, remapping } from '../guest/program/processes.ts';
import {
  checkSharers,
  countOf,
  MOST_PAGES,
  MOST_PER_VCPU,
  roundsOf,
  SPARE,
  warm,
} from './limits.ts';
import type { NeededRecording, Parameter, Plan, Settings, Workload } from './workload.ts';

const none = (): readonly NeededRecording[] => [];

/** Kernels of these workloads have no files, or one. */
const NO_FILES = { files: 0, filePages: 0 };

const KERNEL_LEAVES_OUT = [
  'I/O: a page read into the page cache is filled as a page is zeroed',
  'merging of areas, per-VMA locks, fault-around',
];
const OWN_PROCESSES = 'every vCPU runs processes of its own; none moves to another vCPU';

function pagesOf(by: string, describe: string): Parameter {
  return {
    name: 'pages',
    unit: 'pages of 4 KiB per vCPU',
    default: by,
    describe,
    range: [1, MOST_PER_VCPU / 4],
  };
}

/** At most as many as there are pages. */
function within(settings: Settings, name: string): number {
  return Math.min(settings.number(name), settings.number('pages'));
}

const isWarm = (settings: Settings): boolean => settings.text('warm') === 'yes';

export const fork: Workload = {
  id: 'fork',
  title: 'processes fork; the child writes some pages and ends, then the parent writes some',
  operation: 'one fork with the life of its child',
  standsFor: 'shells, pre-forking servers, snapshots by fork (redis): copy on write in a guest',
  assumes: [
    OWN_PROCESSES,
    'fork write-protects the parent’s pages and flushes its translations; the first write ' +
      'copies, a write to a page that nobody shares any more does not',
  ],
  leavesOut: KERNEL_LEAVES_OUT,
  conditions: [],
  parameters: [
    pagesOf('64', 'pages of the parent, all written'),
    {
      name: 'written',
      unit: 'pages',
      default: '16',
      describe: 'how many of them each child writes',
      range: [0, MOST_PER_VCPU],
    },
    {
      name: 'parent',
      unit: 'pages',
      default: '16',
      describe: 'how many of them the parent writes once the child has ended',
      range: [0, MOST_PER_VCPU],
    },
    roundsOf('forks per vCPU', '16', 'how often each vCPU forks'),
    warm,
  ],
  recordings: none,
  plan(settings, vcpus): Plan {
    checkSharers('fork', vcpus);
    const pages = countOf(settings, 'pages', vcpus, MOST_PAGES / 2);
    const written = within(settings, 'written');
    const program = forking({
      pages,
      written,
      parent: within(settings, 'parent'),
      rounds: settings.number('rounds'),
      warm: isWarm(settings),
    });
    return { program, pagesPerVcpu: pages + written + SPARE, stride: 1, spaces: NO_FILES };
  },
};

export const exec: Workload = {
  id: 'exec',
  title: 'a shell runs one program after the other: fork, execve, text from the page cache, exit',
  operation: 'one program',
  standsFor: 'builds and scripts: short processes that share their text and reuse their frames',
  assumes: [
    OWN_PROCESSES,
    'text is one file that stays in the page cache; all vCPUs run the same one',
  ],
  leavesOut: KERNEL_LEAVES_OUT,
  conditions: [],
  parameters: [
    {
      name: 'text',
      unit: 'pages',
      default: '48',
      describe: 'pages of text that each program runs through',
      range: [1, 4096],
    },
    {
      name: 'data',
      unit: 'pages',
      default: '32',
      describe: 'pages of data that each program writes',
      range: [1, 4096],
    },
    {
      name: 'calls',
      unit: 'system calls',
      default: '64',
      describe: 'system calls that each program makes beside',
      range: [0, 1_000_000],
    },
    roundsOf('programs per vCPU', '16', 'how many programs each vCPU runs'),
    warm,
  ],
  recordings: none,
  plan(settings, vcpus): Plan {
    checkSharers('exec', vcpus);
    const shell = 16;
    const text = settings.number('text');
    const data = settings.number('data');
    const program = execChain({
      shell,
      text,
      data,
      calls: settings.number('calls'),
      rounds: settings.number('rounds'),
      warm: isWarm(settings),
    });
    const spaces = { files: 1, filePages: text };
    return { program, pagesPerVcpu: shell + text + data + SPARE, stride: 1, spaces };
  },
};

export const churn: Workload = {
  id: 'churn',
  title: 'processes map memory, write it and unmap it again; addresses and tags come back',
  operation: 'one mapping with its writes and its unmapping',
  standsFor: 'allocators that return memory at once, JIT compilers, buffers mapped per request',
  assumes: [
    OWN_PROCESSES,
    'one page of the process stays mapped (its stack), and with it the tables around it',
    'the lowest gap is used again, so that addresses repeat; so do frames, and so do tags (6 per ' +
      'vCPU) when processes end',
  ],
  leavesOut: [...KERNEL_LEAVES_OUT, 'threads of one process: workload munmap has them'],
  conditions: [],
  parameters: [
    pagesOf('32', 'pages mapped, written and unmapped at once'),
    roundsOf('mappings per vCPU', '64', 'how often each vCPU maps and unmaps'),
    {
      name: 'life',
      unit: 'mappings',
      default: '8',
      describe: 'after how many a process ends and another begins; 0 = never',
      range: [0, 1_000_000],
    },
    warm,
  ],
  recordings: none,
  plan(settings, vcpus): Plan {
    checkSharers('churn', vcpus);
    const pages = countOf(settings, 'pages', vcpus, MOST_PAGES);
    const program = churning({
      pages,
      life: settings.number('life'),
      rounds: settings.number('rounds'),
      warm: isWarm(settings),
    });
    return { program, pagesPerVcpu: pages + 1 + SPARE, stride: 1, spaces: NO_FILES };
  },
};

export const remap: Workload = {
  id: 'remap',
  title: 'processes move a mapping to other addresses and write its pages there',
  operation: 'a write to a page at its new address',
  standsFor: 'mremap by allocators, moving garbage collectors: new addresses, the same frames',
  assumes: [OWN_PROCESSES, 'each move clears the old entries, flushes, and fills new ones'],
  leavesOut: KERNEL_LEAVES_OUT,
  conditions: [],
  parameters: [
    pagesOf('64', 'pages of the mapping'),
    roundsOf('moves per vCPU', '16', 'how often each vCPU moves its mapping'),
    warm,
  ],
  recordings: none,
  plan(settings, vcpus): Plan {
    checkSharers('remap', vcpus);
    const pages = countOf(settings, 'pages', vcpus, MOST_PAGES);
    const rounds = settings.number('rounds');
    const program = remapping({ pages, rounds, warm: isWarm(settings) });
    return { program, pagesPerVcpu: pages + SPARE, stride: 1, spaces: NO_FILES };
  },
};

export const syscall: Workload = {
  id: 'syscall',
  title: 'every vCPU makes system calls that do nothing',
  operation: 'one system call',
  standsFor: 'the way into a guest’s kernel and back, which a second stage leaves alone',
  assumes: ['the machine needs no page-table isolation, so that the way changes no address space'],
  leavesOut: ['what a system call does'],
  conditions: [],
  parameters: [
    {
      name: 'count',
      unit: 'system calls per vCPU',
      default: '1000',
      describe: 'how many each vCPU makes',
      range: [1, 10_000_000],
    },
  ],
  recordings: none,
  plan(settings): Plan {
    const program = calling(settings.number('count'));
    return { program, pagesPerVcpu: SPARE, stride: 1 };
  },
};
