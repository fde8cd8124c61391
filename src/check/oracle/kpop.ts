/**
 * What KPOP's L0 promises to L1, to the host and to L2, without words: per L2 page what L1 wants
 * there, whether hardware has it, whether accesses through a removed intent may still be under way,
 * and the epoch of its last UNMAP; per L1 page whether a frame is behind it; per group of L2 pages
 * the fence.
 *
 * Source: primer/x86.md 6.2 (statuses, visibility contract, epoch fence), 6.3 (M1-M5, U1-U3,
 * N1-N6). Each MAP, and each page of an UNMAP, has one moment. A fill may always be told to try
 * again, and a MAP may always leave the hardware entry to a later fill.
 */
import { hex } from '../invariant/view.ts';
import type { Call, Specification, Step } from './specification.ts';

export interface KpopPage {
  /** L1's page; -1 if L1 wants nothing there. */
  readonly l1gfn: number;
  readonly prot: number;
  /** Hardware has an entry for the intent. */
  readonly present: boolean;
  /** The flush that ends what an earlier intent allowed may not be finished. */
  readonly lingers: boolean;
  /** Epoch of the latest UNMAP of it: a MAP that knows an older one never installs. */
  readonly epoch: number;
}

export interface KpopState {
  readonly pages: readonly KpopPage[];
  /** Latest epoch that an UNMAP announced for the group: older MAPs may be refused from then on. */
  readonly fences: readonly number[];
  /** By L1 page. */
  readonly resident: readonly boolean[];
}

export interface KpopOptions {
  /** Fence that an L2 page's MAP checks and its UNMAP raises. */
  readonly fenceOf: (page: number) => number;
}

type Steps = readonly Step<KpopState>[];

export class KpopSpecification implements Specification<KpopState> {
  readonly operations = ['map', 'unmap', 'fill', 'invalidate', 'access'];
  readonly #fenceOf: (page: number) => number;

  constructor({ fenceOf }: KpopOptions) {
    this.#fenceOf = fenceOf;
  }

  steps(state: KpopState, { operation, args }: Call, at: number): Steps {
    const [a = 0, b = 0, c = 0, d = 0] = args;
    switch (operation) {
      case 'map':
        return this.#map(state, { page: a, l1gfn: b, prot: c, epoch: d }, at);
      case 'unmap':
        return this.#unmap(state, { first: a, end: b, epoch: c }, at);
      case 'fill':
        return fill(state, a, b, at);
      case 'invalidate':
        return invalidate(state, a, b, at);
      default:
        return access(state, a, b);
    }
  }

