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
  /** Most recent first; -1 where the list is not yet full. */
  readonly #pages: Float64Array;
  /** Per place: bit `kind` is set when the page was referenced so during this stay. */
  readonly #seen: Uint8Array;

  constructor(size: number) {
    this.#pages = new Float64Array(size).fill(-1);
    this.#seen = new Uint8Array(size);
  }

  /** True if this reference is a line of the trace, false if it is absorbed. */
  passes(kind: number, page: number): boolean {
    const bit = 1 << kind;
    const pages = this.#pages;
    const seen = this.#seen;
    if (pages[0] !== page) this.#toFront(page);
    const before = seen[0];
    seen[0] = before | bit;
    return (before & bit) === 0;
  }

  /** Moves `page` to the first place; if it is new, the least recent page leaves for it. */
  #toFront(page: number): void {
    const pages = this.#pages;
    const seen = this.#seen;
    const last = pages.length - 1;
    let at = 0;
    while (at < last && pages[at] !== page) at++;
    const kept = pages[at] === page ? seen[at] : 0;
    for (; at > 0; at--) {
      pages[at] = pages[at - 1];
      seen[at] = seen[at - 1];
    }
    pages[0] = page;
    seen[0] = kept;
  }
}
