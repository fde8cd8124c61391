/**
 * PROTECT under any L1, against each of the other operations and against L2 guests: rights that it
 * took away are gone when it returns, and nothing brings them back but a call that may.
 */
import { against, pair, three } from './kpop-shapes.ts';
import { awaitRing, host, type Litmus, ring, write } from './litmus.ts';

const ONE = { first: 0, end: 1 };
const NARROW = 'kpop.protect.narrow';
const KICK = 'kpop.kick.send';
const FLUSH = 'kpop.enter.flush';

const pairs: readonly Litmus[] = [
  pair(
    'protect-map',
    'PROTECT while a MAP of the page is under way that gives all rights',
    'R11 for rights: whoever comes second obeys the fence, or finds the page mapped',
    [host('protect', 0), host('map', 0)],
    { sometimes: ['kpop.map.hardware', NARROW] },
  ),
  pair(
    'protect-fill',
    'PROTECT against a fill from the intent that it changes',
    'K1: rights of the intent under the lock',
    [host('protect', 0), host('fill', 0)],
    { mapped: ONE, sometimes: [NARROW] },
  ),
  pair(
    'protect-unmap',
    'PROTECT of a page against its UNMAP',
    'K14: either waits for what the other flushes',
    [host('protect', 0), host('unmap', 0)],
    { mapped: ONE, sometimes: [NARROW, 'kpop.entry.clear'] },
  ),
  pair(
    'protect-invalidate',
    'PROTECT of a page while the host takes the L1 page behind it',
    'R7, K1',
    [host('protect', 0), host('invalidate', 0)],
    { mapped: ONE, sometimes: [NARROW, 'kpop.notify.begin'] },
  ),
  pair(
    'protect-protect',
    'two PROTECTs of one page: the second finds the right gone and must not return early',
    'R7, K14',
    [host('protect', 0), host('protect', 0)],
    { mapped: ONE, sometimes: [NARROW] },
  ),
  pair(
    'protect-allow',
    'a delayed PROTECT that adds a right while another takes it away',
    'R11 for rights: the fence',
    [host('protect', 0), host('allow', 0)],
    { mapped: ONE, sometimes: [NARROW] },
  ),
  pair(
    'protect-remove',
    'PROTECT below a table page that an UNMAP removes',
    'R5, K12: who meets a dead entry walks again',
    [host('protect', 0, 2), host('remove-tables', 0, 2)],
    { mapped: ONE, sometimes: [NARROW, 'kpop.remove.unlink'] },
  ),
  pair(
    'allow-fill',
    'a fill widens an entry that was narrowed and allowed again, while the host takes the page',
    'primer/x86.md 6.3, PROTECT: intent first, hardware with the next fault',
    [[host('protect-a-while', 0), host('fill', 0)], host('invalidate', 0)],
    { mapped: ONE, sometimes: ['kpop.fill.widen'] },
  ),
];

const guests: readonly Litmus[] = [
  against(
    'write-protect',
    'a guest writes to a page while PROTECT takes the right away',
    'R2, R7',
    [write(0)],
    [host('protect', 0)],
    [KICK],
  ),
  against(
    'stay-protect',
    'a guest that stays in guest mode until its page is protected',
    'R2, R7',
    [write(0), awaitRing],
    [host('protect', 0), ring],
    [KICK, FLUSH],
  ),
  against(
    'write-protect-a-while',
    'a guest writes to a page that is protected and allowed again',
    'primer/x86.md 6.3, PROTECT: intent first, hardware with the next fault',
    [write(0)],
    [host('protect-a-while', 0)],
    ['kpop.fill.widen'],
  ),
];

const threes: readonly Litmus[] = [
  three(
    'write-protect-protect',
    'a guest writes while two PROTECTs take the right away',
    'R7, K14: who finds the right gone joins the flush of who took it',
    [write(0)],
    [host('protect', 0), host('protect', 0)],
    { mapped: ONE, sometimes: [KICK] },
  ),
  three(
    'write-protect-invalidate',
    'a guest writes while its page is protected and the host takes it',
    'R7, K14: PROTECT finds the entry empty and joins the flush of the host',
    [write(0)],
    [host('protect', 0), host('invalidate', 0)],
    { mapped: ONE, sometimes: [KICK] },
  ),
];

export const kpopProtectLitmus: readonly Litmus[] = [...pairs, ...guests, ...threes];
