/**
 * Programs that live by system calls on their address space: fork with copy on write, chains of
 * exec, mmap and munmap again and again, mremap. Each vCPU runs processes of its own.
 */
import type { Routine } from '../../runtime/act.ts';
import { Event } from '../../runtime/trace.ts';
import type { Process } from '../common/process.ts';
import type { Environment, Program } from './environment.ts';
import { ACCESS, type AccessLines, accesses, replay, writes } from './replay.ts';

/** Files that programs here map: the first is a program's text. */
const TEXT = 0;

/** A round before the measured part: what it leaves behind is there when the measuring begins. */
export interface Rounds {
  readonly rounds: number;
  readonly warm: boolean;
}

export interface ForkWork extends Rounds {
  /** Pages of the parent, all written. */
  readonly pages: number;
  /** Pages that a child writes before it ends. */
  readonly written: number;
  /** Pages that the parent writes after that. */
  readonly parent: number;
}

/** Something that each vCPU does again and again in a process of its own. */
interface Loop {
  begin(env: Environment): Routine<Life>;
  round(env: Environment, life: Life): Routine<void>;
}

/** A vCPU's process and where its pages are; private to the vCPU. */
interface Life {
  process: Process;
  first: number;
}

function looping(loop: Loop, { rounds, warm }: Rounds, operations: number): Program {
  const lives = new Map<number, Life>();
  return {
    *setUp(env: Environment): Routine<void> {
      const life = yield* loop.begin(env);
      lives.set(env.index, life);
      if (warm) yield* loop.round(env, life);
    },
    *run(env: Environment): Routine<void> {
      const life = lives.get(env.index)!;
      for (let i = 0; i < rounds; i++) {
        yield* loop.round(env, life);
        env.cpu.note(Event.operation, operations, 0);
      }
    },
  };
}

function* mapped(env: Environment, pages: number): Routine<Life> {
  const { spaces } = env.kernel;
  const process = yield* spaces.begin(env.cpu);
  const first = yield* spaces.map(env.cpu, process, { pages });
  return { process, first };
}

function touchAll(env: Environment, process: Process, lines: AccessLines): Routine<void> {
  return replay(env.cpu, env.kernel, process, lines, 0);
}

/** An operation is one fork with the child's life. */
export function forking(work: ForkWork): Program {
  const loop: Loop = {
    *begin(env: Environment): Routine<Life> {
      const life = yield* mapped(env, work.pages);
      yield* touchAll(env, life.process, writes(life.first, work.pages));
      return life;
    },
    *round(env: Environment, { process, first }: Life): Routine<void> {
      const { cpu, kernel } = env;
      const child = yield* kernel.spaces.fork(cpu, process);
      yield* kernel.spaces.enter(cpu, child);
      yield* touchAll(env, child, writes(first, work.written));
      yield* kernel.spaces.exit(cpu, child);
      yield* kernel.spaces.enter(cpu, process);
      yield* touchAll(env, process, writes(first, work.parent));
    },
  };
  return looping(loop, work, 1);
}

export interface ExecWork extends Rounds {
  /** Pages of the shell, all written, that each fork shares. */
  readonly shell: number;
  /** Pages of text, from the page cache, that each program reads. */
  readonly text: number;
  /** Pages of data that each program writes. */
  readonly data: number;
  /** System calls that each program makes beside. */
  readonly calls: number;
}

/** A shell that runs one program after the other; an operation is one program. */
export function execChain(work: ExecWork): Program {
  const loop: Loop = {
    *begin(env: Environment): Routine<Life> {
      const life = yield* mapped(env, work.shell);
      yield* touchAll(env, life.process, writes(life.first, work.shell));
      return life;
    },
    *round(env: Environment, { process, first }: Life): Routine<void> {
      const { cpu, kernel } = env;
      const { spaces } = kernel;
      const child = yield* spaces.fork(cpu, process);
      yield* spaces.enter(cpu, child);
      yield* touchAll(env, child, writes(first, 1)); // its stack, before it calls execve
      const program = yield* spaces.exec(cpu, child);
      yield* runProgram(env, program, work);
      yield* spaces.exit(cpu, program);
      yield* spaces.enter(cpu, process);
    },
  };
  return looping(loop, work, 1);
}

/** Maps and uses text and data of a new process. */
export function* runProgram(
  env: Environment,
  process: Process,
  { text, data, calls }: Pick<ExecWork, 'text' | 'data' | 'calls'>,
): Routine<void> {
  const { cpu, kernel } = env;
  const code = yield* kernel.spaces.map(cpu, process, { pages: text, file: TEXT });
  const heap = yield* kernel.spaces.map(cpu, process, { pages: data });
  yield* touchAll(env, process, accesses(code, text, ACCESS.execute));
  yield* touchAll(env, process, writes(heap, data));
  for (let i = 0; i < calls; i++) yield* kernel.spaces.trivialCall(cpu);
}

/** A new process with one page in use. */
function* withStack(env: Environment): Routine<Life> {
  const life = yield* mapped(env, 1);
  yield* touchAll(env, life.process, writes(life.first, 1));
  return life;
}

export interface ChurnWork extends Rounds {
  /** Pages mapped, written and unmapped at once. */
  readonly pages: number;
  /** Rounds after which a process ends and another begins; 0: never. */
  readonly life: number;
}

/** An operation is one mapping with its writes and its unmapping. */
export function churning(work: ChurnWork): Program {
  const done = new Map<number, number>();
  const loop: Loop = {
    *begin(env: Environment): Routine<Life> {
      return yield* withStack(env);
    },
    *round(env: Environment, life: Life): Routine<void> {
      const { cpu, kernel, index } = env;
      const { spaces } = kernel;
      const first = yield* spaces.map(cpu, life.process, { pages: work.pages });
      yield* touchAll(env, life.process, writes(first, work.pages));
      yield* spaces.unmap(cpu, life.process, first, work.pages);
      const rounds = (done.get(index) ?? 0) + 1;
      done.set(index, rounds);
      if (work.life === 0 || rounds % work.life !== 0) return;
      yield* spaces.exit(cpu, life.process);
      life.process = (yield* withStack(env)).process;
    },
  };
  return looping(loop, work, 1);
}

export interface RemapWork extends Rounds {
  readonly pages: number;
}

/** The same pages at other addresses, again and again; an operation is an access. */
export function remapping(work: RemapWork): Program {
  const loop: Loop = {
    *begin(env: Environment): Routine<Life> {
      const life = yield* mapped(env, work.pages);
      yield* touchAll(env, life.process, writes(life.first, work.pages));
      return life;
    },
    *round(env: Environment, life: Life): Routine<void> {
      const { cpu, kernel } = env;
      life.first = yield* kernel.spaces.move(cpu, life.process, life.first, work.pages);
      yield* touchAll(env, life.process, writes(life.first, work.pages));
    },
  };
  return looping(loop, work, work.pages);
}

/** System calls that do nothing; an operation is one. */
export function calling(count: number): Program {
  return {
    *setUp(): Routine<void> {
      // the kernel is there
    },
    *run(env: Environment): Routine<void> {
      for (let i = 0; i < count; i++) yield* env.kernel.spaces.trivialCall(env.cpu);
      env.cpu.note(Event.operation, count, 0);
    },
  };
}
