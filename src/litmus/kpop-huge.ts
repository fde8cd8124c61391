/**
 * Huge intents of KPOP: pages 0 and 1 are one, mapped by one MAP. Where the host has huge pages
 * they are one leaf as well, which is split, taken away in part, and put together again; where it
 * has none, fills make the intent smaller.
 */
import { type HostStep, host, type Litmus, write } from './litmus.ts';

const PAGES = 4;
const BLOCK = { first: 0, end: 2 };
const HUGE = { pages: PAGES, hostPages: '2m', mapped: BLOCK } as const;
/** Fills at 4 KiB under a huge intent need the operation, or a design has no huge intents. */
const NEEDS = ['map-huge'];
const SPLIT = 'kpop.split.link';
const MERGE = 'kpop.promote.gen';
const KICK = 'kpop.kick.send';

type Threads = readonly (readonly HostStep[])[];

/** Threads against each other, on a host with huge pages and a huge leaf in place. */
function huge(id: string, title: string, source: string, hosts: Threads, seen: string[]): Litmus {
  return { id, title, source, ...HUGE, needs: NEEDS, guests: [], hosts, sometimes: seen };
}

/** A guest that writes to page `page` meanwhile. */
function written(
  id: string,
  title: string,
  source: string,
  page: number,
  steps: readonly HostStep[],
  seen: string[],
): Litmus {
  const guests = [[write(page)]];
  return { id, title, source, ...HUGE, needs: NEEDS, guests, hosts: [steps], sometimes: seen };
}

/** Splits the huge intent; its parts then still agree. */
const part = host('protect-a-while', 0);
const merge = host('promote', 0, 2);
const whole = host('map-huge', 0, 2);

const splits: readonly Litmus[] = [
  huge(
    'intent-unmap-unmap',
    'each of two UNMAPs takes a half of a huge intent',
    'primer/x86.md 6.3, split; K14',
    [[host('unmap', 0)], [host('unmap', 1)]],
    [SPLIT],
  ),
  huge(
    'intent-unmap-protect',
    'one half of a huge intent is unmapped while the other is protected',
    'primer/x86.md 6.3, split; R7',
    [[host('unmap', 0)], [host('protect', 1)]],
    [SPLIT, 'kpop.protect.narrow'],
  ),
  huge(
    'intent-unmap-invalidate',
    'one half of a huge intent is unmapped while the host takes the page behind the other',
    'primer/x86.md 6.3: an invalidation finds the whole or the parts in the reverse map',
    [[host('unmap', 0)], [host('invalidate', 1)]],
    [SPLIT, 'kpop.notify.begin', 'backing.block-split'],
  ),
  huge(
    'intent-fill-invalidate',
    'a fill below a huge intent while the host takes a part of the huge page behind it',
    'R1, M4 against N1, with a huge leaf',
    [[host('fill', 1)], [host('invalidate', 0)]],
    ['kpop.entry.clear', 'kpop.map.hardware'],
  ),
  huge(
    'intent-unmap-whole',
    'a huge intent is unmapped whole while a part of it is',
    'K14: whoever finds a table where the intent was walks again',
    [[host('unmap', 0, 2)], [host('unmap', 1)]],
    [SPLIT, 'kpop.entry.clear'],
  ),
  written(
    'intent-write-unmap',
    'a guest writes to one half of a huge intent while the other is unmapped',
    'primer/x86.md 6.10, huge split losing D',
    1,
    [host('unmap', 0)],
    [SPLIT, KICK],
  ),
  written(
    'intent-write-protect',
    'a guest writes to one half of a huge intent while that is protected',
    'R2, R7 with a huge leaf',
    1,
    [host('protect', 1)],
    [SPLIT, KICK],
  ),
  written(
    'intent-write-take',
    'a guest writes to one half of a huge intent while the host takes the other',
    'R2, R3 with a huge leaf; the intent stays',
    1,
    [host('invalidate', 0)],
    ['kpop.entry.clear', KICK],
  ),
];

