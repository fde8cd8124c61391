/** Workloads of a guest whose memory changes below it: devices, memory slots, split huge pages. */
import { deviceReads, executeInTurns, rewriteInTurns } from '../guest/program/turns.ts';
import { pages } from './basic.ts';
import { countOf, MOST_PAGES, SPARE } from './limits.ts';
import type { NeededRecording, Parameter, Plan, Workload } from './workload.ts';

const none = (): readonly NeededRecording[] => [];

const turns = (describe: string): Parameter => {
  return { name: 'turns', unit: 'turns of the host', default: '4', describe, range: [0, 1024] };
};

export const mmio: Workload = {
  id: 'mmio',
  title: 'every vCPU reads registers of devices that user space emulates',
  operation: 'a read of a register',
  standsFor: 'drivers of emulated devices: the price of an access to what is no memory',
  assumes: [
    'the pages are in no memory slot; the first access to each leaves an entry that says so',
    'user space answers every access: there is no device in the kernel, and no ioeventfd',
  ],
  leavesOut: ['what user space does, and the way to it and back: counted, and without a price'],
  conditions: [],
  parameters: [
    {
      name: 'count',
      unit: 'reads per vCPU',
      default: '1000',
      describe: 'how many each vCPU does',
      range: [1, 10_000_000],
    },
    {
      name: 'pages',
      unit: 'pages per vCPU',
      default: '1',
      describe: 'how many pages its registers lie in',
      range: [1, 512],
    },
  ],
  recordings: none,
  plan(settings, vcpus): Plan {
    const each = settings.number('pages');
    return {
      program: deviceReads(settings.number('count'), each),
      pagesPerVcpu: SPARE,
      stride: 1,
      devices: each * vcpus,
    };
  },
};

export const hotplug: Workload = {
  id: 'hotplug',
  title: 'user space adds a memory slot and deletes it again below a guest that goes on',
  operation: 'a write to a page',
  standsFor: 'memory hotplug, a remapped PCI BAR or ROM: slots of a running VM change',
  assumes: [
    'all vCPUs are in guest mode when the host’s turn begins, and wait there for its end',
    'the slot that comes and goes is none of the pages that the guest uses',
  ],
  leavesOut: ['what makes user space do it'],
  conditions: [],
  parameters: [pages, turns('how often a slot is added and deleted, with a pass before and after')],
  recordings: none,
  plan(settings, vcpus): Plan {
    const count = countOf(settings, 'pages', vcpus, MOST_PAGES);
    const rounds = settings.number('turns');
    return {
      program: rewriteInTurns(count, rounds),
      pagesPerVcpu: count + SPARE,
      stride: 1,
      devices: 0,
      turns: { rounds, does: 'change-slots' },
    };
  },
};

export const execute: Workload = {
  id: 'execute',
  title:
    'every vCPU writes to its pages and fetches from them, and a worker makes pages huge again',
  operation: 'an access to a page',
  standsFor: 'code in huge pages: a just-in-time compiler, a large program text',
  assumes: [
    'the pages are resident, mapped by huge leaves where the host has huge pages',
    'nxhuge=on: the worker takes its share of the split pages at the host’s turn, between passes',
  ],
  leavesOut: ['the period of the worker (an hour for all, by default): its turns are counted'],
  conditions: ['pages'],
  parameters: [
    pages,
    turns('how often the worker runs, with a pass before and after'),
    {
      name: 'ratio',
      unit: 'split pages',
      default: '60',
      describe: 'of how many split pages the worker takes one at each turn',
      range: [1, 1_000_000],
    },
  ],
  recordings: none,
  plan(settings, vcpus): Plan {
    const count = countOf(settings, 'pages', vcpus, MOST_PAGES);
    const rounds = settings.number('turns');
    return {
      program: executeInTurns(count, rounds),
      pagesPerVcpu: count + SPARE,
      stride: 1,
      turns: { rounds, does: 'recover-huge', ratio: settings.number('ratio') },
    };
  },
};
