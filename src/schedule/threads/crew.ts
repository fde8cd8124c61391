/**
 * Starts worker threads on code that is handed in, and collects what each of them answers. Given
 * too much time they are told to give up, and ended if they do not listen.
 */
import { parentPort, Worker, workerData } from 'node:worker_threads';

export interface CrewOptions {
  /** The code of a worker, in one piece; it calls `answerAsWorker`. */
  readonly code: string;
  /** What each of them is told. */
  readonly tasks: readonly object[];
  readonly milliseconds: number;
  /** Tells them to give up. */
  readonly abort: () => void;
}

/** Milliseconds that a worker has for its last words. */
const GRACE = 2000;

/** What the workers answer, in order; undefined where one did not. */
export async function runCrew<T>(options: CrewOptions): Promise<(T | undefined)[]> {
  const { code, tasks, milliseconds, abort } = options;
  const workers = tasks.map((workerData) => new Worker(code, { eval: true, workerData }));
  const answers = new Array<T | undefined>(tasks.length).fill(undefined);
  const ends = workers.map((worker, i) => {
    return new Promise<void>((resolve, reject) => {
      worker.once('message', (answer: T) => {
        answers[i] = answer;
        resolve();
      });
      worker.once('error', (error) => {
        abort();
        reject(error);
      });
    });
  });
  const all = Promise.all(ends).then(() => true);
  try {
    if (!(await within(all, milliseconds))) {
      abort();
      await within(all, GRACE);
    }
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
  return answers;
}

/** False if the promise is not kept in time. */
async function within(promise: Promise<boolean>, milliseconds: number): Promise<boolean> {
  let clock: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    clock = setTimeout(() => resolve(false), milliseconds);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(clock);
  }
}

/** In a worker: does what it was told, and answers. */
export function answerAsWorker<Task, T>(work: (task: Task) => T): void {
  parentPort?.postMessage(work(workerData as Task));
}
