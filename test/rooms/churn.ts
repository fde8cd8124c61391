/**
 * Processes that come and go: each takes random pages, unmaps some, exits, and reports what it
 * leaves as free to the owner, or not. The random part of the quiescence tests.
 */
import { Random } from '../../src/base/random.ts';
import type { Environment, Program } from '../../src/guest/program/environment.ts';
import { replay, writes } from '../../src/guest/program/replay.ts';
import type { Routine } from '../../src/runtime/act.ts';
import type { Plan } from '../../src/workload/workload.ts';

const DATA = 0x400000;

export interface Churn {
  readonly seed: number;
  readonly lives: number;
  /** Pages of one process, at most. */
  readonly pages: number;
}

export function churn({ seed, lives, pages }: Churn): Plan {
  const program: Program = {
    *setUp(): Routine<void> {
      // every process begins within the measured part
    },
    *run(env: Environment): Routine<void> {
      const random = new Random(seed, env.index);
      for (let life = 0; life < lives; life++) yield* live(env, random, pages);
    },
  };
  return { program, pagesPerVcpu: pages + 64, stride: 1 };
}

function* live({ cpu, kernel }: Environment, random: Random, pages: number): Routine<void> {
  const process = yield* kernel.exec(cpu);
  const first = DATA + 512 * random.below(4);
  const count = 1 + random.below(pages);
  yield* replay(cpu, kernel, process, writes(first, count));
  if (random.below(2) === 0) {
    const from = first + random.below(count);
    yield* kernel.munmap(cpu, process, from, Math.min(first + count, from + 40));
    yield* replay(cpu, kernel, process, writes(first, count));
  }
  const frames = yield* kernel.exit(cpu, process, [{ first, end: first + count }]);
  if (random.below(3) > 0) yield* kernel.report(cpu, frames);
  kernel.recycle(cpu, frames);
}
