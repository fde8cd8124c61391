/**
 * Logs of what L2 writes, under KPOP: L1's by DIRTY, and the host's own of L1's pages, against
 * everything that takes entries away, splits them or puts them together. The programs of any dirty
 * log are in tdp-log.ts.
 */
import { awaitRing, type HostStep, host, type Litmus, ring, write } from './litmus.ts';

const PAGES = 2;
const ONE = { first: 0, end: 1 };
const BLOCK = { first: 0, end: 2 };
const start = host('log-start', 0, PAGES);
const harvest = host('log-harvest', 0, PAGES);
const hostStart = host('host-log-start', 0, PAGES);
const hostHarvest = host('host-log-harvest', 0, PAGES);
const NOTE = 'kpop.log.note';
const CLEAR = 'kpop.harvest.clear';
const WRITES = [[write(0, 1), write(0, 2)]];

/** A guest that writes twice to one page, against one thread or two. */
function logged(
  id: string,
  title: string,
  source: string,
  hosts: readonly (readonly HostStep[])[],
  sometimes: readonly string[],
): Litmus {
  const needs = ['host-log-start']; // what these await is KPOP's: the TDP MMU has no second log
  return { id, title, source, pages: PAGES, mapped: ONE, needs, guests: WRITES, hosts, sometimes };
}

const small: readonly Litmus[] = [
  logged(
    'log-drop',
    'the host takes the entry of a logged page away and keeps the page',
    'V3, K5: who takes an entry away notes what it said',
    [[start, host('drop-entries', 0), harvest]],
    [NOTE, 'kpop.entry.clear'],
  ),
  logged(
    'log-protect',
    'a logged page loses the right to be written to, and gets it again',
    'V3, K5: the right may be what said that the page was written to',
    [[start, host('protect-a-while', 0), harvest]],
    [NOTE, 'kpop.protect.narrow'],
  ),
  logged(
    'log-remove',
    'the table page of a logged page is removed',
    'V3, K5: what was below is noted by the time the UNMAP returns',
    [[start, host('remove-tables', 0, PAGES), harvest]],
    [NOTE, 'kpop.remove.unlink'],
  ),
  logged(
    'host-log-write',
    'the host logs pages of L1 while L2 writes to them',
    'K5, the host’s log',
    [[hostStart, hostHarvest]],
    ['kpop.log.note-host', CLEAR],
  ),
  logged(
    'host-log-drop',
    'the host logs pages of L1 and takes an entry away',
    'K5, the host’s log',
    [[hostStart, host('drop-entries', 0)]],
    ['kpop.log.note-host'],
  ),
];

const threes: readonly Litmus[] = [
  logged(
    'log-both',
    'L1 and the host log what one guest writes: each has its own bits of every D',
    'K5, D lost between two consumers',
    [
      [start, harvest],
      [hostStart, hostHarvest],
    ],
    [NOTE, 'kpop.log.note-host'],
  ),
  logged(
    'log-harvest-harvest',
    'two harvests of one page: the one that finds D gone must not return early',
    'V3, K14',
    [[start, harvest], [hostHarvest]],
    [CLEAR],
  ),
  logged(
    'log-harvest-drop',
    'a page is harvested while the host takes its entry',
    'V3, K5: COLLECT waits for the lock of who is about to note it',
    [[start, harvest], [host('drop-entries', 0)]],
    [NOTE, 'kpop.entry.clear'],
  ),
  logged(
    'log-harvest-unmap',
    'a page is harvested while L1 unmaps it',
    'V3, K5',
    [[start, harvest], [host('unmap', 0)]],
    [NOTE, 'kpop.entry.clear'],
  ),
  logged(
    'log-harvest-protect',
    'a page is harvested while it loses the right to be written to, and gets it again',
    'V3, K5, R7',
    [[start, harvest], [host('protect-a-while', 0)]],
    [NOTE, 'kpop.protect.narrow'],
  ),
  logged(
    'log-harvest-remove',
    'a page is harvested while the table page that serves it is removed',
    'V3, K5: COLLECT waits for whoever takes a table page apart',
    [[start, harvest], [host('remove-tables', 0, PAGES)]],
    [NOTE, 'kpop.remove.unlink'],
  ),
  logged(
    'log-harvest-age',
    'a page is harvested while AGE makes it look unused',
    'K5: AGE compares the whole entry, D among it',
    [[start, harvest], [host('age-pages', 0)]],
    [CLEAR, 'kpop.age.clear'],
  ),
];

/** Two pages whose bits lie in one word. */
const pairs: readonly Litmus[] = [
  {
    id: 'log-harvest-two',
    title: 'two pages are harvested while the host takes the entry of one',
    source: 'K5: bits of one word',
    pages: PAGES,
    mapped: BLOCK,
    guests: [[write(0, 1), write(1, 2)]],
    hosts: [[start, harvest], [host('drop-entries', 1)]],
    sometimes: [NOTE, 'kpop.entry.clear'],
  },
  {
    id: 'log-harvest-taken',
    title: 'a page that was written to is harvested while the host takes its entry',
    source: 'V3: who has emptied an entry, and not noted yet what it said, is waited for',
    pages: PAGES,
    mapped: BLOCK,
    guests: [[awaitRing, write(0, 1)]],
    hosts: [[start, ring, host('drop-entries', 1), harvest], [host('drop-entries', 0)]],
    sometimes: [NOTE, 'kpop.entry.clear'],
  },
  {
    id: 'log-start-flush',
    title: 'a guest writes to a page while its log begins and another page is flushed',
    source: 'R7: the label is read once the entry is there for everybody',
    pages: PAGES,
    mapped: BLOCK,
    guests: [[write(0, 1), write(0, 2)]],
    hosts: [[start], [host('drop-entries', 1)]],
    sometimes: [CLEAR, 'kpop.entry.clear'],
  },
];

const HUGE = { pages: PAGES, hostPages: '2m', mapped: BLOCK, needs: ['map-huge'] } as const;

const huge: readonly Litmus[] = [
  {
    id: 'log-huge-fill',
    title: 'a huge intent is filled while its address space begins to be logged',
    source: 'K5: no huge leaf comes once the log is on',
    ...HUGE,
    guests: [],
    hosts: [
      [start, harvest],
      [host('drop-entries', 0), host('fill', 1)],
    ],
    sometimes: ['kpop.split.link'],
  },
  {
    id: 'log-huge-unmap',
    title: 'a guest writes to one half of a huge page that is logged while the other is unmapped',
    source: 'K5, huge split losing D',
    ...HUGE,
    guests: [[write(1, 1), write(1, 2)]],
    hosts: [[start, harvest], [host('unmap', 0)]],
    sometimes: ['kpop.split.link', NOTE],
  },
  {
    id: 'log-promote',
    title: 'smaller intents are to become one again while their writes are logged',
    source: 'primer/x86.md 6.3, promote: refused while logging',
    ...HUGE,
    guests: [[write(1, 1), write(1, 2)]],
    hosts: [[start, host('promote', 0, PAGES), harvest]],
    sometimes: ['kpop.split.link', NOTE],
  },
];

export const kpopLogLitmus: readonly Litmus[] = [...small, ...huge, ...threes, ...pairs];
