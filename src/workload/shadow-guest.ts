/**
 * The guest in the recordings of real KVM (data/traces/kvm): its phases, as the marks in a
 * recording name them, and the workload that runs them.
 */
import { badInput } from '../base/bad-input.ts';
import { type Command, type Phase, shadowGuest } from '../guest/program/shadow-guest.ts';
import { HUGE_MAP, SMALL_MAP } from '../guest/program/shadow-image.ts';
import type { Routine } from '../runtime/act.ts';
import type { Parameter, Plan, Settings, Workload } from './workload.ts';

/** What a mark says, and how it becomes a phase; `va` is where the phase before worked. */
interface Reading {
  readonly pattern: RegExp;
  phase(mark: string, numbers: readonly number[], va: number): Phase;
}

const write = (va: number, pages: number): Command => ({ does: 'write', va, pages });

const READINGS: readonly Reading[] = [
  {
    pattern: /^phase=(?:seq|huge)-write pages=(\d+) va=0x([0-9a-f]+)$/,
    phase: (mark, [pages, va]) => ({ mark, commands: [write(va!, pages!)] }),
  },
  {
    pattern: /^phase=(?:seq|huge)-(?:rewrite|write-after) pages=(\d+)$/,
    phase: (mark, [pages], va) => ({ mark, commands: [write(va, pages!)] }),
  },
  {
    pattern: /^phase=touch pages=(\d+)$/,
    phase: (mark, [pages], va) => ({ mark, commands: [write(va, pages!)] }),
  },
  {
    pattern: /^phase=random pages=(\d+) va=0x([0-9a-f]+) accesses=(\d+) writepct=(\d+) seed=(\d+)$/,
    phase: (mark, [pages, va, accesses, writePercent, seed]) => ({
      mark,
      commands: [
        {
          does: 'random',
          va: va!,
          pages: pages!,
          accesses: accesses!,
          writePercent: writePercent!,
          seed: seed!,
        },
      ],
    }),
  },
  {
    pattern: /^phase=host-dontneed pages=(\d+) off=(\d+)$/,
    phase: (mark, [pages, first]) => ({
      mark,
      discard: { first: first!, pages: pages! },
      commands: [],
    }),
  },
  {
    pattern: /^phase=guest-build pages=(\d+) va=0x([0-9a-f]+)$/,
    phase: (mark, [pages, va]) => ({ mark, commands: [{ does: 'build', va: va!, pages: pages! }] }),
  },
  {
    pattern: /^phase=remap-reverse pages=(\d+) invlpg=1$/,
    phase: (mark, [pages], va) => ({ mark, commands: [{ does: 'remap', va, pages: pages! }] }),
  },
  {
    pattern: /^phase=clone root, two roots, (\d+) switches, touch (\d+)$/,
    phase: (mark, [rounds, pages], va) => ({
      mark,
      commands: [{ does: 'clone' }, { does: 'switch', va, rounds: rounds!, pages: pages! }],
    }),
  },
  { pattern: /^end$/, phase: (mark) => ({ mark, commands: [] }) },
  { pattern: /^phase=teardown$/, phase: (mark) => ({ mark, commands: [] }) },
];

/** The phases that marks of a recording name; a mark that the guest does not know is bad input. */
export function phasesOf(marks: readonly string[]): Phase[] {
  const phases: Phase[] = [];
  let va = SMALL_MAP;
  for (const mark of marks) {
    const reading = READINGS.find(({ pattern }) => pattern.test(mark));
    if (reading === undefined) badInput(`no guest program of kpop knows the phase '${mark}'`);
    const groups = reading.pattern.exec(mark)!.slice(1);
    const isHex = (i: number): boolean => new RegExp(`va=0x${groups[i]!}(?: |$)`).test(mark);
    const numbers = groups.map((text, i) => Number.parseInt(text, isHex(i) ? 16 : 10));
    const phase = reading.phase(mark, numbers, va);
    for (const command of phase.commands) if ('va' in command) va = command.va;
    phases.push(phase);
  }
  return phases;
}

