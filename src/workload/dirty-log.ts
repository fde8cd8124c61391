/** The workload of a live migration: guest memory is logged while the guest writes to it. */
import { LOG_PASS, rewrite } from '../guest/program/dirty.ts';
import { pages } from './basic.ts';
import { countOf, MOST_PAGES, SPARE } from './limits.ts';
import type { Plan, Workload } from './workload.ts';

export const dirtyLog: Workload = {
  id: 'dirty-log',
  title: 'every vCPU writes again to its pages while a thread of the host logs them',
  operation: 'a write to a page',
  standsFor: 'the guest’s side of a live migration: the first pass over memory after logging began',
  assumes: [
    'the pages are resident and were written to before; logging of all slots begins before the ' +
      'measured part, and with rounds=0 nothing is harvested in it',
    'with rounds, each vCPU goes on to its next pass while the host harvests the one before',
  ],
  leavesOut: ['copying the pages and sending them; beginning to log, which is not measured'],
  conditions: ['pages'],
  parameters: [
    pages,
    {
      name: 'rounds',
      unit: 'harvests',
      default: '0',
      describe: 'how often the host harvests; the vCPUs write to all pages once more each time',
      range: [0, 64],
    },
  ],
  recordings: () => [],
  plan(settings, vcpus): Plan {
    const count = countOf(settings, 'pages', vcpus, MOST_PAGES);
    const rounds = settings.number('rounds');
    return {
      program: rewrite(count, rounds + 1),
      pagesPerVcpu: count + SPARE,
      stride: 1,
      logged: { rounds, bell: LOG_PASS },
    };
  },
};
