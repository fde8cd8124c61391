/** Workloads that replay recorded programs as processes: one trace, and the main job. */
import { type Life, recorded } from '../guest/program/recorded.ts';
import type { Recording } from './recording.ts';
import type { NeededRecording, Parameter, Plan, Settings, Workload } from './workload.ts';

/** Pages that a vCPU may have taken in a batch and not used. */
const SPARE = 64;
/** Twice as many entries, at most, has the smallest TLB of a preset. */
const MOST_FILTER = 768;

export const BUNDLED = 'bundled:';
const SORT = `${BUNDLED}sort`;
const GZIP = `${BUNDLED}gzip`;
const SERVER = `${BUNDLED}redis`;

const NOT_IN_TRACES = [
  'what the guest’s kernel reads and writes on a program’s behalf, files, system calls, waiting',
  'a recorded program’s threads: each recording runs on one vCPU',
  'addresses are those under valgrind; code and data pages are all anonymous memory',
];

function reclaim(runs: string, by: string): Parameter {
  return {
    name: 'reclaim',
    unit: 'runs',
    default: by,
    describe: `after every how many ${runs} the free frames are reported and taken back; 0 = never`,
    range: [0, 1_000_000],
  };
}

function filter(by: string): Parameter {
  return {
    name: 'filter',
    unit: 'pages',
    default: by,
    describe: 'pages of the LRU list that lines are left out by; 0 = as recorded',
    range: [0, MOST_FILTER],
  };
}

export const trace: Workload = {
  id: 'trace',
  title: 'every vCPU runs a recorded program as a process, again and again',
  operation: 'an access as recorded (a line of the trace)',
  standsFor: 'the recorded program in a guest: exec, demand paging, its working set, exit',
  assumes: [
    'the owner takes back at once what the guest reports as free, page by page',
    'a line left out by a wider filter would have hit the TLB (src/workload/recording.ts)',
  ],
  leavesOut: NOT_IN_TRACES,
  conditions: ['l1'],
  file: 'a trace file',
  parameters: [
    {
      name: 'times',
      unit: 'runs per vCPU',
      default: '1',
      describe: 'how often each vCPU runs the program',
      range: [1, 100_000],
    },
    reclaim('runs', '1'),
    filter('0'),
  ],
  recordings: (settings) => [{ name: settings.file, filter: settings.number('filter') }],
  plan(settings, vcpus, recordings): Plan {
    const recording = recordings.get(settings.file)!;
    const lives = Array.from({ length: settings.number('times') }, (_, i) =>
      lifeOf(recording, recording.accesses, isReported(settings, i)),
    );
    return planOf(new Array<readonly Life[]>(vcpus).fill(lives), recording.pages);
  },
};

export const programs: Workload = {
  id: 'programs',
  title: 'the main job: recorded programs run and exit while the owner reclaims their pages',
  operation: 'a page that a process touches for the first time',
  standsFor:
    'a guest that builds software or answers requests by short processes (sort, gzip), beside a ' +
    'server that fills 80 MB and reads it at random (redis)',
  assumes: [
    'even vCPUs begin with sort, odd ones with gzip, and all alternate; vCPU 0 ends with redis',
    'after every fifth exit (reclaim=5) the guest reports the frames as free and the owner takes ' +
      'them back: the next process, now sort, now gzip, finds its second-stage entries gone',
    'a line left out by the wider filter (64 pages, redis 128) would have hit the TLB ' +
      '(src/workload/recording.ts)',
  ],
  leavesOut: NOT_IN_TRACES,
  conditions: ['l1'],
  parameters: [
    {
      name: 'runs',
      unit: 'program runs per vCPU',
      default: '20',
      describe: 'how many processes each vCPU runs, sort and gzip alternating',
      range: [1, 100_000],
    },
    reclaim('runs of a vCPU', '5'),
    filter('64'),
    {
      name: 'server',
      unit: '',
      default: 'yes',
      describe: 'whether vCPU 0 runs redis at the end',
      values: ['yes', 'no'],
    },
  ],
  recordings(settings): readonly NeededRecording[] {
    const filter = settings.number('filter');
    const small = [SORT, GZIP].map((name) => ({ name, filter }));
    // The server touches so many pages that a list twice as long loses fewer of its misses.
    const server = { name: SERVER, filter: Math.min(2 * filter, MOST_FILTER) };
    return settings.text('server') === 'yes' ? [...small, server] : small;
  },
  plan(settings, vcpus, recordings): Plan {
    const small = [recordings.get(SORT)!, recordings.get(GZIP)!];
    const lives = Array.from({ length: vcpus }, (_, vcpu) =>
      Array.from({ length: settings.number('runs') }, (_, i) => {
        const recording = small[(vcpu + i) % small.length]!;
        return lifeOf(recording, recording.pages, isReported(settings, i));
      }),
    );
    const server = recordings.get(SERVER);
    if (server !== undefined) lives[0]!.push(lifeOf(server, server.pages, false));
    return planOf(lives, Math.max(...[...recordings.values()].map(({ pages }) => pages)));
  },
};

function isReported(settings: Settings, run: number): boolean {
  const every = settings.number('reclaim');
  return every > 0 && (run + 1) % every === 0;
}

function lifeOf(recording: Recording, operations: number, reported: boolean): Life {
  const { lines, areas } = recording;
  return { lines, areas, operations, reported };
}

function planOf(lives: readonly (readonly Life[])[], pages: number): Plan {
  return { program: recorded(lives), pagesPerVcpu: pages + SPARE, stride: 1 };
}
