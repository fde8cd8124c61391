/**
 * What KPOP's L0 promises to L1, to the host and to L2, without words: per L2 page what L1 wants
 * there, whether hardware has it, whether accesses through a removed intent may still be under way,
 * and the epoch of its last UNMAP; per L1 page whether a frame is behind it; per group of L2 pages
 * the fence.
 *
 * Source: primer/x86.md 6.2 (statuses, visibility contract, epoch fence), 6.3 (M1-M5, U1-U3,
 * N1-N6). Each MAP, and each page of an UNMAP or PROTECT, has one moment. A fill may always be told
 * to try again, and a MAP may always leave the hardware entry to a later fill.
 */
import { ALL, PROMOTE } from '../../hypervisor/mmu/kpop/leaf.ts';
import { hex } from '../invariant/view.ts';
import type { Call, Specification, Step } from './specification.ts';

export interface KpopPage {
  /** L1's page; -1 if L1 wants nothing there. */
  readonly l1gfn: number;
  readonly prot: number;
  /** Rights of hardware's entry for the intent; 0: it has none. */
  readonly hardware: number;
  /** The flush that ends what an earlier intent allowed may not be finished. */
  readonly lingers: boolean;
  /** Rights that PROTECT has taken away and whose flush may not be finished. */
  readonly withdrawn: number;
  /** Epoch of its latest restriction: a call that knows an older one never gives it anything. */
  readonly epoch: number;
}

export interface KpopState {
  readonly pages: readonly KpopPage[];
  /** Latest epoch of a restriction announced for the group: older calls may be refused then. */
  readonly fences: readonly number[];
  /** By L1 page. */
  readonly resident: readonly boolean[];
}

export interface KpopOptions {
  /** Fence that an L2 page's MAP checks and its UNMAP raises. */
  readonly fenceOf: (page: number) => number;
  /** Pages of a block that hardware may have, or lose, as one; 1 unless given. */
  readonly block?: number;
}

/** A MAP as a specification sees it. */
interface Mapping {
  readonly page: number;
  readonly l1gfn: number;
  readonly prot: number;
  readonly epoch: number;
  /** Pages of the intent. */
  readonly count: number;
  /** Whether smaller mappings may become one. */
  readonly promotes: boolean;
}

type Steps = readonly Step<KpopState>[];

/** Beyond all places where a call can stand. */
const STALE = 2 ** 20;

export class KpopSpecification implements Specification<KpopState> {
  readonly operations = ['map', 'unmap', 'protect', 'fill', 'invalidate', 'access'];
  readonly #fenceOf: (page: number) => number;
  readonly #block: number;

  constructor({ fenceOf, block }: KpopOptions) {
    this.#fenceOf = fenceOf;
    this.#block = block ?? 1;
  }

