/**
 * The filter that turns references into page-run lines: a fully associative list of the N most
 * recently used pages, code and data together. A reference is absorbed when its page is in the
 * list and has been referenced in the same way (fetch, read, write) since it entered; every
 * reference, absorbed or not, makes its page the most recent one.
 *
 * Limit: a TLB fed with the lines sees every page it needs, but not the absorbed references that
 * would have kept some of them recent. So it should have at least 2 N entries: on the sort of
 * data/traces (N = 16) an LRU TLB of 32 entries then misses 11 % less than with all references,
 * one of 64 to 256 entries within 1 %; one of 16 entries would miss less than half as often.
 */

export class LruFilter {
  /** In no order; -1 where the list is not yet full. */
  readonly #pages: Float64Array;
  /** Per place: when its page was last referenced, counted in references. */
  readonly #used: Float64Array;
  /** Per place: bit `kind` is set when the page was referenced so during this stay. */
  readonly #seen: Uint8Array;
  /** Per kind: the place of its last reference. Code and data alternate, each mostly in place. */
  readonly #last = new Int32Array(3);
  #clock = 0;

  constructor(size: number) {
    this.#pages = new Float64Array(size).fill(-1);
    this.#used = new Float64Array(size);
    this.#seen = new Uint8Array(size);
  }

  /** True if this reference is a line of the trace, false if it is absorbed. */
  passes(kind: number, page: number): boolean {
    let place = this.#last[kind];
    if (this.#pages[place] !== page) {
      place = this.#find(page);
      this.#last[kind] = place;
    }
    this.#used[place] = ++this.#clock;
    const before = this.#seen[place];
    const after = before | (1 << kind);
    this.#seen[place] = after;
    return before !== after;
  }

  /** The place of `page`; if it has none, the least recently used page leaves its own to it. */
  #find(page: number): number {
    const pages = this.#pages;
    const used = this.#used;
    let oldest = 0;
    for (let place = 0; place < pages.length; place++) {
      if (pages[place] === page) return place;
      if (used[place] < used[oldest]) oldest = place;
    }
    pages[oldest] = page;
    this.#seen[oldest] = 0;
    return oldest;
  }
}
