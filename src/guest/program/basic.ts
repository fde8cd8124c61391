/**
 * The counting programs: `touch`, `refault`, `cpuid`, `unmap`. Each is the smallest program that
 * causes one kind of event a known number of times.
 */
import { OwnerCall } from '../../abi/owner.ts';
import { bell, cpuid, ring, vmcall } from '../../machine/instruction.ts';
import type { Routine } from '../../runtime/act.ts';
import { Event } from '../../runtime/trace.ts';
import type { Process } from '../common/process.ts';
import { awaitBell, type Environment, OWN_BELL, type Program } from './environment.ts';
import { PAUSE, replay, writes } from './replay.ts';

/** First page of the data of these programs: one leaf table each 2 MiB. */
const DATA = 0x400000;
const UNMAPPED = bell(OWN_BELL);

/**
 * P pages per vCPU, one write each; their tables exist, the pages do not. One page beside them is
 * there already, so that the owner has tables for the first of them too. `pause`: instructions
 * before each write.
 */
export function touch(pages: number, pause = PAUSE): Program {
  const processes = new Map<number, Process>();
  return {
    *setUp(env: Environment): Routine<void> {
      const process = yield* env.kernel.exec(env.cpu);
      processes.set(env.index, process);
      yield* env.kernel.prepareTables(env.cpu, process, DATA, pages + 1);
      yield* replay(env.cpu, env.kernel, process, writes(DATA + pages, 1));
    },
    run(env: Environment): Routine<void> {
      const lines = writes(DATA, pages, pause);
      return replay(env.cpu, env.kernel, processes.get(env.index)!, lines);
    },
  };
}

/**
 * As `touch`, but each page is one of a pair under second-stage tables of their own. The owner had
 * tables for the first page of each pair and has removed them; the second pages are touched.
 * `stride` (guest pages, as far as one upper-level entry spans) is the distance between pairs and
 * what is removed around each. What is recycled of the tables, and who still watches it, is up to
 * the system.
 */
export function touchAfterRemoval(pairs: number, stride: number): Program {
  const processes = new Map<number, Process>();
  return {
    *setUp(env: Environment): Routine<void> {
      const { cpu, kernel, index } = env;
      const process = yield* kernel.exec(cpu);
      processes.set(index, process);
      yield* kernel.prepareTables(cpu, process, DATA, 2 * pairs);
      yield* replay(cpu, kernel, process, writes(DATA, pairs));
      for (let page = DATA; page < DATA + pairs; page++) {
        const first = yield* kernel.frameOf(cpu, process, page);
        yield vmcall(cpu, OwnerCall.removeTables, [first, stride], 'program.remove');
      }
    },
    *run(env: Environment): Routine<void> {
      const process = processes.get(env.index)!;
      yield* replay(env.cpu, env.kernel, process, writes(DATA + pairs, pairs));
    },
  };
}

/**
 * The same pages once more after the host has dropped their second-stage entries. `announce` learns
 * the guest frames, for whoever drops them.
 */
export function refault(pages: number, announce: (gfn: number) => void): Program {
  const processes = new Map<number, Process>();
  return {
    *setUp(env: Environment): Routine<void> {
      const process = yield* env.kernel.exec(env.cpu);
      processes.set(env.index, process);
      yield* replay(env.cpu, env.kernel, process, writes(DATA, pages));
      for (let page = DATA; page < DATA + pages; page++) {
        announce(yield* env.kernel.frameOf(env.cpu, process, page));
      }
    },
    run(env: Environment): Routine<void> {
      return replay(env.cpu, env.kernel, processes.get(env.index)!, writes(DATA, pages));
    },
  };
}

/** CPUID, `count` times. */
export function cpuids(count: number): Program {
  return {
    *setUp(): Routine<void> {
      // nothing to prepare
    },
    *run(env: Environment): Routine<void> {
      for (let i = 0; i < count; i++) yield cpuid(env.cpu, i % 8, 'program.cpuid');
      env.cpu.note(Event.operation, count, 0);
    },
  };
}

/**
 * vCPU 0 gives `ranges` ranges of one page back to the owner in one call while all the others are
 * in guest mode; then it runs on.
 */
export function unmap(ranges: number): Program {
  const free: number[] = [];
  return {
    *setUp(env: Environment): Routine<void> {
      const process = yield* env.kernel.exec(env.cpu);
      if (env.index !== 0) return;
      const pages = 2 * ranges; // every other one is given back, so that each is a range of its own
      yield* replay(env.cpu, env.kernel, process, writes(DATA, pages));
      const frames: number[] = [];
      for (let page = DATA; page < DATA + pages; page++) {
        frames.push(yield* env.kernel.frameOf(env.cpu, process, page));
      }
      frames.sort((a, b) => a - b);
      free.push(...frames.filter((_, i) => i % 2 === 0));
    },
    *run(env: Environment): Routine<void> {
      // The others stay in guest mode until they have come back from whatever the unmapping cost
      // them.
      if (env.index !== 0) return yield* awaitBell(env.cpu, UNMAPPED, 1);
      yield* env.kernel.report(env.cpu, free);
      env.cpu.note(Event.operation, ranges, 0);
      yield ring(env.cpu, UNMAPPED);
    },
  };
}
