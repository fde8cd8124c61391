/** One line on stderr about a check, rewritten in place; nothing unless stderr is a terminal. */
import { duration, short } from '../report/number.ts';

/** Moves between two questions of a search for the time (`PATIENCE` of the engines). */
const MOVES_PER_QUESTION = 512;

export class CheckProgress {
  readonly #began = performance.now();
  #pieces = 0;
  #done = 0;
  #last = '';
  #shown = false;

  /** So many pieces are known now. */
  planned(pieces: number): void {
    this.#pieces = pieces;
  }

  done(last: string): void {
    this.#done++;
    this.#last = last;
  }

  /** `questions`: how often searches have asked for the time, in all. */
  tick(questions: number): void {
    if (!process.stderr.isTTY) return;
    this.#shown = true;
    const seconds = (performance.now() - this.#began) / 1000;
    const moves = questions * MOVES_PER_QUESTION;
    const pending = this.#pieces - this.#done;
    const parts = [
      `${short(moves)} moves explored`,
      `${short(moves / seconds)}/s`,
      `${pending} of ${this.#pieces} pieces pending`,
      ...(this.#done === 0 ? [] : [`about ${duration((seconds / this.#done) * pending)} left`]),
      ...(this.#last === '' ? [] : [`last: ${this.#last}`]),
    ];
    const width = (process.stderr.columns ?? 80) - 1;
    process.stderr.write(`\r\x1b[K${`check: ${parts.join(', ')}`.slice(0, width)}`);
  }

  end(): void {
    if (this.#shown) process.stderr.write('\r\x1b[K');
  }
}
