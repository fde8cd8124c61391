/** Workloads in which several vCPUs use the same pages, or an owner takes pages that are in use. */
import { badInput } from '../base/bad-input.ts';
import { reclaimed, touchShared as touchSharedProgram } from '../guest/program/sharing.ts';
import { checkSharers, countOf, MOST_PAGES, MOST_PER_VCPU, roundsOf, SPARE } from './limits.ts';
import type { NeededRecording, Plan, Workload } from './workload.ts';

const none = (): readonly NeededRecording[] => [];

export const touchShared: Workload = {
  id: 'touch-shared',
  title: 'all vCPUs write to the same pages, each beginning at another one',
  operation: 'an access to a page',
  standsFor: 'threads that fill a common heap; processes that share memory or a file',
  assumes: [
    'vCPU i of V begins at page i P / V, so that most first touches are of one vCPU alone',
    'by=processes: the pages are those of one file in the page cache, mapped shared and writable',
  ],
  leavesOut: ['I/O: a page read into the page cache is filled as a page is zeroed'],
  conditions: ['l1'],
  parameters: [
    {
      name: 'pages',
      unit: 'pages of 4 KiB',
      default: '256',
      describe: 'how many pages all vCPUs write to, once each',
      range: [1, MOST_PER_VCPU / 4],
    },
    {
      name: 'by',
      unit: '',
      default: 'threads',
      describe: 'who shares them: threads of one process, or processes that map one file',
      values: ['threads', 'processes'],
    },
    {
      name: 'warm',
      unit: '',
      default: 'no',
      describe: 'whether vCPU 0 has written to all pages before the measured part',
      values: ['no', 'yes'],
    },
  ],
  recordings: none,
  plan(settings, vcpus): Plan {
    checkSharers('touch-shared', vcpus);
    const pages = countOf(settings, 'pages', vcpus, MOST_PAGES);
    const by = settings.text('by') === 'processes' ? 'processes' : 'threads';
    const program = touchSharedProgram({ pages, by, warm: settings.text('warm') === 'yes' });
    const spaces = by === 'processes' ? { files: 1, filePages: pages } : { files: 0, filePages: 0 };
    return { program, pagesPerVcpu: pages + SPARE, stride: 1, spaces };
  },
};

export const reclaim: Workload = {
  id: 'reclaim',
  title: 'the owner takes pages of a guest that goes on using them',
  operation: 'one page taken and used again',
  standsFor: 'a host under memory pressure: swap or far memory below a running guest',
  assumes: [
    'a call of vCPU 0 starts each round: it stands for the owner’s reclaim thread, which picks ' +
      'every rounds-th page',
    'each page is taken once at most and comes back as a fresh page',
  ],
  leavesOut: ['ageing, and the I/O of swapping out and in'],
  conditions: ['apicv', 'l1'],
  parameters: [
    {
      name: 'pages',
      unit: 'pages of 4 KiB per vCPU',
      default: '256',
      describe: 'the working set of each vCPU but the first',
      range: [1, MOST_PER_VCPU / 2],
    },
    roundsOf('rounds', '8', 'how often pages are taken'),
    {
      name: 'batch',
      unit: 'pages',
      default: '32',
      describe: 'how many pages are taken at once',
      range: [1, 2048],
    },
    {
      name: 'passes',
      unit: 'passes',
      default: '8',
      describe: 'how often each vCPU goes through its pages meanwhile, before it does once more',
      range: [0, 1_000_000],
    },
  ],
  recordings: none,
  plan(settings, vcpus): Plan {
    if (vcpus < 2) badInput('workload reclaim: at least 2 vCPUs: the first one takes the pages');
    const pages = countOf(settings, 'pages', vcpus, MOST_PAGES);
    const rounds = settings.number('rounds');
    const batch = settings.number('batch');
    if (rounds * batch > pages * (vcpus - 1)) {
      badInput(
        `workload reclaim: rounds=${rounds} of batch=${batch} pages are more than the ` +
          `${pages * (vcpus - 1)} pages that there are`,
      );
    }
    const program = reclaimed({ pages, rounds, batch, passes: settings.number('passes') });
    return { program, pagesPerVcpu: pages + SPARE, stride: 1 };
  },
};
