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
  readonly interrupted: boolean;
}

/** What asks for pieces, batch by batch, and is given their outcomes. */
export type Batches<T> = Generator<readonly Piece[], T, readonly Outcome[]>;

/** Runs all pieces; rejects with the first failure. */
export async function runPieces(common: Common, pieces: readonly Piece[]): Promise<PoolResult> {
  const pool = new Pool(common, all(pieces));
  const interrupted = await pool.run();
  return { runs: pool.outcomes.map((outcome) => outcome?.run), interrupted };
}

function* all(pieces: readonly Piece[]): Batches<void> {
  yield pieces;
}

/** Runs batch after batch on the same threads; undefined after an interrupt. */
export async function runBatches<T>(common: Common, batches: Batches<T>): Promise<T | undefined> {
  const pool = new Pool(common, batches);
  return (await pool.run()) ? undefined : pool.answer;
}

class Pool<T> {
  /** What the batches came to. */
  answer: T | undefined;
  /** Of the batch that is being run, or was last. */
  outcomes: (Outcome | undefined)[] = [];
  readonly #common: Common;
  readonly #batches: Batches<T>;
  #pieces: readonly Piece[] = [];
  #queue = new Queue([]);
  #missing = 0;
  #isOver = false;
  readonly #progress = new Progress();

  constructor(common: Common, batches: Batches<T>) {
    this.#common = common;
    this.#batches = batches;
    this.#open(batches.next());
  }

  /** Whether it was interrupted. */
  async run(): Promise<boolean> {
    const crew = new Crew<number, Outcome>({
      program: new URL('./worker.js', import.meta.url),
      workerData: () => this.#common,
      threads: availableParallelism(),
      message: (at) => this.#pieces[at]!,
      next: () => this.#queue.take() ?? (this.#isOver ? undefined : 'later'),
      finished: (at, outcome, seconds) => this.#finished(at, outcome, seconds),
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
      this.#progress.end();
    }
    return interrupted;
  }

  #finished(at: number, outcome: Outcome, seconds: number): void {
    this.outcomes[at] = outcome;
    this.#queue.finished(this.#pieces[at]!, seconds);
    this.#progress.done(outcome.run);
    this.#missing--;
    if (this.#missing === 0) this.#open(this.#batches.next(this.outcomes as Outcome[]));
  }

  /** Goes on to the next batch; one without pieces is done at once. */
  #open(step: IteratorResult<readonly Piece[], T>): void {
    let now = step;
    while (!now.done && now.value.length === 0) now = this.#batches.next([]);
    if (now.done) {
      this.answer = now.value;
      this.#isOver = true;
      return;
    }
    this.#pieces = now.value;
    this.#missing = now.value.length;
    this.outcomes = new Array<Outcome | undefined>(now.value.length).fill(undefined);
    this.#queue = new Queue(now.value);
    this.#progress.planned(now.value.length);
  }
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
