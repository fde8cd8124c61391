/**
 * Threads of one process on several vCPUs: each maps pages of its own in the common address space
 * and unmaps them again, which costs every other vCPU of the process a flush (a shootdown).
 */
import { bell, ring } from '../../machine/instruction.ts';
import type { Routine } from '../../runtime/act.ts';
import { Event } from '../../runtime/trace.ts';
import type { Process } from '../common/process.ts';
import { awaitBell, type Environment, OWN_BELL, type Program } from './environment.ts';
import { replay, writes } from './replay.ts';

const DATA = 0x400000;
/** From here on: a bell for each process, rung by each of its callers at the end. */
const OVER_BELL = OWN_BELL + 64;
/** Pages between the areas of two threads: each has leaf tables of its own. */
const AREA = 1 << 18;

export interface SharedWork {
  /** vCPUs of a process. */
  readonly threads: number;
  /** How often each thread maps and unmaps. */
  readonly rounds: number;
  /** Pages that it maps and unmaps at once. */
  readonly pages: number;
  /** How many threads of a process do that; the others stay in the guest and are interrupted. */
  readonly callers: number;
}

/** An operation is one unmapping. */
export function shared(work: SharedWork): Program {
  const processes = new Map<number, Process>();
  return {
    *setUp(env: Environment): Routine<void> {
      const group = Math.floor(env.index / work.threads);
      const made = bell(OWN_BELL + 1 + group);
      if (env.index % work.threads === 0) {
        processes.set(group, yield* env.kernel.exec(env.cpu));
        yield ring(env.cpu, made);
      } else {
        yield* awaitBell(env.cpu, made, 1);
        yield* env.kernel.switchTo(env.cpu, processes.get(group)!);
      }
      const process = processes.get(group)!;
      yield* env.kernel.prepareTables(env.cpu, process, areaOf(env, work), work.pages);
    },
    *run(env: Environment): Routine<void> {
      const process = processes.get(Math.floor(env.index / work.threads))!;
      const first = areaOf(env, work);
      const over = bell(OVER_BELL + Math.floor(env.index / work.threads));
      if (env.index % work.threads >= work.callers) {
        return yield* awaitBell(env.cpu, over, work.callers);
      }
      for (let round = 0; round < work.rounds; round++) {
        yield* replay(env.cpu, env.kernel, process, writes(first, work.pages), 0);
        yield* env.kernel.munmap(env.cpu, process, first, first + work.pages);
        env.cpu.note(Event.operation, 1, 0);
      }
      yield ring(env.cpu, over);
    },
  };
}

function areaOf(env: Environment, work: SharedWork): number {
  return DATA + (env.index % work.threads) * AREA;
}