const END = ['end', 'phase=teardown'];
const hex = (va: number): string => `0x${va.toString(16)}`;

/** The marks of each program, in the order of its recording. */
const PROGRAMS: Readonly<Record<string, (settings: Settings) => readonly string[]>> = {
  seq: (settings) => {
    const pages = settings.number('pages');
    return [
      `phase=seq-write pages=${pages} va=${hex(SMALL_MAP)}`,
      `phase=seq-rewrite pages=${pages}`,
      `phase=host-dontneed pages=${Math.floor(pages / 2)} off=0`,
      `phase=seq-write-after pages=${pages}`,
      ...END,
    ];
  },
  'build-remap-switch': (settings) => {
    const pages = settings.number('pages');
    return [
      `phase=guest-build pages=${pages} va=0x8000000000`,
      `phase=touch pages=${pages}`,
      `phase=remap-reverse pages=${Math.min(16, pages)} invlpg=1`,
      'phase=clone root, two roots, 4 switches, touch 8',
      ...END,
    ];
  },
  random: (settings) => {
    const pages = settings.number('pages');
    const rest = `accesses=${8 * pages} writepct=30 seed=${settings.number('seed')}`;
    return [`phase=random pages=${pages} va=${hex(SMALL_MAP)} ${rest}`, ...END];
  },
  huge: (settings) => {
    const pages = settings.number('pages');
    return [
      `phase=huge-write pages=${pages} va=${hex(HUGE_MAP)}`,
      `phase=huge-rewrite pages=${pages}`,
      `phase=host-dontneed pages=${Math.floor(pages / 2)} off=0`,
      `phase=huge-write-after pages=${pages}`,
      ...END,
    ];
  },
};

const parameters: readonly Parameter[] = [
  {
    name: 'program',
    unit: 'name of a program',
    default: 'seq',
    describe: 'what the guest is told to do, phase by phase',
    values: Object.keys(PROGRAMS),
  },
  {
    name: 'pages',
    unit: 'pages of 4 KiB per vCPU',
    default: '128',
    describe: 'how many pages its phases work on',
    range: [8, 256],
  },
  {
    name: 'seed',
    unit: 'state of the generator at the start',
    default: '88172645463325',
    describe: 'of random accesses',
    range: [1, Number.MAX_SAFE_INTEGER],
  },
];

export const shadowGuestWorkload: Workload = {
  id: 'shadow-guest',
  title: 'the guest of the recordings in data/traces/kvm: edits its own tables, without a kernel',
  operation: 'an access to a page, or a page mapped anew',
  standsFor:
    'nothing: it is what real KVM was recorded with, so that events can be held against it',
  assumes: [
    'all memory of the guest is resident in the host before it runs',
    'its text, stack and descriptor tables lie where the recordings show them',
  ],
  leavesOut: ['time stamps that the real program takes around its accesses'],
  conditions: [],
  parameters,
  recordings: () => [],
  plan(settings, vcpus): Plan {
    const program = settings.text('program');
    if (vcpus > 2 || (vcpus > 1 && program !== 'seq' && program !== 'huge')) {
      badInput(`workload shadow-guest: program=${program} has no work for ${vcpus} vCPUs`);
    }
    return planOf(PROGRAMS[program]!(settings), vcpus);
  },
};

/** The plan of a guest whose phases a recording names. */
export function planOf(marks: readonly string[], vcpus: number): Plan {
  const image = shadowGuest(phasesOf(marks), vcpus);
  return { program: NOTHING, pagesPerVcpu: 0, stride: 1, image };
}

const NOTHING: Plan['program'] = {
  *setUp(): Routine<void> {
    // the image brings its own code
  },
  *run(): Routine<void> {
    // the same
  },
};
