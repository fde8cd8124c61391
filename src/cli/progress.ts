/** One line on stderr about long work, rewritten in place; nothing unless stderr is a terminal. */
import type { Run } from '../measure/result.ts';

export class Progress {
  #pieces = 0;
  #done = 0;
  #shown = false;

  /** So many more are to come. */
  planned(pieces: number): void {
    this.#pieces += pieces;
    this.#show('');
  }

  done(run: Run): void {
    this.#done++;
    this.#show(`, last: ${run.design} with ${run.vcpus} vCPUs`);
  }

  end(): void {
    if (this.#shown) process.stderr.write('\r\x1b[K');
  }

  #show(last: string): void {
    if (!process.stderr.isTTY) return;
    this.#shown = true;
    process.stderr.write(`\r\x1b[Ksimulations: ${this.#done} of ${this.#pieces} done${last}`);
  }
}