  /** First the look-up of the L1 page, then the intent. */
  #map(
    state: KpopState,
    map: { page: number; l1gfn: number; prot: number; epoch: number },
    at: number,
  ): Steps {
    const { page, l1gfn, prot, epoch } = map;
    if (l1gfn >= state.resident.length) return [{ state, at: 'fault' }];
    if (at === 0) return [{ state: withResident(state, l1gfn, true), at: 1 }];
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

  #install(
    state: KpopState,
    { page, l1gfn, prot }: { page: number; l1gfn: number; prot: number },
    at: number,
  ): Steps {
    const old = state.pages[page]!;
    // Two translations of one page are never live at once: what lingers has to cease first.
    if (old.lingers) return [{ state: withPage(state, page, { ...old, lingers: false }), at }];
    const wanted = { ...old, l1gfn, prot };
    const lazily = { state: withPage(state, page, { ...wanted, present: false }), at: 'ok' };
    if (!state.resident[l1gfn]) return [lazily];
    return [{ state: withPage(state, page, { ...wanted, present: true }), at: 'ok' }, lazily];
  }

  /** The fences, then page by page, then until nothing of them lingers, in any order. */
  #unmap(
    state: KpopState,
    { first, end, epoch }: { first: number; end: number; epoch: number },
    at: number,
  ): Steps {
    if (at === 0) {
      const raised = new Set(pagesOf(first, end).map(this.#fenceOf));
      const fences = state.fences.map((f, i) => (raised.has(i) ? Math.max(f, epoch) : f));
      return [{ state: { ...state, fences }, at: 1 }];
    }
    const count = end - first;
    if (at <= 2 * count) return removal(state, first + ((at - 1) >> 1), epoch, at);
    const done = at - 2 * count - 1; // a bit for each page
    if (done === 2 ** count - 1) return [{ state, at: 'ok' }];
    return pagesOf(0, count)
      .filter((i) => ((done >>> i) & 1) === 0)
      .map((i) => {
        const page = state.pages[first + i]!;
        const finished = withPage(state, first + i, { ...page, lingers: false });
        return { state: finished, at: at + 2 ** i };
      });
  }

  visible(state: KpopState): KpopState {
    return { ...state, pages: state.pages.map((page) => ({ ...page, epoch: 0 })) };
  }

  ceased(before: KpopState, after: KpopState): KpopState {
    const pages = before.pages.map((page, i) =>
      page.lingers && !after.pages[i]!.lingers ? { ...page, lingers: false } : page,
    );
    return { ...before, pages };
  }

  key({ pages, fences, resident }: KpopState): string {
    const words = pages.map(
      ({ l1gfn, prot, present, lingers, epoch }) =>
        `${l1gfn < 0 ? '-' : `${l1gfn}:${prot}`}${present ? 'P' : ''}${lingers ? 'L' : ''}${epoch}`,
    );
    return `${words} ${fences} ${resident.map(Number)}`;
  }

  describe({ operation, args }: Call): string {
    const [a = 0, b = 0, c = 0, d = 0] = args;
    switch (operation) {
      case 'map':
        return `map(page ${hex(a)} to L1 page ${hex(b)}, rights ${c}, epoch ${d})`;
      case 'unmap':
        return `unmap(pages ${hex(a)} to ${hex(b - 1)}, epoch ${c})`;
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

function saysPage({ l1gfn, prot, present, lingers }: KpopPage): string {
  const wanted = l1gfn < 0 ? 'unwanted' : `wanted at L1 page ${hex(l1gfn)} with rights ${prot}`;
  return `${wanted}${present ? ', present' : ''}${lingers ? ', not yet flushed' : ''}`;
}

/** Of one page: hardware's entry first (odd `at`), then the intent (or both at once). */
function removal(state: KpopState, page: number, epoch: number, at: number): Steps {
  const old = state.pages[page]!;
  const hasCleared = at % 2 === 0;
  if (old.present) {
    // It was filled again behind the back of who holds its lock: not for any specification.
    if (hasCleared) return [];
    return [{ state: withPage(state, page, { ...old, present: false }), at: at + 1 }];
  }
  const next = hasCleared ? at + 1 : at + 2;
  const gone = { ...old, l1gfn: -1, prot: 0, epoch: Math.max(old.epoch, epoch) };
  const lingering = { state: withPage(state, page, { ...gone, lingers: true }), at: next };
  // What was present can still be cached; the rest may wait for somebody else's flush, or not.
  if (hasCleared || old.lingers) return [lingering];
  return [{ state: withPage(state, page, { ...gone, lingers: false }), at: next }, lingering];
}

/**
 * The intent as it is seen first, without a lock; the look-up of its L1 page, which may by then be
 * wanted no more; and the entry.
 */
function fill(state: KpopState, page: number, needed: number, at: number): Steps {
  const { l1gfn, prot, present } = state.pages[page]!;
  if (at === 0) {
    if (l1gfn < 0 || (prot & needed) !== needed) return [{ state, at: 'ask-owner' }];
    return [{ state, at: 1 + 2 * l1gfn }];
  }
  const seen = (at - 1) >> 1;
  if (at % 2 === 1) return [{ state: withResident(state, seen, true), at: at + 1 }];
  const spurious = { state, at: 'retry' };
  if (l1gfn !== seen || present || !state.resident[seen]) return [spurious];
  const filled = withPage(state, page, { ...state.pages[page]!, present: true });
  return [spurious, { state: filled, at: 'filled' }];
}

/** Entries go, then the frames. */
function invalidate(state: KpopState, first: number, end: number, at: number): Steps {
  const count = end - first;
  if (at === 2 * count) return [{ state, at: 'ok' }];
  const l1gfn = first + (at % count);
  const users = pagesOf(0, state.pages.length).filter((i) => {
    return state.pages[i]!.present && state.pages[i]!.l1gfn === l1gfn;
  });
  if (at >= count) {
    return users.length > 0 ? [] : [{ state: withResident(state, l1gfn, false), at: at + 1 }];
  }
  if (users.length === 0) return [{ state, at: at + 1 }];
  return users.map((i) => {
    return { state: withPage(state, i, { ...state.pages[i]!, present: false }), at };
  });
}

function access(state: KpopState, page: number, needed: number): Steps {
  const { l1gfn, prot, lingers } = state.pages[page]!;
  // Also while the UNMAP is under way: before it returns either state may be seen.
  const isAllowed = l1gfn >= 0 && (prot & needed) === needed;
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
