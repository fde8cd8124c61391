/**
 * KPOP's L0 under any L1: MAP, UNMAP, MAP elsewhere (move), fill from a known intent, and the host
 * that takes L1's pages, each against each, and against L2 guests. Rows R… are those of
 * primer/x86.md 9.2, K… its invariants of 6.10.
 */
import { against, pair, three } from './kpop-shapes.ts';
import { awaitRing, host, type Litmus, leave, ring, write } from './litmus.ts';

/** An entry is emptied, whoever does it. */
const CLEAR = 'kpop.entry.clear|tdp.zap.clear|shadow.zap.clear';

/** An entry is filled; the host's count of invalidations is looked at again before that. */
const INSTALL = 'kpop.map.hardware|tdp.map.commit';
const RECHECK = 'kpop.map.seq-recheck|mmu.seq-recheck';

const KICK = 'flush.kick|kpop.kick.send';
const FLUSH = 'run.flush|kpop.enter.flush';
const UNLINK = 'tdp.remove.unlink|kpop.remove.unlink';

const PAGES = 4;
const ONE = { first: 0, end: 1 };
const TWO = { first: 0, end: 2 };

const pairs: readonly Litmus[] = [
  pair(
    'map-unmap',
    'a MAP with an old epoch is under way while UNMAP of the same page returns',
    'R11, K8',
    [host('map', 0), host('unmap', 0)],
    { sometimes: [INSTALL, 'kpop.unmap.fence|poc.unmap.lock'] },
  ),
  pair(
    'map-unmap-mapped',
    'MAP of what is mapped already, against its UNMAP',
    'K2, K14: an UNMAP that finds nothing joins the flush of the one that did',
    [host('map', 0), host('unmap', 0)],
    { mapped: ONE, sometimes: ['kpop.entry.clear'] },
  ),
  pair(
    'map-map',
    'two MAPs of two pages below one missing table',
    'primer/x86.md 6.3, walk: somebody else linked',
    [host('map', 0), host('map', 1)],
    { sometimes: ['kpop.link.hardware|tdp.map.link', INSTALL] },
  ),
  pair(
    'map-move',
    'MAP of one L1 page against UNMAP and MAP of another in its place',
    'K3, M2: a label that is not finished is joined first',
    [host('map', 0), host('move', 0)],
    { mapped: ONE, sometimes: ['kpop.map.hardware'] },
  ),
  pair(
    'map-invalidate',
    'MAP of an L1 page while the host takes that page',
    'R1, M4 against N1',
    [host('map', 0), host('invalidate', 0)],
    { sometimes: [RECHECK, 'kpop.notify.begin|mmu.invalidate-begin'] },
  ),
  pair(
    'fill-invalidate',
    'a fill from a known intent while the host takes the L1 page',
    'R1, M4 against N1',
    [host('fill', 0), host('invalidate', 0)],
    { mapped: ONE, sometimes: ['kpop.map.hardware', 'kpop.entry.clear'] },
  ),
  pair(
    'fill-unmap',
    'a fill from a known intent while L1 removes the intent',
    'K1, K8',
    [host('fill', 0), host('unmap', 0)],
    { mapped: ONE, sometimes: ['kpop.entry.clear'] },
  ),
  pair(
    'unmap-unmap',
    'two UNMAPs of one page: the second finds it empty and must not return early',
    'R12, K14',
    [host('unmap', 0), host('unmap', 0)],
    { mapped: ONE, sometimes: [CLEAR] },
  ),
  pair(
    'unmap-invalidate-pair',
    'UNMAP of a page that a host invalidation has just emptied',
    'R12, K14',
    [host('unmap', 0), host('invalidate', 0)],
    { mapped: ONE, sometimes: [CLEAR] },
  ),
  pair(
    'unmap-fill-2',
    'UNMAP of two pages against fills of both',
    'K4: one list of the reverse map per page',
    [host('unmap', 0, 2), host('fill', 0, 2)],
    { mapped: TWO, sometimes: [CLEAR] },
  ),
];

const guests: readonly Litmus[] = [
  against(
    'write-move',
    'a guest writes while its page is moved',
    'K3',
    [write(0)],
    [host('move', 0)],
    [KICK],
  ),
  against(
    'stay-invalidate',
    'a guest that stays in guest mode until the host has taken its page',
    'R2, K7',
    [write(0), awaitRing],
    [host('invalidate', 0), ring],
    [KICK, FLUSH],
  ),
  against(
    'write-leave-invalidate',
    'a guest writes, leaves and writes again while the host takes the page',
    'R2, R16: the flush at the next entry',
    [write(0), leave, write(0)],
    [host('invalidate', 0)],
    [FLUSH],
  ),
];

