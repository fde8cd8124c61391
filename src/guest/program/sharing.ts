/**
 * Pages that several vCPUs use: threads of one process, processes that map one file, and an owner
 * that takes pages from a guest that goes on using them.
 */
import { bell, ring } from '../../machine/instruction.ts';
import type { Routine } from '../../runtime/act.ts';
import { Event } from '../../runtime/trace.ts';
import type { Process } from '../common/process.ts';
import { awaitBell, type Environment, OWN_BELL, type Program } from './environment.ts';
import { replay, writes } from './replay.ts';

const SHARED_FILE = 0;
const MADE = bell(OWN_BELL);
const TAKEN = bell(OWN_BELL + 1);

export interface SharedTouch {
  readonly pages: number;
  /** Who shares: threads of one process, or processes that map one file. */
  readonly by: 'threads' | 'processes';
  /** Whether one vCPU has touched all pages before the measured part. */
  readonly warm: boolean;
}

/**
 * Every vCPU writes to all pages, each beginning elsewhere; their tables exist. An operation is an
 * access.
 */
export function touchShared({ pages, by, warm }: SharedTouch): Program {
  const processes = new Map<number, Process>();
  const firsts = new Map<number, number>();
  return {
    *setUp(env: Environment): Routine<void> {
      const { cpu, kernel, index } = env;
      const { spaces } = kernel;
      const isFirst = index === 0;
      if (!isFirst) yield* awaitBell(cpu, MADE, 1);
      if (isFirst || by === 'processes') {
        const process = yield* spaces.begin(cpu);
        const file = by === 'processes' ? { file: SHARED_FILE, write: true } : {};
        processes.set(index, process);
        firsts.set(index, yield* spaces.map(cpu, process, { pages, ...file }));
      } else {
        processes.set(index, processes.get(0)!);
        firsts.set(index, firsts.get(0)!);
        yield* spaces.enter(cpu, processes.get(0)!);
      }
      const process = processes.get(index)!;
      const first = firsts.get(index)!;
      yield* kernel.prepareTables(cpu, process, first, pages);
      // A page of its own, so that the owner has tables for where its frames come from.
      const beside = yield* spaces.map(cpu, process, { pages: 1 });
      yield* replay(cpu, kernel, process, writes(beside, 1), 0);
      if (isFirst && warm) yield* replay(cpu, kernel, process, writes(first, pages), 0);
      if (isFirst) yield ring(cpu, MADE);
    },
    *run(env: Environment): Routine<void> {
      const { cpu, kernel, index, vcpus } = env;
      const first = firsts.get(index)!;
      const skipped = Math.floor((index * pages) / vcpus);
      const process = processes.get(index)!;
      yield* replay(cpu, kernel, process, writes(first + skipped, pages - skipped));
      if (skipped > 0) yield* replay(cpu, kernel, process, writes(first, skipped));
    },
  };
}

export interface ReclaimWork {
  /** Pages of the working set of each vCPU. */
  readonly pages: number;
  /** How often each vCPU goes through them while pages are taken, before it does once more. */
  readonly passes: number;
  /** How often pages are taken, and how many at once. */
  readonly rounds: number;
  readonly batch: number;
}

/**
 * vCPU 0 is where the owner's reclaim runs: by a call it hands over pages that the others use. An
 * operation is one page taken; each is used again.
 */
export function reclaimed(work: ReclaimWork): Program {
  const processes = new Map<number, Process>();
  const frames: number[] = [];
  return {
    *setUp(env: Environment): Routine<void> {
      const { cpu, kernel, index } = env;
      const process = yield* kernel.exec(cpu);
      processes.set(index, process);
      if (index === 0) return;
      yield* replay(cpu, kernel, process, writes(FIRST, work.pages), 0);
      for (let page = FIRST; page < FIRST + work.pages; page++) {
        frames.push(yield* kernel.frameOf(cpu, process, page));
      }
    },
    *run(env: Environment): Routine<void> {
      const { cpu, kernel, index } = env;
      if (index === 0) return yield* takeInTurn(env, frames, work);
      const process = processes.get(index)!;
      for (let pass = 0; pass < work.passes; pass++) {
        yield* replay(cpu, kernel, process, writes(FIRST, work.pages), 0);
      }
      yield* awaitBell(cpu, TAKEN, 1);
      yield* replay(cpu, kernel, process, writes(FIRST, work.pages), 0);
    },
  };
}

const FIRST = 0x400000;

/** Takes each page once at most, those of all vCPUs mixed. */
function* takeInTurn(
  { cpu, kernel }: Environment,
  frames: readonly number[],
  { rounds, batch }: ReclaimWork,
): Routine<void> {
  for (let round = 0; round < rounds; round++) {
    // Every `rounds`-th page, so that a batch is many ranges.
    const taken = frames.filter((_, i) => i % rounds === round).slice(0, batch);
    yield* kernel.report(
      cpu,
      taken.sort((a, b) => a - b),
    );
    cpu.note(Event.operation, taken.length, 0);
  }
  yield ring(cpu, TAKEN);
}
