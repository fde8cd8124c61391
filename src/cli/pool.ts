/**
 * Simulations on threads, as many at a time as there are cores. The main thread only waits, so that
 * Ctrl-C is heard at once; what is done by then is kept.
 */
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { Run } from '../measure/result.ts';
import { FailureError, failureOf } from './failure.ts';
import type { Answer, Common, Piece } from './piece.ts';
import { Progress } from './progress.ts';

export interface PoolResult {
  /** By piece, in their order; undefined where it was not run. */
  readonly runs: readonly (Run | undefined)[];
  readonly interrupted: boolean;
}

/** Runs all pieces; rejects with the first failure. */
export async function runPieces(common: Common, pieces: readonly Piece[]): Promise<PoolResult> {
  const runs = new Array<Run | undefined>(pieces.length).fill(undefined);
  const queue = new Queue(pieces);
  const workers = new Set<Worker>();
  const progress = new Progress(pieces.length);
  let interrupted = false;
  const stop = (): void => {
    if (interrupted) process.exit(130); // twice: leave
    interrupted = true;
    for (const worker of workers) void worker.terminate();
  };
  process.on('SIGINT', stop);
  try {
    const count = Math.min(availableParallelism(), pieces.length);
    await Promise.all(
      Array.from({ length: count }, async () => {
        const worker = new Worker(new URL('./worker.js', import.meta.url), { workerData: common });
        workers.add(worker);
        for (let i = queue.take(); i !== undefined; i = queue.take()) {
          const began = performance.now();
          const answer = interrupted ? undefined : await ask(worker, pieces[i]!);
          if (answer === undefined) return;
          if ('failure' in answer) throw new FailureError(answer.failure);
          runs[i] = answer.run;
          queue.finished(pieces[i]!, performance.now() - began);
          progress.done(answer.run);
        }
      }),
    );
  } finally {
    process.off('SIGINT', stop);
    progress.end();
    await Promise.all([...workers].map((worker) => worker.terminate()));
  }
  return { runs, interrupted };
}

/**
 * Which piece to start next: of the smallest number of vCPUs that is left, first a piece of every
 * design, then those that take longest, so that no core idles at the end.
 */
class Queue {
  readonly #waiting: { readonly at: number; readonly kind: string; readonly vcpus: number }[];
  /** How long a piece of a kind took, in milliseconds. */
  readonly #took = new Map<string, number>();
  readonly #started = new Set<string>();

  constructor(pieces: readonly Piece[]) {
    this.#waiting = pieces.map(({ design, vcpus }, at) => {
      return { at, kind: `${design.text} ${vcpus}`, vcpus };
    });
  }

  take(): number | undefined {
    const least = Math.min(...this.#waiting.map(({ vcpus }) => vcpus));
    let best: number | undefined;
    let longest = -1;
    this.#waiting.forEach(({ kind, vcpus }, i) => {
      if (vcpus !== least) return;
      const known = this.#took.get(kind) ?? 0;
      const length = this.#started.has(kind) ? known : Number.POSITIVE_INFINITY;
      if (length > longest) [best, longest] = [i, length];
    });
    if (best === undefined) return undefined;
    const [chosen] = this.#waiting.splice(best, 1);
    this.#started.add(chosen!.kind);
    return chosen!.at;
  }

  finished({ design, vcpus }: Piece, took: number): void {
    this.#took.set(`${design.text} ${vcpus}`, took);
  }
}

/** The worker's answer; undefined if it was terminated before it had one. */
function ask(worker: Worker, piece: Piece): Promise<Answer | undefined> {
  return new Promise((resolve) => {
    const settle = (answer: Answer | undefined): void => {
      worker.off('message', settle).off('error', fail).off('exit', leave);
      resolve(answer);
    };
    const fail = (error: Error): void => settle({ failure: failureOf(error) });
    const leave = (): void => settle(undefined);
    worker.on('message', settle).on('error', fail).on('exit', leave);
    worker.postMessage(piece);
  });
}
