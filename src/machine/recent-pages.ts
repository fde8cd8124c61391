/**
 * Where the pages lie whose plain words a guest used last, as long as nothing can have moved them:
 * its CPU has neither left the guest nor changed its TLB since, and no other CPU has acted. No part
 * of the hardware and no time, as `Residence` behind it, whose check of every entry it spares.
 *
 * Holds while a timed scheduler counts the turns of processors, and answers nothing otherwise.
 */
import type { Processor } from '../runtime/processor.ts';
import type { Tlb } from './tlb.ts';

const PLACES = 1 << 5;
/** `until` of a processor that no timed scheduler drives. */
const NOT_TIMED = Number.NEGATIVE_INFINITY;

/** What the answers depend on, of a CPU. */
interface Owner extends Processor {
  readonly tlb: Tlb;
}

export class RecentPages {
  readonly #page = new Float64Array(PLACES);
  readonly #frame = new Float64Array(PLACES);
  readonly #since = new Float64Array(PLACES).fill(-1);
  #turn = 0;
  #now = 0;
  #changes = 0;

  /** Frame of a page that was kept since the last change; or -1. */
  find(owner: Owner, page: number, access: number): number {
    if (owner.until === NOT_TIMED) return -1;
    if (this.#turn !== owner.turns || this.#changes !== owner.tlb.changes) {
      this.#turn = owner.turns;
      this.#changes = owner.tlb.changes;
      this.#now++;
    }
    const place = placeOf(page, access);
    const isKnown = this.#page[place] === page && this.#since[place] === this.#now;
    return isKnown ? this.#frame[place]! : -1;
  }

  /** Keeps what was found right after `find` had no answer. */
  keep(page: number, access: number, frame: number): void {
    const place = placeOf(page, access);
    this.#page[place] = page;
    this.#frame[place] = frame;
    this.#since[place] = this.#now;
  }
}

/** READ, WRITE and EXECUTE of a page have places of their own. */
function placeOf(page: number, access: number): number {
  return ((page << 2) | access) & (PLACES - 1);
}
