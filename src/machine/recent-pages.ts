/**
 * Where the pages lie whose plain words a guest used last, as long as nothing can have moved them:
 * its CPU has neither left the guest nor changed its TLB since, and no other CPU has acted. Who
 * asks brings a stamp that rises with each of these. No part of the hardware and no time, as
 * `Residence` behind it, whose check of every entry it spares.
 */
const PLACES = 1 << 5;

export class RecentPages {
  readonly #page = new Float64Array(PLACES);
  readonly #frame = new Float64Array(PLACES);
  readonly #stamp = new Float64Array(PLACES).fill(-1);

  /** Frame of a page that was kept with the same stamp; or -1. */
  find(stamp: number, page: number, access: number): number {
    const place = placeOf(page, access);
    const isKnown = this.#page[place] === page && this.#stamp[place] === stamp;
    return isKnown ? this.#frame[place]! : -1;
  }

  keep(stamp: number, page: number, access: number, frame: number): void {
    const place = placeOf(page, access);
    this.#page[place] = page;
    this.#frame[place] = frame;
    this.#stamp[place] = stamp;
  }
}

/** READ, WRITE and EXECUTE of a page have places of their own. */
function placeOf(page: number, access: number): number {
  return ((page << 2) | access) & (PLACES - 1);
}
