/**
 * Programs that take turns with a thread of the host: all vCPUs pass over their pages, then wait in
 * guest mode until the host has done something to the memory below them, and pass over them again.
 * And accesses to pages that are no memory at all.
 */

import { bell, ring } from '../../machine/instruction.ts';
import { FRAME_BYTES } from '../../machine/memory.ts';
import { type Act, num, type Routine } from '../../runtime/act.ts';
import type { Context } from '../../runtime/context.ts';
import { Event } from '../../runtime/trace.ts';
import type { Process } from '../common/process.ts';
import { awaitBell, type Environment, OWN_BELL, type Program } from './environment.ts';
import { ACCESS, accesses, replay, writes } from './replay.ts';

const DATA = 0x400000;
/** Rung by every vCPU after each of its passes, and by the host after each of its turns. */
export const PASSED = bell(OWN_BELL + 2);
const ANSWERED = bell(OWN_BELL + 3);

/** The host's turn is over. */
export function answer(cpu: Context): Act {
  return ring(cpu, ANSWERED);
}

/** Accesses to `pages` pages in each pass, of which there are `turns` + 1. */
function passes(pages: number, turns: number, kinds: readonly number[]): Program {
  const processes = new Map<number, Process>();
  return {
    *setUp(env: Environment): Routine<void> {
      const process = yield* env.kernel.exec(env.cpu);
      processes.set(env.index, process);
      yield* replay(env.cpu, env.kernel, process, writes(DATA, pages));
    },
    *run(env: Environment): Routine<void> {
      const process = processes.get(env.index)!;
      for (let turn = 0; turn <= turns; turn++) {
        for (const kind of kinds) {
          yield* replay(env.cpu, env.kernel, process, accesses(DATA, pages, kind));
        }
        yield ring(env.cpu, PASSED);
        if (turn < turns) yield* awaitBell(env.cpu, ANSWERED, turn + 1);
      }
    },
  };
}

/** One write to each page. */
export function rewriteInTurns(pages: number, turns: number): Program {
  return passes(pages, turns, [ACCESS.write]);
}

/** One write to each page, and then one fetch from each. */
export function executeInTurns(pages: number, turns: number): Program {
  return passes(pages, turns, [ACCESS.write, ACCESS.execute]);
}

/** `count` reads of a device's registers, in turn on each of `pages` pages of the vCPU's own. */
export function deviceReads(count: number, pages: number): Program {
  return {
    *setUp(): Routine<void> {
      // nothing to prepare
    },
    *run({ cpu, device, index }: Environment): Routine<void> {
      for (let i = 0; i < count; i++) {
        const page = device + index * pages + (i % pages);
        num(yield cpu.load(page * FRAME_BYTES, 'program.device'));
      }
      cpu.note(Event.operation, count, 0);
    },
  };
}
