/**
 * Random parts of the quiescence tests. Processes that come and go: each takes random pages, unmaps
 * some, exits, and reports what it leaves as free to the owner, or not. And pages that all vCPUs
 * come to use at the same moment, so that their second-stage faults race.
 */
import { Random } from '../../src/base/random.ts';
import {
  awaitBell,
  type Environment,
  OWN_BELL,
  type Program,
} from '../../src/guest/program/environment.ts';
import { replay, writes } from '../../src/guest/program/replay.ts';
import { bell, ring } from '../../src/machine/instruction.ts';
import { num, type Routine } from '../../src/runtime/act.ts';
import type { Plan } from '../../src/workload/workload.ts';

const DATA = 0x400000;
/** Frames that a list of the kernel's may hold beyond the one just taken. */
const BATCH = 64;

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

/** Pages of the guest that every vCPU counts itself in, all at once; the last one checks. */
export function together(pages: number): Plan {
  let first = 0;
  const program: Program = {
    *setUp({ cpu, kernel, index }: Environment): Routine<void> {
      const process = yield* kernel.exec(cpu);
      yield* replay(cpu, kernel, process, writes(DATA, 1));
      if (index === 0) first = (yield* kernel.frameOf(cpu, process, DATA)) + BATCH;
    },
    *run({ cpu, vcpus }: Environment): Routine<void> {
      for (let page = first; page < first + pages; page++) {
        const arrived = bell(OWN_BELL + page - first);
        yield ring(cpu, arrived);
        yield* awaitBell(cpu, arrived, vcpus);
        const before = num(yield cpu.add(page * 4096, 1, 'test.together'));
        if (before >= vcpus) throw new Error(`page ${page}: counted ${before} before the last`);
      }
      for (let page = first; page < first + pages; page++) {
        const at = page * 4096;
        yield cpu.wait([at], () => cpu.peek(at) === vcpus, 'test.counted');
      }
    },
  };
  return { program, pagesPerVcpu: pages + 2 * BATCH + 64, stride: 1 };
}
