/**
 * The threads of a check: tasks go out, outcomes come back or out of the cache, a user's code that
 * never comes back is named, and Ctrl-C keeps what is done.
 */
import { availableParallelism } from 'node:os';
import type { Piece } from '../experiment/check/pieces.ts';
import type { PieceOutcome } from '../experiment/check/run-piece.ts';
import type { CheckResult } from '../measure/check.ts';
import { Cache, codeHash, hashOf } from './cache.ts';
import type { CheckAnswer, CheckTask, Described } from './check-task.ts';
import { Crew } from './crew.ts';
import { UsageError } from './errors.ts';
import { failureOf, Status } from './failure.ts';
import type { NamedDesign } from './piece.ts';
import { type Seen, seenIn, sharedWatch } from './watch.ts';

/** A piece of a design, to be looked at. */
export interface Wanted {
  readonly design: NamedDesign;
  readonly piece: Piece;
}

export interface Done {
  readonly result: CheckResult;
  readonly offered: PieceOutcome['offered'];
  /** Time ended the search. */
  readonly wasEnded: boolean;
}

/** What a crew is told as it goes on. */
export interface Tasks<T extends Wanted> {
  next(): T | 'later' | undefined;
  finished(task: T, done: Done): void;
}

export interface CheckSession {
  /** Hash of the program. */
  readonly program: string;
  /** Milliseconds since 1970 at which time is over. */
  readonly until: number;
  /** Whether outcomes may come from the cache. */
  readonly usesCache: boolean;
}

/** Seconds without a sign of life after which a user's code is said never to yield. */
const PATIENCE_S = 5;
const LOOK_MS = 250;

interface Kept {
  readonly outcome: PieceOutcome;
  readonly seconds: number;
}

export class CheckCrew {
  readonly #session: CheckSession;
  readonly #cache = new Cache<Kept>('check');
  readonly #shared = Array.from({ length: availableParallelism() }, sharedWatch);
  /** Told four times a second how often searches have asked for the time. */
  onTick: ((progress: number) => void) | undefined;
  isInterrupted = false;

  constructor(session: CheckSession) {
    this.#session = session;
  }

  /** What designs offer; their files are loaded on a thread, for they may never come back. */
  async describe(designs: readonly NamedDesign[]): Promise<readonly Described[]> {
    const found = new Map<NamedDesign, Described>();
    const waiting = [...designs];
    await this.#run<NamedDesign>({
      threads: Math.min(waiting.length, this.#shared.length),
      next: () => waiting.shift(),
      message: (design) => ({ kind: 'describe', design }),
      finished: (design, answer) => {
        if ('described' in answer) found.set(design, answer.described);
      },
      designOf: (design) => design,
    });
    return designs.flatMap((design) => found.get(design) ?? []);
  }

  /** Looks at pieces until there are none, or Ctrl-C. */
  async look<T extends Wanted>(tasks: Tasks<T>): Promise<void> {
    await this.#run<T>({
      threads: this.#shared.length,
      next: () => this.#nextMissing(tasks),
      message: (task) => this.#message(task),
      finished: (task, answer) => {
        if (!('outcome' in answer)) return;
        if (!answer.outcome.wasEnded) this.#cache.keep(this.#keyOf(task), answer);
        tasks.finished(task, doneOf(answer, false));
      },
      designOf: (task) => task.design,
    });
  }

  /** The next task whose outcome is not in the cache. */
  #nextMissing<T extends Wanted>(tasks: Tasks<T>): T | 'later' | undefined {
    for (;;) {
      const task = tasks.next();
      if (task === undefined || task === 'later') return task;
      const kept = this.#session.usesCache ? this.#cache.find(this.#keyOf(task)) : undefined;
      if (kept === undefined) return task;
      tasks.finished(task, doneOf(kept, true));
    }
  }

  #message<T extends Wanted>({ design, piece }: T): CheckTask {
    const { program, until } = this.#session;
    return { kind: 'piece', design, piece, code: codeHash(program, design.bundle?.code), until };
  }

  #keyOf({ design, piece }: Wanted): string {
    const { file = '', code = '' } = design.bundle ?? {};
    return hashOf([this.#session.program, file, code, JSON.stringify(piece)]);
  }

  async #run<T>(job: {
    threads: number;
    next(): T | 'later' | undefined;
    message(task: T): CheckTask;
    finished(task: T, answer: CheckAnswer): void;
    designOf(task: T): NamedDesign;
  }): Promise<void> {
    const crew: Crew<T, CheckAnswer> = new Crew({
      ...job,
      program: new URL('./check-worker.js', import.meta.url),
      workerData: (seat) => this.#shared[seat],
    });
    const stop = (): void => {
      if (this.isInterrupted) process.exit(Status.interrupted); // twice: leave
      this.isInterrupted = true;
      crew.stop();
    };
    const alive = this.#shared.map(() => new Pulse());
    const timer = setInterval(() => {
      const seen = this.#shared.map(seenIn);
      const stuck = seen.findIndex((each, seat) => alive[seat]!.isStuck(each));
      if (stuck >= 0) crew.stop(neverYields(seen[stuck]!, crew.taskOf(stuck), job.designOf));
      this.onTick?.(seen.reduce((sum, { progress }) => sum + progress, 0));
    }, LOOK_MS);
    process.on('SIGINT', stop);
    try {
      await crew.run();
    } finally {
      process.off('SIGINT', stop);
      clearInterval(timer);
    }
  }
}

/** Whether a thread that runs a user's code still comes back from it. */
class Pulse {
  #beats = -1;
  #since = 0;

  isStuck({ phase, beats }: Seen): boolean {
    const now = performance.now();
    if (phase === 'search' || beats !== this.#beats) {
      this.#beats = beats;
      this.#since = now;
      return false;
    }
    return now - this.#since > PATIENCE_S * 1000;
  }
}

function neverYields<T>(
  { where }: Seen,
  task: T | undefined,
  designOf: (task: T) => NamedDesign,
): ReturnType<typeof failureOf> {
  const file = task === undefined ? 'the design' : (designOf(task).bundle?.file ?? 'the design');
  const sentence = `${file}: ${where}: its code ran for ${PATIENCE_S} s and never yielded`;
  return failureOf(new UsageError(sentence));
}

function doneOf({ outcome, seconds }: Kept, cached: boolean): Done {
  const { result, offered, wasEnded } = outcome;
  return { result: { ...result, secondsWall: seconds, cached }, offered, wasEnded };
}
