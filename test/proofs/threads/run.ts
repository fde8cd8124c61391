/** Runs the pair on worker threads and judges what they leave behind. */
import { Worker } from 'node:worker_threads';
import { build } from 'esbuild';
import { strayMapping } from '../promises.ts';
import { CONTROL_WORDS, MEMORY_BYTES, type Weak } from './shared-machine.ts';
import { buildShared, type Task, type Told } from './world.ts';

export interface ThreadsResult {
  /** `stuck`: the threads did not end in time. */
  readonly verdict: 'holds' | 'violated' | 'stuck';
  readonly message: string;
  readonly acts: number;
  readonly interrupts: number;
  readonly freed: number;
}

let bundled: Promise<string> | undefined;

async function bundle(): Promise<string> {
  const built = await build({
    entryPoints: [new URL('./worker.ts', import.meta.url).pathname],
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node20',
    write: false,
    logLevel: 'error',
  });
  return built.outputFiles[0]!.text;
}

export async function runThreads(options: {
  readonly guests: number;
  readonly frames: number;
  readonly weaken?: readonly (readonly [string, Weak])[];
  readonly milliseconds?: number;
}): Promise<ThreadsResult> {
  bundled ??= bundle();
  const code = await bundled;
  const { guests, frames } = options;
  const memory = new SharedArrayBuffer(MEMORY_BYTES);
  const control = new SharedArrayBuffer(CONTROL_WORDS * 4);
  const weaken = options.weaken ?? [];
  const workers = Array.from({ length: guests + 1 }, (_, cpu) => {
    const workerData: Task = { cpu, guests, frames, memory, control, weaken };
    return new Worker(code, { eval: true, workerData });
  });
  const ends = workers.map(
    (worker) =>
      new Promise<Told>((resolve, reject) => {
        worker.once('message', resolve);
        worker.once('error', reject);
      }),
  );
  let clock: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    clock = setTimeout(() => resolve(undefined), options.milliseconds ?? 60_000);
  });
  const told = await Promise.race([Promise.all(ends), late]);
  clearTimeout(clock);
  await Promise.all(workers.map((worker) => worker.terminate()));
  if (told === undefined) {
    return { verdict: 'stuck', message: 'did not end', acts: 0, interrupts: 0, freed: 0 };
  }
  return judge({ guests, frames }, memory, told);
}

function judge(
  task: Pick<Task, 'guests' | 'frames'>,
  memory: SharedArrayBuffer,
  told: readonly Told[],
): ThreadsResult {
  const pair = buildShared(task, { freed: 0, overwritten: 0 });
  pair.machine.memory.words = new Int32Array(memory);
  const sum = (of: (one: Told) => number): number => told.reduce((all, one) => all + of(one), 0);
  const overwritten = sum((one) => one.tally.overwritten);
  const message =
    overwritten > 0 ? `${overwritten} freed frames were written by a guest` : strayMapping(pair);
  return {
    verdict: message === undefined ? 'holds' : 'violated',
    message: message ?? '',
    acts: sum((one) => one.acts),
    interrupts: sum((one) => one.interrupts),
    freed: sum((one) => one.tally.freed),
  };
}