  steps(state: KpopState, { operation, args }: Call, at: number): Steps {
    const [a = 0, b = 0, c = 0, d = 0, count = 1, flags = 0] = args;
    switch (operation) {
      case 'map': {
        const promotes = (flags & PROMOTE) !== 0;
        return this.#map(state, { page: a, l1gfn: b, prot: c, epoch: d, count, promotes }, at);
      }
      case 'unmap':
        return this.#unmap(state, { first: a, end: b, epoch: c }, at);
      case 'unmap-more': {
        const steps = this.#unmap(state, { first: a, end: b, epoch: c }, at);
        return steps.map(({ state: next, at: then }) => {
          return { state: next, at: Number(then) > 2 * (b - a) ? 'ok' : then };
        });
      }
      case 'flush':
        return [{ state: { ...state, pages: state.pages.map(finished) }, at: 'ok' }];
      case 'protect':
        return this.#protect(state, { first: a, end: b, prot: c, epoch: d }, at);
      case 'fill':
        return fill(state, { page: a, needed: b, block: this.#block }, at);
      case 'invalidate':
        return invalidate(state, { first: a, end: b, block: this.#block }, at);
      default:
        return access(state, a, b);
    }
  }

  /** First the look-up of the L1 page, then the intent. */
  #map(state: KpopState, map: Mapping, at: number): Steps {
    const { page, l1gfn, prot, epoch, count } = map;
    if (l1gfn + count > state.resident.length) return [{ state, at: 'fault' }];
    if (at === 0) {
      return made(state, l1gfn, this.#block).map((next) => ({ state: next, at: 1 }));
    }
    if (count > 1) return this.#mapHuge(state, map, at);
    const old = state.pages[page]!;
    if (old.l1gfn >= 0) {
      const same = old.l1gfn === l1gfn && old.prot === prot;
      return [{ state, at: same ? 'ok' : 'busy' }];
    }
    const refused = { state, at: 'stale' };
    const mayRefuse = state.fences[this.#fenceOf(page)]! > epoch;
    if (old.epoch > epoch) return mayRefuse ? [refused] : [];
    return [...this.#install(state, map, at), ...(mayRefuse ? [refused] : [])];
  }

  /**
   * One intent for several pages: all at once, or none. Where a table of smaller ones stands, even
   * an empty one, it may be in the way, or the host's page be too small for what is wanted.
   */
  #mapHuge(state: KpopState, map: Mapping, at: number): Steps {
    const { page: first, l1gfn, prot, epoch, count, promotes } = map;
    const pages = pagesOf(first, first + count);
    const isSame = pages.map((page, i) => {
      const { l1gfn: is, prot: has } = state.pages[page]!;
      return is === l1gfn + i && has === prot;
    });
    const isEmpty = pages.map((page) => state.pages[page]!.l1gfn < 0);
    const steps: Step<KpopState>[] = [{ state, at: 'order' }];
    if (isSame.every(Boolean)) steps.push({ state, at: 'ok' });
    if (!isEmpty.every(Boolean)) steps.push({ state, at: 'busy' });
    if (pages.some((page) => state.fences[this.#fenceOf(page)]! > epoch)) {
      steps.push({ state, at: 'stale' });
    }
    if (pages.some((page) => state.pages[page]!.epoch > epoch)) return steps;
    if (!pages.every((_, i) => isEmpty[i] === true || (promotes && isSame[i] === true))) {
      return steps;
    }
    if (pages.some((page, i) => isEmpty[i] === true && state.pages[page]!.lingers)) {
      const ended = pages.reduce(
        (next, page) => withPage(next, page, finished(next.pages[page]!)),
        state,
      );
      return [...steps, { state: ended, at }];
    }
    const wanted = (hardware: number): KpopState =>
      pages.reduce((next, page, i) => {
        const old = next.pages[page]!;
        return withPage(next, page, { ...old, l1gfn: l1gfn + i, prot, hardware });
      }, state);
    steps.push({ state: wanted(0), at: 'ok' });
    if (pages.every((_, i) => state.resident[l1gfn + i])) {
      steps.push({ state: wanted(prot), at: 'ok' });
    }
    return steps;
  }

  #install(state: KpopState, { page, l1gfn, prot }: Mapping, at: number): Steps {
    const old = state.pages[page]!;
    // Two translations of one page are never live at once: what lingers has to cease first.
    if (old.lingers) return [{ state: withPage(state, page, finished(old)), at }];
    const wanted = { ...old, l1gfn, prot };
    const lazily = { state: withPage(state, page, { ...wanted, hardware: 0 }), at: 'ok' };
    if (!state.resident[l1gfn]) return [lazily];
    return [{ state: withPage(state, page, { ...wanted, hardware: prot }), at: 'ok' }, lazily];
  }

  /** The fences, then page by page, then until nothing of them lingers, in any order. */
  #unmap(
    state: KpopState,
    { first, end, epoch }: { first: number; end: number; epoch: number },
    at: number,
  ): Steps {
    if (at === 0) return [{ state: this.#withFences(state, first, end, epoch), at: 1 }];
    const count = end - first;
    if (at <= 2 * count) {
      const page = first + ((at - 1) >> 1);
      return removal(state, { page, epoch, together: blockIn(page, end, this.#block) }, at);
    }
    const done = at - 2 * count - 1;
    return done === 2 ** count - 1
      ? [{ state, at: 'ok' }]
      : finishing(state, first, count, done).map((step) => ({ ...step, at: step.at + at - done }));
  }

  /**
   * The fences if it takes anything away, then page by page, hardware's entry and the intent; a
   * call that takes anything away then ends as an UNMAP does. Where rights were not added because
   * the call is old, `at` is larger by STALE.
   */
  #protect(
    state: KpopState,
    protect: { first: number; end: number; prot: number; epoch: number },
    at: number,
  ): Steps {
    const { first, end, prot, epoch } = protect;
    const isRestrictive = (prot & ALL) !== ALL;
    if (at === 0) {
      return [{ state: isRestrictive ? this.#withFences(state, first, end, epoch) : state, at: 1 }];
    }
    const count = end - first;
    const stood = at % STALE;
    if (stood <= 2 * count) {
      const page = first + ((stood - 1) >> 1);
      const mayRefuse = state.fences[this.#fenceOf(page)]! > epoch;
      const together = blockIn(page, end, this.#block);
      return change(state, { page, prot, epoch, isRestrictive, mayRefuse, together }, at);
    }
    const done = stood - 2 * count - 1;
    if (!isRestrictive || done === 2 ** count - 1) {
      return [{ state, at: at >= STALE ? 'stale' : 'ok' }];
    }
    return finishing(state, first, count, done).map((step) => ({
      ...step,
      at: step.at + at - done,
    }));
  }

  #withFences(state: KpopState, first: number, end: number, epoch: number): KpopState {
    const raised = new Set(pagesOf(first, end).map(this.#fenceOf));
    const fences = state.fences.map((f, i) => (raised.has(i) ? Math.max(f, epoch) : f));
    return { ...state, fences };
  }

  visible(state: KpopState): KpopState {
    return { ...state, pages: state.pages.map((page) => ({ ...page, epoch: 0, withdrawn: 0 })) };
  }

  ceased(before: KpopState, after: KpopState): KpopState {
    const pages = before.pages.map((page, i) =>
      page.lingers && !after.pages[i]!.lingers ? finished(page) : page,
    );
    return { ...before, pages };
  }

  key({ pages, fences, resident }: KpopState): string {
    const words = pages.map(
      ({ l1gfn, prot, hardware, lingers, withdrawn, epoch }) =>
        `${l1gfn}:${prot},${hardware},${lingers ? 1 : 0},${withdrawn},${epoch}`,
    );
    return `${words} ${fences} ${resident.map(Number)}`;
  }

  describe({ operation, args }: Call): string {
    const [a = 0, b = 0, c = 0, d = 0, count = 1] = args;
    switch (operation) {
      case 'map': {
        const size = count > 1 ? `${count} pages from ` : 'page ';
        return `map(${size}${hex(a)} to L1 page ${hex(b)}, rights ${c}, epoch ${d})`;
      }
      case 'unmap':
        return `unmap(pages ${hex(a)} to ${hex(b - 1)}, epoch ${c})`;
      case 'protect':
        return `protect(pages ${hex(a)} to ${hex(b - 1)}, rights ${c}, epoch ${d})`;
      case 'invalidate':
        return `invalidate(L1 pages ${hex(a)} to ${hex(b - 1)})`;
      default:
        return `${operation}(page ${hex(a)}, rights ${b})`;
    }
  }

  difference(before: KpopState, after: KpopState): string {
    const found: string[] = [];
    after.pages.forEach((page, i) => {
      const [was, is] = [saysPage(before.pages[i]!), saysPage(page)];
      if (was !== is) found.push(`page ${hex(i)} was ${was} and is ${is}`);
    });
    after.fences.forEach((fence, i) => {
      if (fence !== before.fences[i]) found.push(`fence ${i} was ${before.fences[i]}, is ${fence}`);
    });
    after.resident.forEach((is, i) => {
      if (is === before.resident[i]) return;
      found.push(`L1 page ${hex(i)} ${is ? 'got a frame' : 'lost its frame'}`);
    });
    return found.join('; ');
  }
}

function saysPage({ l1gfn, prot, hardware, lingers }: KpopPage): string {
  const wanted = l1gfn < 0 ? 'unwanted' : `wanted at L1 page ${hex(l1gfn)} with rights ${prot}`;
  const present = hardware === 0 ? '' : `, present with rights ${hardware}`;
  return `${wanted}${present}${lingers ? ', not yet flushed' : ''}`;
}

/** Nothing that was allowed before is still usable. */
function finished(page: KpopPage): KpopPage {
  return { ...page, lingers: false, withdrawn: 0 };
}

/** What is finished next, in any order; `done` has a bit for each page. */
function finishing(
  state: KpopState,
  first: number,
  count: number,
  done: number,
): { readonly state: KpopState; readonly at: number }[] {
  return pagesOf(0, count)
    .filter((i) => ((done >>> i) & 1) === 0)
    .map((i) => {
      const page = finished(state.pages[first + i]!);
      return { state: withPage(state, first + i, page), at: done + 2 ** i };
    });
}

/** Pages of the block that begins at `page`, if it lies before `end`; else the page alone. */
function blockIn(page: number, end: number, block: number): readonly number[] {
  return page % block === 0 && page + block <= end ? pagesOf(page, page + block) : [page];
}

/** The page alone, and, if they are more, all together: what a huge entry changes at once. */
function aloneOrTogether(
  state: KpopState,
  page: number,
  together: readonly number[],
  change: (old: KpopPage) => KpopPage,
): readonly KpopState[] {
  const alone = withPage(state, page, change(state.pages[page]!));
  if (together.length < 2) return [alone];
  const all = together.reduce(
    (next, each) => withPage(next, each, change(next.pages[each]!)),
    state,
  );
  return [alone, all];
}

/** A page gets a frame, or with it the others of the host's huge page. */
function made(state: KpopState, l1gfn: number, block: number): readonly KpopState[] {
  const alone = withResident(state, l1gfn, true);
  if (block < 2 || state.resident[l1gfn]) return [alone];
  const first = l1gfn - (l1gfn % block);
  const all = pagesOf(first, first + block).reduce(
    (next, page) => withResident(next, page, true),
    state,
  );
  return [alone, all];
}

/** Of one page: hardware's entry first (odd `at`), then the intent (or both at once). */
function removal(
  state: KpopState,
  {
    page,
    epoch,
    together,
  }: { readonly page: number; readonly epoch: number; readonly together: readonly number[] },
  at: number,
): Steps {
  const old = state.pages[page]!;
  const hasCleared = at % 2 === 0;
  if (old.hardware !== 0) {
    // It was filled again behind the back of who holds its lock: not for any specification.
    if (hasCleared) return [];
    const cleared = aloneOrTogether(state, page, together, (p) => ({ ...p, hardware: 0 }));
    return cleared.map((next) => ({ state: next, at: at + 1 }));
  }
  const next = hasCleared ? at + 1 : at + 2;
  const gone = { ...old, l1gfn: -1, prot: 0, epoch: Math.max(old.epoch, epoch) };
  const lingering = { state: withPage(state, page, { ...gone, lingers: true }), at: next };
  // What was present can still be cached; the rest may wait for somebody else's flush, or not.
  if (hasCleared || old.lingers) return [lingering];
  return [{ state: withPage(state, page, finished(gone)), at: next }, lingering];
}

/** Of one page: hardware's entry first (odd `at`), then the intent (or both at once). */
function change(
  state: KpopState,
  call: {
    readonly page: number;
    readonly prot: number;
    readonly epoch: number;
    readonly isRestrictive: boolean;
    readonly mayRefuse: boolean;
    readonly together: readonly number[];
  },
  at: number,
): Steps {
  const { page, prot, epoch, isRestrictive, mayRefuse, together } = call;
  const old = state.pages[page]!;
  const hasNarrowed = at % 2 === 0;
  const next = hasNarrowed ? at + 1 : at + 2;
  if (old.l1gfn < 0) return hasNarrowed ? [] : [{ state, at: next }];
  const going = old.hardware & ~prot;
  if (going !== 0) {
    if (hasNarrowed) return [];
    const left = aloneOrTogether(state, page, together, (p) => ({
      ...p,
      hardware: p.hardware & prot,
      withdrawn: p.withdrawn | (p.hardware & ~prot),
    }));
    return left.map((narrowed) => ({ state: narrowed, at: at + 1 }));
  }
  const changed = {
    ...old,
    withdrawn: old.withdrawn | (old.prot & ~prot),
    epoch: isRestrictive ? Math.max(old.epoch, epoch) : old.epoch,
  };
  const given = { state: withPage(state, page, { ...changed, prot }), at: next };
  if ((prot & ~old.prot) === 0) return [given];
  const kept = withPage(state, page, { ...changed, prot: old.prot & prot });
  const refused = { state: kept, at: next < STALE ? next + STALE : next };
  return [...(old.epoch > epoch ? [] : [given]), ...(mayRefuse ? [refused] : [])];
}

/**
 * The intent as it is seen first, without a lock; the look-up of its L1 page, which may by then be
 * wanted no more; and the entry.
 */
function fill(
  state: KpopState,
  { page, needed, block }: { page: number; needed: number; block: number },
  at: number,
): Steps {
  const { l1gfn, prot, hardware } = state.pages[page]!;
  if (at === 0) {
    if (l1gfn < 0 || (prot & needed) !== needed) return [{ state, at: 'ask-owner' }];
    return [{ state, at: 1 + 2 * l1gfn }];
  }
  const seen = (at - 1) >> 1;
  if (at % 2 === 1) {
    return made(state, seen, block).map((next) => ({ state: next, at: at + 1 }));
  }
  const spurious = { state, at: 'retry' };
  const isThere = hardware !== 0 && ((hardware & needed) === needed || (prot & needed) !== needed);
  if (l1gfn !== seen || isThere || !state.resident[seen]) return [spurious];
  const first = page - (page % block);
  const isWhole = pagesOf(first, first + block).every((each) => {
    const other = state.pages[each]!;
    const expected = l1gfn + each - page;
    return other.l1gfn === expected && other.prot === prot && state.resident[expected];
  });
  const together = isWhole ? pagesOf(first, first + block) : [page];
  const filled = aloneOrTogether(state, page, together, (p) => ({ ...p, hardware: prot }));
  return [spurious, ...filled.map((next) => ({ state: next, at: 'filled' }))];
}

/** Entries go, then the frames. */
function invalidate(
  state: KpopState,
  { first, end, block }: { first: number; end: number; block: number },
  at: number,
): Steps {
  const count = end - first;
  if (at === 2 * count) return [{ state, at: 'ok' }];
  const l1gfn = first + (at % count);
  const users = pagesOf(0, state.pages.length).filter((i) => {
    return state.pages[i]!.hardware !== 0 && state.pages[i]!.l1gfn === l1gfn;
  });
  if (at >= count) {
    return users.length > 0 ? [] : [{ state: withResident(state, l1gfn, false), at: at + 1 }];
  }
  if (users.length === 0) return [{ state, at: at + 1 }];
  return users.flatMap((i) => {
    const base = i - (i % block);
    const together = pagesOf(base, base + block);
    const dropped = aloneOrTogether(state, i, together, (p) => ({ ...p, hardware: 0 }));
    return dropped.map((next) => ({ state: next, at }));
  });
}

function access(state: KpopState, page: number, needed: number): Steps {
  const { l1gfn, prot, lingers, withdrawn } = state.pages[page]!;
  // Also while the UNMAP or PROTECT is under way: before it returns either state may be seen.
  const isAllowed = l1gfn >= 0 && ((prot | withdrawn) & needed) === needed;
  return isAllowed || lingers ? [{ state, at: 'done' }] : [];
}

function withPage(state: KpopState, at: number, page: KpopPage): KpopState {
  return { ...state, pages: state.pages.with(at, page) };
}

function withResident(state: KpopState, l1gfn: number, is: boolean): KpopState {
  if (state.resident[l1gfn] === is) return state;
  return { ...state, resident: state.resident.with(l1gfn, is) };
}

function pagesOf(first: number, end: number): number[] {
  return Array.from({ length: end - first }, (_, i) => first + i);
}
