/** Workloads of interrupts, of MSRs, and a boot-like mix. */
import { badInput } from '../base/bad-input.ts';
import { bootLike as bootProgram, ipis, msrs, ticking } from '../guest/program/interrupts.ts';
import { checkSharers, SPARE } from './limits.ts';
import type { NeededRecording, Parameter, Plan, Workload } from './workload.ts';

const none = (): readonly NeededRecording[] => [];

const IDLE_HOST =
  'what a host’s scheduler does with an idle vCPU’s CPU: its thread waits at a word, as KVM polls';

function number(
  name: string,
  unit: string,
  by: string,
  describe: string,
  most = 100_000,
): Parameter {
  return { name, unit, default: by, describe, range: [0, most] };
}

export const ipi: Workload = {
  id: 'ipi',
  title: 'vCPUs in pairs: one sends the other an interrupt, again and again',
  operation: 'one IPI, from sending to the end of its handler',
  standsFor: 'wake-ups and reschedules between vCPUs; with target=halted of idle ones',
  assumes: ['the sender pauses between two, so that the receiver is back where it was'],
  leavesOut: [IDLE_HOST, 'broadcasts, and what a reschedule does'],
  conditions: ['apicv', 'eoi', 'tick'],
  parameters: [
    {
      name: 'count',
      unit: 'IPIs per pair',
      default: '64',
      describe: 'how many each sender sends',
      range: [1, 1_000_000],
    },
    number('pause', 'instructions', '40000', 'what a sender runs between two', 10_000_000),
    {
      name: 'target',
      unit: '',
      default: 'running',
      describe: 'what the receiver does: it runs in the guest, or waits in HLT',
      values: ['running', 'halted'],
    },
  ],
  recordings: none,
  plan(settings, vcpus): Plan {
    if (vcpus % 2 !== 0) badInput(`workload ipi: an even number of vCPUs, not ${vcpus}: pairs`);
    const target = settings.text('target') === 'halted' ? 'halted' : 'running';
    const count = settings.number('count');
    const program = ipis({ count, pause: settings.number('pause'), target });
    return { program, pagesPerVcpu: SPARE, stride: 1, interrupts: { tickHz: 0 } };
  },
};

export const tick: Workload = {
  id: 'tick',
  title: 'every vCPU computes while its kernel’s timer ticks',
  operation: 'one tick: the timer is armed, expires, and its interrupt is handled',
  standsFor: 'a busy guest without memory traffic: what its timer alone costs',
  assumes: [
    'each handler arms the next tick (TSC deadline), so that the period begins anew there',
    'L0’s and L1’s own ticks are off',
  ],
  leavesOut: ['tickless idle, posted timers, the VMX preemption timer: expiry is an interrupt'],
  conditions: ['apicv', 'eoi', 'tick'],
  parameters: [
    {
      name: 'ticks',
      unit: 'ticks per vCPU',
      default: '16',
      describe: 'how many each vCPU takes',
      range: [1, 100_000],
    },
    {
      name: 'hz',
      unit: 'ticks per second',
      default: '250',
      describe: 'how often the timer ticks, unless --tick says it',
      range: [1, 1_000_000],
    },
  ],
  recordings: none,
  plan(settings): Plan {
    const interrupts = { tickHz: settings.number('hz'), waits: true };
    const program = ticking(settings.number('ticks'));
    return { program, pagesPerVcpu: SPARE, stride: 1, interrupts };
  },
};

export const msr: Workload = {
  id: 'msr',
  title: 'every vCPU reads and writes an MSR',
  operation: 'one RDMSR or WRMSR',
  standsFor: 'registers that a guest has to itself, and registers that its owner emulates',
  assumes: [
    'access=passed: KERNEL_GS_BASE, which no level intercepts; exiting: MISC_ENABLE, which all do',
  ],
  leavesOut: ['what the registers mean', 'an L0 that answers for the owner (SHADOW registers)'],
  conditions: [],
  parameters: [
    {
      name: 'count',
      unit: 'instructions per vCPU',
      default: '1000',
      describe: 'how many each vCPU executes, reads and writes in turn',
      range: [1, 10_000_000],
    },
    {
      name: 'access',
      unit: '',
      default: 'exiting',
      describe: 'whether the register is passed through',
      values: ['exiting', 'passed'],
    },
  ],
  recordings: none,
  plan(settings): Plan {
    const access = settings.text('access') === 'passed' ? 'passed' : 'exiting';
    const program = msrs({ count: settings.number('count'), access });
    return { program, pagesPerVcpu: SPARE, stride: 1 };
  },
};

export const bootLike: Workload = {
  id: 'boot-like',
  title: 'every vCPU: new pages, CPUID, MSRs, programs from a file, system calls, a timer',
  operation: 'one step of the boot, with everything in it once',
  standsFor: 'the mix of a booting guest: which of its events dominates under which design',
  assumes: [
    'the proportions are parameters; the defaults are ours and measured nowhere',
    'every vCPU runs an init process of its own, which runs one program after the other',
  ],
  leavesOut: ['devices and their I/O, firmware, the boot of secondary CPUs'],
  conditions: ['l1', 'apicv', 'eoi', 'tick'],
  parameters: [
    {
      name: 'steps',
      unit: 'steps per vCPU',
      default: '8',
      describe: 'how often everything below is done',
      range: [1, 100_000],
    },
    number('pages', 'new pages per step', '64', 'memory that is used for the first time', 4096),
    number('cpuids', 'instructions per step', '32', 'CPUIDs'),
    number('msrs', 'instructions per step', '32', 'RDMSRs, every second of which exits'),
    { ...number('text', 'pages', '32', 'text of each program', 4096), range: [1, 4096] },
    { ...number('data', 'pages', '16', 'data of each program', 4096), range: [1, 4096] },
    number('calls', 'system calls', '64', 'system calls of each program'),
    {
      ...number('hz', 'ticks per second', '250', 'the timer, unless --tick says it'),
      range: [0, 1_000_000],
    },
  ],
  recordings: none,
  plan(settings, vcpus): Plan {
    checkSharers('boot-like', vcpus);
    const of = (name: string): number => settings.number(name);
    const program = bootProgram({
      steps: of('steps'),
      pages: of('pages'),
      cpuids: of('cpuids'),
      msrs: of('msrs'),
      text: of('text'),
      data: of('data'),
      calls: of('calls'),
    });
    const resident = of('steps') * of('pages');
    if (of('steps') > 90 || resident > 1 << 16) {
      badInput('workload boot-like: at most 90 steps, and 65536 new pages per vCPU in all');
    }
    return {
      program,
      pagesPerVcpu: resident + of('text') + of('data') + SPARE,
      stride: 1,
      spaces: { files: 1, filePages: of('text') },
      interrupts: { tickHz: of('hz') },
    };
  },
};