const pieces: readonly Litmus[] = [
  {
    id: 'write-unmap-pieces',
    title: 'a guest writes to a page while a long UNMAP is made in pieces',
    source: 'K11; K2 of what a CONTINUE counts',
    pages: PAGES,
    mapped: { first: 0, end: PAGES },
    guests: [[write(0)]],
    hosts: [[host('unmap-pieces', 0, PAGES)]],
    sometimes: ['kpop.remove.unlink', KICK],
  },
];

/** Three CPUs. */
const threes: readonly Litmus[] = [
  {
    id: 'intent-write-narrow-narrow',
    title: 'a guest writes while a huge intent is protected, and a part of it by another call',
    source: 'R7, K14: who finds the right gone below joins what is still flushed above',
    ...HUGE,
    needs: NEEDS,
    guests: [[write(1)]],
    hosts: [[host('protect', 0, 2)], [host('protect', 1)]],
    sometimes: [SPLIT],
  },
];

const threeMerges: readonly Litmus[] = ['unmap', 'invalidate'].map((kind) => ({
  id: `promote-write-${kind}`,
  title: `a guest writes while smaller intents become one and another call does ${kind}`,
  source: 'K2, K14: whoever takes the huge leaf away joins the flush of what it replaced',
  ...HUGE,
  needs: NEEDS,
  guests: [[write(1)]],
  hosts: [[part, merge], [host(kind, 1)]],
  sometimes: [MERGE, KICK],
}));

const maps: readonly Litmus[] = [
  {
    id: 'intent-map-unmap',
    title: 'a MAP of a huge intent with an old epoch is under way while UNMAP of a part returns',
    source: 'R11, K8 for every page of it',
    pages: PAGES,
    hostPages: '2m',
    needs: NEEDS,
    guests: [],
    hosts: [[whole], [host('unmap', 1)]],
    sometimes: ['kpop.map.hardware'],
  },
  {
    id: 'intent-map-map',
    title: 'a huge intent and a small one below it are mapped at once',
    source: 'one of them is in the way of the other',
    pages: PAGES,
    hostPages: '2m',
    needs: NEEDS,
    guests: [],
    hosts: [[whole], [host('map', 0)]],
    sometimes: ['kpop.map.hardware'],
  },
  {
    id: 'intent-small-fills',
    title: 'two fills below a huge intent where the host has small pages only',
    source: 'primer/x86.md 6.3: order is will, the hardware level is of L0’s choice',
    pages: PAGES,
    needs: NEEDS,
    guests: [],
    hosts: [[whole, host('fill', 0)], [host('fill', 1)]],
    sometimes: [SPLIT, 'kpop.map.hardware'],
  },
];

const merges: readonly Litmus[] = [
  huge(
    'promote-unmap',
    'smaller intents become one again while one of their pages is unmapped',
    'primer/x86.md 6.3, promote; K8, K12',
    [[part, merge], [host('unmap', 1)]],
    [MERGE],
  ),
  huge(
    'promote-fill',
    'smaller intents become one again while a page below is filled',
    'K1, K12: who meets a dead entry walks again',
    [[part, merge], [host('fill', 1)]],
    [MERGE],
  ),
  huge(
    'promote-invalidate',
    'smaller intents become one again while the host takes a page behind them',
    'M4 against N1: promotion looks at the counters as a MAP does',
    [[part, merge], [host('invalidate', 1)]],
    [MERGE, 'kpop.notify.begin'],
  ),
  written(
    'promote-write',
    'a guest writes while smaller intents become one again',
    'R4, R13: until the flush a CPU may still walk the table that nothing links',
    1,
    [part, merge],
    [MERGE, KICK],
  ),
  {
    id: 'promote-write-free',
    title:
      'a guest writes while smaller intents become one, and the frames of their table are freed',
    source: 'R6, K7: the flush and a grace period come before the table page is given back',
    ...HUGE,
    mapped: { first: 0, end: PAGES },
    needs: NEEDS,
    guests: [[write(1)]],
    hosts: [[part, host('protect-a-while', 2), merge, host('promote', 2, PAGES)]],
    sometimes: [MERGE, KICK],
  },
];

export const kpopHugeLitmus: readonly Litmus[] = [
  ...splits,
  ...maps,
  ...merges,
  ...pieces,
  ...threes,
  ...threeMerges,
];
