/**
 * Programs of interrupts and of instructions that exit: IPIs between vCPUs, timer ticks, MSRs, and
 * a mix of everything, as a boot is.
 */
import { bell, cpuid, Msr, rdmsr, ring, work, wrmsr } from '../../machine/instruction.ts';
import type { Routine } from '../../runtime/act.ts';
import { Event } from '../../runtime/trace.ts';
import type { Process } from '../common/process.ts';
import { awaitBell, type Environment, OWN_BELL, type Program } from './environment.ts';
import { runProgram } from './processes.ts';
import { replay, writes } from './replay.ts';

export interface IpiWork {
  /** IPIs that each sender sends. */
  readonly count: number;
  /** Instructions that it runs between two. */
  readonly pause: number;
  /** What the receiver does: it runs, or waits in HLT. */
  readonly target: 'running' | 'halted';
}

/** vCPUs in pairs: the first sends and waits for the handler of the second. */
export function ipis({ count, pause, target }: IpiWork): Program {
  return {
    *setUp(): Routine<void> {
      // the kernel is there
    },
    *run({ cpu, kernel, index }: Environment): Routine<void> {
      const { interrupts } = kernel;
      const done = bell(OWN_BELL + (index >> 1));
      if (index % 2 === 1) {
        if (target === 'halted') yield* interrupts.idle(cpu, count);
        yield* awaitBell(cpu, done, 1);
        return;
      }
      for (let i = 1; i <= count; i++) {
        yield work(cpu, pause, 'program.pause');
        yield* interrupts.reschedule(cpu, index + 1);
        yield* interrupts.awaitReceived(cpu, index + 1, i);
      }
      yield work(cpu, pause, 'program.pause'); // until the last handler is over
      cpu.note(Event.operation, count, 0);
      yield ring(cpu, done);
    },
  };
}

/** Runs until `count` timer interrupts have come; an operation is one. */
export function ticking(count: number): Program {
  return {
    *setUp(): Routine<void> {
      // ticks begin with the measured part
    },
    *run({ cpu, kernel }: Environment): Routine<void> {
      yield* kernel.interrupts.runTicks(cpu, count, 1000);
      cpu.note(Event.operation, count, 0);
    },
  };
}

export interface MsrWork {
  readonly count: number;
  /** Whether the register is the guest's own, or its hypervisor's. */
  readonly access: 'passed' | 'exiting';
}

/** Reads and writes of one register in turn. */
export function msrs({ count, access }: MsrWork): Program {
  const register = access === 'passed' ? Msr.kernelGsBase : Msr.miscEnable;
  return {
    *setUp(): Routine<void> {
      // nothing to prepare
    },
    *run({ cpu }: Environment): Routine<void> {
      for (let i = 0; i < count; i++) {
        if (i % 2 === 0) yield rdmsr(cpu, register, 'program.rdmsr');
        else yield wrmsr(cpu, register, i, 'program.wrmsr');
      }
      cpu.note(Event.operation, count, 0);
    },
  };
}

export interface BootWork {
  /** Steps of the boot, each with all of the following. */
  readonly steps: number;
  /** New pages touched by the kernel and its first process. */
  readonly pages: number;
  readonly cpuids: number;
  /** MSRs read and written, of which every second one exits. */
  readonly msrs: number;
  /** Pages of text and data of the program that each step runs. */
  readonly text: number;
  readonly data: number;
  readonly calls: number;
}

/** An operation is one step. */
export function bootLike(work: BootWork): Program {
  const inits = new Map<number, Process>();
  return {
    *setUp(env: Environment): Routine<void> {
      inits.set(env.index, yield* env.kernel.spaces.begin(env.cpu));
    },
    *run(env: Environment): Routine<void> {
      const { cpu, kernel } = env;
      const { spaces } = kernel;
      const init = inits.get(env.index)!;
      for (let step = 0; step < work.steps; step++) {
        for (let i = 0; i < work.cpuids; i++) yield cpuid(cpu, i % 8, 'boot.cpuid');
        for (let i = 0; i < work.msrs; i++) {
          const register = i % 2 === 0 ? Msr.kernelGsBase : Msr.miscEnable;
          yield rdmsr(cpu, register, 'boot.rdmsr');
        }
        const first = yield* spaces.map(cpu, init, { pages: work.pages });
        yield* replay(cpu, kernel, init, writes(first, work.pages), 0);
        const child = yield* spaces.fork(cpu, init);
        yield* spaces.enter(cpu, child);
        const program = yield* spaces.exec(cpu, child);
        yield* runProgram(env, program, work);
        yield* spaces.exit(cpu, program);
        yield* spaces.enter(cpu, init);
        cpu.note(Event.operation, 1, 0);
      }
    },
  };
}
