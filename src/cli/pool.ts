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
  const waiting = orderOf(pieces);
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
        for (let i = waiting.shift(); i !== undefined; i = waiting.shift()) {
          const answer = interrupted ? undefined : await ask(worker, pieces[i]!);
          if (answer === undefined) return;
          if ('failure' in answer) throw new FailureError(answer.failure);
          runs[i] = answer.run;
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

/** Numbers of the pieces in the order in which they start. */
function orderOf(pieces: readonly Piece[]): number[] {
  return pieces.map((_, i) => i);
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
