/**
 * Recorded programs as processes: each life is exec, run, exit. What the process leaves behind is
 * given back to the kernel, and in some lives reported to the owner of the guest's memory, who then
 * takes the pages; the next process that gets those frames faults in the second stage again.
 */
import type { Routine } from '../../runtime/act.ts';
import type { Area } from '../common/process.ts';
import type { Environment, Program } from './environment.ts';
import { type AccessLines, replay } from './replay.ts';

export type { Area } from '../common/process.ts';

/** One life of a process. */
export interface Life {
  readonly lines: AccessLines;
  /** Where its pages lie, ascending. */
  readonly areas: readonly Area[];
  /** What a complete life counts as. */
  readonly operations: number;
  /** Whether the frames that it leaves are reported as free before they are used again. */
  readonly reported: boolean;
}

/** `lives`: of each vCPU, one after the other. */
export function recorded(lives: readonly (readonly Life[])[]): Program {
  return {
    *setUp(): Routine<void> {
      // every process begins within the measured part
    },
    *run(env: Environment): Routine<void> {
      for (const life of lives[env.index]!) yield* live(env, life);
    },
  };
}

function* live({ cpu, kernel }: Environment, life: Life): Routine<void> {
  const process = yield* kernel.exec(cpu);
  yield* replay(cpu, kernel, process, life.lines, life.operations);
  const frames = yield* kernel.exit(cpu, process, life.areas);
  if (life.reported) yield* kernel.report(cpu, frames);
  kernel.recycle(cpu, frames);
}