/** Three CPUs. */
const threes: readonly Litmus[] = [
  three(
    'write-unmap-unmap',
    'a guest writes while two of the calls of L1 remove its page',
    'R12, K14: who finds the entry empty joins the flush of who emptied it',
    [write(0)],
    [host('unmap', 0), host('unmap', 0)],
    { mapped: ONE, sometimes: [KICK] },
  ),
  three(
    'write-unmap-invalidate',
    'a guest writes while L1 unmaps its page and the host takes the page',
    'R12, K14: T.q',
    [write(0)],
    [host('unmap', 0), host('invalidate', 0)],
    { mapped: ONE, sometimes: [KICK] },
  ),
  three(
    'write-invalidate-invalidate',
    'a guest writes while two threads of the host take its page',
    'R12 for the host: who finds the entry empty joins the flush of who emptied it',
    [write(0)],
    [host('invalidate', 0), host('invalidate', 0)],
    { mapped: ONE, sometimes: [KICK] },
  ),
  three(
    'write-map-unmap',
    'a guest writes while one call maps its page and another unmaps it',
    'R11, K8',
    [write(0)],
    [host('map', 0), host('unmap', 0)],
    { sometimes: ['kpop.map.hardware'] },
  ),
  three(
    'write-remove-invalidate',
    'a guest writes while L1 removes the table page and the host takes the page',
    'R6, K7, K14',
    [write(0)],
    [host('remove-tables', 0, 2), host('invalidate', 0)],
    { mapped: ONE, sometimes: [KICK] },
  ),
  three(
    'write-remove-move',
    'a guest writes while L1 removes the table page and moves the page',
    'K3, K12',
    [write(0)],
    [host('remove-tables', 0, 2), host('move', 0)],
    { mapped: ONE, sometimes: [KICK] },
  ),
];

/** Which pages are in use is asked, without a lock, while entries change. */
const ages: readonly Litmus[] = [
  pair(
    'used-invalidate',
    'AGE of two pages while the host takes one of them',
    'primer/x86.md 6.3, A/D clearing: the whole entry is compared',
    [host('age-pages', 0, 2), host('invalidate', 0)],
    { mapped: TWO, sometimes: ['kpop.age.clear', 'kpop.entry.clear'] },
  ),
  pair(
    'used-remove',
    'AGE below a table page that an UNMAP removes',
    'R5, K12',
    [host('age-pages', 0, 2), host('remove-tables', 0, 2)],
    { mapped: TWO, sometimes: ['kpop.age.clear', 'kpop.remove.unlink'] },
  ),
];

/** An UNMAP that covers all that a table page serves removes the table page. */
const removals: readonly Litmus[] = [
  pair(
    'remove-map',
    'a MAP below a table page that an UNMAP removes',
    'R5, K12: who meets a dead entry walks again',
    [host('map', 0), host('remove-tables', 0, 2)],
    { mapped: { first: 1, end: 2 }, sometimes: ['kpop.remove.unlink', 'kpop.map.hardware'] },
  ),
  pair(
    'remove-move',
    'a page is moved while the table page that serves it is removed',
    'R5, K3: who links a new table page joins the flush of the removal first',
    [host('move', 0), host('remove-tables', 0, 2)],
    { mapped: ONE, sometimes: ['kpop.remove.unlink', 'kpop.link.hardware'] },
  ),
  pair(
    'remove-fill',
    'a fill from a known intent below a table page that an UNMAP removes',
    'R5, K1',
    [host('fill', 0), host('remove-tables', 0, 2)],
    { mapped: ONE, sometimes: ['kpop.remove.unlink'] },
  ),
  pair(
    'remove-invalidate',
    'the host takes an L1 page whose entry lies in a table page that is being removed',
    'R6, K7: the reverse map names entries, their table pages stay for who is reading it',
    [host('invalidate', 0), host('remove-tables', 0, 2)],
    { mapped: ONE, sometimes: [UNLINK, 'mmu.invalidate-begin|kpop.notify.begin'] },
  ),
];

/** Table pages are given back while somebody may still be looking at them. */
const reuse: readonly Litmus[] = [
  {
    id: 'invalidate-remove-map',
    title: 'the host reads a table page that is removed, and whose frames are wanted again',
    source: 'R6, K7',
    pages: PAGES,
    mapped: ONE,
    guests: [],
    hosts: [[host('invalidate', 0)], [host('remove-tables', 0, 2), host('map', 1)]],
    sometimes: ['kpop.remove.unlink', 'kpop.notify.begin'],
  },
  {
    id: 'write-remove-map',
    title: 'a guest faults below a table page that is removed, and whose frames are wanted again',
    source: 'R6, K7',
    pages: PAGES,
    mapped: ONE,
    guests: [[write(0)]],
    hosts: [[host('remove-tables', 0, 2), host('map', 1)]],
    sometimes: [KICK, 'kpop.remove.unlink'],
  },
];

const ends: readonly Litmus[] = [
  pair(
    'teardown-map',
    'a MAP while the address space is torn down',
    'primer/x86.md 6.5: calls that began before are waited for',
    [host('map', 0), host('teardown', 0, PAGES)],
    { sometimes: ['kpop.map.hardware', 'kpop.teardown.begin'] },
  ),
  pair(
    'teardown-move',
    'a page is moved while the address space is torn down',
    'primer/x86.md 6.5',
    [host('move', 0), host('teardown', 0, PAGES)],
    { mapped: TWO, sometimes: ['kpop.map.hardware', 'kpop.remove.unlink'] },
  ),
  pair(
    'teardown-fill',
    'a fill from a known intent while the address space is torn down',
    'primer/x86.md 6.5',
    [host('fill', 0), host('teardown', 0, PAGES)],
    { mapped: ONE, sometimes: ['kpop.remove.unlink'] },
  ),
  pair(
    'teardown-teardown',
    'two threads tear the address space down',
    'primer/x86.md 6.5: once',
    [host('teardown', 0, PAGES), host('teardown', 0, PAGES)],
    { mapped: TWO, sometimes: ['tdp.teardown.unlink|kpop.remove.unlink'] },
  ),
];

export const kpopLitmus: readonly Litmus[] = [
  ...pairs,
  ...ages,
  ...removals,
  ...reuse,
  ...ends,
  ...guests,
  ...threes,
];
