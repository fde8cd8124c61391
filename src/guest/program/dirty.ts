/** Passes over the same pages, each of which somebody may want to know of. */
import { bell, ring } from '../../machine/instruction.ts';
import type { Routine } from '../../runtime/act.ts';
import type { Process } from '../common/process.ts';
import { type Environment, OWN_BELL, type Program } from './environment.ts';
import { replay, writes } from './replay.ts';

const DATA = 0x400000;
/** Rung by every vCPU after each of its passes. */
export const LOG_PASS = bell(OWN_BELL + 1);

/** Writes to `pages` pages, which exist, `passes` times. */
export function rewrite(pages: number, passes: number): Program {
  const processes = new Map<number, Process>();
  return {
    *setUp(env: Environment): Routine<void> {
      const process = yield* env.kernel.exec(env.cpu);
      processes.set(env.index, process);
      yield* replay(env.cpu, env.kernel, process, writes(DATA, pages));
    },
    *run(env: Environment): Routine<void> {
      for (let pass = 0; pass < passes; pass++) {
        const process = processes.get(env.index)!;
        yield* replay(env.cpu, env.kernel, process, writes(DATA, pages));
        yield ring(env.cpu, LOG_PASS);
      }
    },
  };
}
