/**
 * The page cache: pages of files, read once and then mapped by every process that asks. One word
 * per page of a file: empty, being read, or its frame. Cached pages stay when processes end.
 *
 * Leaves out: I/O (a page that is read is filled as a page is zeroed), write-back, reclaim of
 * cached pages, read-ahead and fault-around (16 pages in Linux: here one fault brings one page).
 */
import type { GuestContext } from '../../machine/guest.ts';
import { zeroFrame } from '../../machine/instruction.ts';
import { num, type Routine, won } from '../../runtime/act.ts';
import type { GuestKernel } from './kernel.ts';

const EMPTY = 0;
/** Somebody reads the page; frames have larger numbers. */
const READING = 1;

export class PageCache {
  readonly #base: number;
  readonly #pages: number;

  /** `base`: address of a word for each of `pages` pages of every file. */
  constructor(base: number, pages: number) {
    this.#base = base;
    this.#pages = pages;
  }

  /** Frame of a page of a file. */
  *frameOf(kernel: GuestKernel, cpu: GuestContext, file: number, page: number): Routine<number> {
    const at = this.#base + (file * this.#pages + page) * 8;
    const seen = num(yield cpu.load(at, 'kernel.cache.look'));
    if (seen > READING) return seen;
    if (seen === EMPTY && won(yield cpu.cas(at, EMPTY, READING, 'kernel.cache.claim'))) {
      const frame = yield* kernel.data.take(cpu);
      yield zeroFrame(cpu, frame, 'kernel.cache.fill');
      yield cpu.store(at, frame, 'kernel.cache.publish');
      return frame;
    }
    yield cpu.wait([at], () => cpu.peek(at) > READING, 'kernel.cache.wait');
    return num(yield cpu.load(at, 'kernel.cache.read'));
  }
}
