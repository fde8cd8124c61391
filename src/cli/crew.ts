/**
 * Threads that take tasks until there are none. The main thread only waits, so that Ctrl-C is heard
 * at once; what is done by then is kept.
 */
import { Worker } from 'node:worker_threads';
import { type Failure, FailureError, failureOf } from './failure.ts';

export interface Job<T, A extends object> {
  /** Program of the threads, and what each of them is given. */
  readonly program: URL;
  readonly workerData: (seat: number) => unknown;
  readonly threads: number;
  /** What to do next; `later` if that depends on what is being done; undefined if that was all. */
  next(): T | 'later' | undefined;
  /** A task as it travels to a thread. */
  message(task: T): unknown;
  finished(task: T, answer: A, seconds: number): void;
}

/** Runs a job to its end; rejects with the first failure. */
export class Crew<T, A extends object> {
  readonly #job: Job<T, A | { readonly failure: Failure }>;
  readonly #workers: Worker[] = [];
  #isStopped = false;
  #failure: Failure | undefined;
  #wake: (() => void)[] = [];
  readonly #tasks = new Map<number, T>(); // by seat

  constructor(job: Job<T, A>) {
    this.#job = job as Job<T, A | { readonly failure: Failure }>;
  }

  get isStopped(): boolean {
    return this.#isStopped;
  }

  /** What the thread of a seat is doing. */
  taskOf(seat: number): T | undefined {
    return this.#tasks.get(seat);
  }

  async run(): Promise<void> {
    try {
      await Promise.all(Array.from({ length: this.#job.threads }, (_, seat) => this.#serve(seat)));
    } finally {
      await Promise.all(this.#workers.map((worker) => worker.terminate()));
    }
    if (this.#failure !== undefined) throw new FailureError(this.#failure);
  }

  /** Ends all threads where they are; with a failure, `run` rejects with it. */
  stop(failure?: Failure): void {
    this.#failure ??= failure;
    this.#isStopped = true;
    for (const worker of this.#workers) void worker.terminate();
    this.#changed();
  }

  async #serve(seat: number): Promise<void> {
    const { program, workerData } = this.#job;
    let worker: Worker | undefined;
    while (!this.#isStopped) {
      const task = this.#job.next();
      if (task === undefined) return;
      if (task === 'later') {
        await new Promise<void>((resolve) => this.#wake.push(resolve));
        continue;
      }
      if (worker === undefined) {
        worker = new Worker(program, { workerData: workerData(seat) });
        this.#workers.push(worker);
      }
      this.#tasks.set(seat, task);
      const began = performance.now();
      const answer = await ask<A>(worker, this.#job.message(task));
      if (answer === undefined) return this.#changed();
      if ('failure' in answer) return this.stop(answer.failure);
      this.#job.finished(task, answer, (performance.now() - began) / 1000);
      this.#changed();
    }
  }

  #changed(): void {
    for (const resolve of this.#wake.splice(0)) resolve();
  }
}

/** The worker's answer; undefined if it was terminated before it had one. */
function ask<A extends object>(
  worker: Worker,
  message: unknown,
): Promise<A | { readonly failure: Failure } | undefined> {
  return new Promise((resolve) => {
    const settle = (answer: A | { readonly failure: Failure } | undefined): void => {
      worker.off('message', settle).off('error', fail).off('exit', leave);
      resolve(answer);
    };
    const fail = (error: Error): void => settle({ failure: failureOf(error) });
    const leave = (): void => settle(undefined);
    worker.on('message', settle).on('error', fail).on('exit', leave);
    worker.postMessage(message);
  });
}
