/** Simulations on threads, as many at a time as there are cores. */
import { availableParallelism } from 'node:os';
import type { Outcome } from '../experiment/sensitivity.ts';
import type { Run } from '../measure/result.ts';
import { Crew } from './crew.ts';
import { Status } from './failure.ts';
import type { Common, Piece } from './piece.ts';
import { Progress } from './progress.ts';

export interface PoolResult {
  /** By piece, in their order; undefined where it was not run. */
  readonly runs: readonly (Run | undefined)[];
  /** The same with what else the pieces were to tell. */
  readonly outcomes: readonly (Outcome | undefined)[];
  readonly interrupted: boolean;
}

/** Runs all pieces; rejects with the first failure. */
export async function runPieces(common: Common, pieces: readonly Piece[]): Promise<PoolResult> {
  const outcomes = new Array<Outcome | undefined>(pieces.length).fill(undefined);
  const queue = new Queue(pieces);
  const progress = new Progress(pieces.length);
  const crew = new Crew<number, Outcome>({
    program: new URL('./worker.js', import.meta.url),
    workerData: () => common,
    threads: Math.min(availableParallelism(), pieces.length),
    message: (at) => pieces[at]!,
    next: () => queue.take(),
    finished: (at, outcome, seconds) => {
      outcomes[at] = outcome;
      queue.finished(pieces[at]!, seconds);
      progress.done(outcome.run);
    },
  });
  let interrupted = false;
  const stop = (): void => {
    if (interrupted) process.exit(Status.interrupted); // twice: leave
    interrupted = true;
    crew.stop();
  };
  process.on('SIGINT', stop);
  try {
    await crew.run();
  } finally {
    process.off('SIGINT', stop);
    progress.end();
  }
  return { runs: outcomes.map((outcome) => outcome?.run), outcomes, interrupted };
}

/**
 * Which piece to start next: of the smallest number of vCPUs that is left, first a piece of every
 * design, then those that take longest, so that no core idles at the end.
 */
class Queue {
  readonly #waiting: { readonly at: number; readonly kind: string; readonly vcpus: number }[];
  /** How long a piece of a kind took, in seconds. */
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
