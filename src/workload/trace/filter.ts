/**
 * The filter that turns references into page-run lines: a fully associative list of the N most
 * recently used pages, code and data together. A reference is absorbed when its page is in the
 * list and has been referenced in the same way (fetch, read, write) since it entered; every
 * reference, absorbed or not, makes its page the most recent one. So a TLB with at least N fully
 * associative LRU entries sees from the lines exactly the misses it would see from all references.
 */

export class LruFilter {
  readonly #pages: Float64Array;
  /** Per list entry: bit `kind` is set when the page was referenced so during this stay. */
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
    if (pages[0] === page) {
      const before = seen[0];
      seen[0] = before | bit;
      return (before & bit) === 0;
    }
    const last = pages.length - 1;
    let at = 1;
    while (at < last && pages[at] !== page) at++;
    const before = at <= last && pages[at] === page ? seen[at] : 0;
    for (let to = Math.min(at, last); to > 0; to--) {
      pages[to] = pages[to - 1];
      seen[to] = seen[to - 1];
    }
    pages[0] = page;
    seen[0] = before | bit;
    return (before & bit) === 0;
  }
}
