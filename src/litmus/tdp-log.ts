/**
 * Dirty logging: user space switches it on and copies all pages, harvests and copies what is named,
 * and switches it off, while guests write. Whatever is not copied by then has to be known.
 */
import { host, type Litmus, write } from './litmus.ts';

const PAGES = 2;
const ONE = { first: 0, end: 1 };
const BOTH = { first: 0, end: 2 };
const start = host('log-start', 0, PAGES);
const harvest = host('log-harvest', 0, PAGES);
const stop = host('log-stop', 0, PAGES);
/** A leaf loses W or D. */
const CLEARED = 'log.clear|kpop.harvest.clear';
/** Somebody notes that a page was written to; where faults note nothing, a harvest does. */
const MARKED = 'log.mark|kpop.log.note';
/** The same while logging begins, which may forget what was written before. */
const NOTICED = 'log.mark|kpop.harvest.clear';
const INSTALL = 'tdp.map.commit|kpop.map.hardware';
const SPLIT = 'tdp.split.commit|tdp.split.freeze|kpop.split.link';
const CLEAR = 'tdp.zap.clear|kpop.entry.clear';

const small: readonly Litmus[] = [
  {
    id: 'log-start-write',
    title: 'a guest writes to a page while its slot begins to be logged',
    source: 'R7; primer/x86.md 2.6, dirty log start',
    pages: PAGES,
    mapped: ONE,
    guests: [[write(0, 1), write(0, 2)]],
    hosts: [[start]],
    sometimes: [NOTICED, 'flush.kick|kpop.kick.send'],
  },
  {
    id: 'log-start-fault',
    title: 'a guest writes to a page that nobody has mapped while its slot begins to be logged',
    source: 'primer/x86.md 2.6: whoever read the old flags is waited for (SRCU)',
    pages: PAGES,
    guests: [[write(0, 1), write(0, 2)]],
    hosts: [[start]],
    sometimes: [INSTALL, NOTICED],
  },
  {
    id: 'log-harvest-write',
    title: 'a guest writes again and again to a page of a logged slot while it is harvested',
    source: 'R3, R7; primer/x86.md 2.8, lost D',
    pages: PAGES,
    mapped: ONE,
    guests: [[write(0, 1), write(0, 2), write(0, 3)]],
    hosts: [[start, harvest]],
    sometimes: ['log.take|kpop.log.take', CLEARED, MARKED],
  },
  {
    id: 'log-harvest-fault',
    title: 'a page of a logged slot is first written to while it is harvested',
    source: 'primer/x86.md 2.8: bits are marked before leaves come, under the lock',
    pages: PAGES,
    guests: [[write(0, 1)]],
    hosts: [[start, harvest, harvest]],
    sometimes: [MARKED, INSTALL],
  },
  {
    id: 'log-harvest-pages',
    title: 'a guest writes to two pages of a logged slot while it is harvested',
    source: 'primer/x86.md 2.6: bits of one word, and the log of a CPU, which holds one page here',
    pages: PAGES,
    mapped: BOTH,
    guests: [[write(0, 1), write(1, 2)]],
    hosts: [[start, harvest]],
    sometimes: [MARKED],
  },
  {
    id: 'log-unmap',
    title: 'a guest writes to a page of a logged slot that the host unmaps and frees',
    source: 'primer/x86.md 2.3: a lockless fault against a zap',
    pages: PAGES,
    mapped: ONE,
    guests: [[write(0, 1)]],
    hosts: [[start, host('unmap', 0)]],
    sometimes: [CLEAR],
  },
  {
    id: 'log-stop-write',
    title: 'logging is switched on, off and on again while a guest writes',
    source: 'primer/x86.md 2.6, dirty log stop',
    pages: PAGES,
    mapped: ONE,
    guests: [[write(0, 1), write(0, 2)]],
    hosts: [[start, stop, start]],
    sometimes: [NOTICED],
  },
];

const huge: readonly Litmus[] = [
  {
    id: 'log-huge-start',
    title: 'a guest writes to a huge page while its slot begins to be logged',
    source: 'R14; primer/x86.md 2.6, splitting eagerly or at a fault',
    pages: PAGES,
    hostPages: '2m',
    mapped: BOTH,
    guests: [[write(0, 1), write(0, 2)]],
    hosts: [[start]],
    sometimes: [SPLIT, NOTICED],
  },
  {
    id: 'log-huge-harvest',
    title: 'a guest writes to both halves of a huge page while its slot is logged and harvested',
    source: 'R14, R15',
    pages: PAGES,
    hostPages: '2m',
    mapped: BOTH,
    guests: [[write(0, 1), write(1, 2)]],
    hosts: [[start, harvest]],
    sometimes: [SPLIT, MARKED],
  },
  {
    id: 'log-huge-stop',
    title: 'a guest writes while logging ends and its page becomes a huge one again',
    source: 'R13; primer/x86.md 2.6, dirty log stop',
    pages: PAGES,
    hostPages: '2m',
    mapped: BOTH,
    needs: ['collapse'],
    guests: [[write(0, 1), write(0, 2)]],
    hosts: [[start, stop]],
    sometimes: ['tdp.collapse.freeze'],
  },
];

/** Threads that read tables under the lock alone, and one that gives tables back. */
const readers: readonly Litmus[] = [
  {
    id: 'log-start-remove',
    title: 'tables are removed while all leaves of their slot lose the right to be written to',
    source: 'R6: who protects walks tables under the lock, and is no reader of RCU',
    pages: 2 * PAGES,
    mapped: { first: 0, end: 2 * PAGES },
    guests: [],
    hosts: [
      [host('log-start', 0, 2 * PAGES)],
      [host('remove-tables', 0, 2), host('remove-tables', 2, 4)],
    ],
    sometimes: ['tdp.remove.freeze|kpop.remove.unlink'],
  },
];

/** Three CPUs. */
const three: readonly Litmus[] = [
  {
    id: 'log-two-writers',
    title: 'two guests write to one page of a logged slot while it is harvested',
    source: 'primer/x86.md 2.3: a fast fault marks after it has given W',
    pages: PAGES,
    mapped: ONE,
    guests: [[write(0, 1)], [write(0, 2)]],
    hosts: [[start, harvest]],
    sometimes: [],
  },
  {
    id: 'log-invalidate',
    title: 'a page of a logged slot is written to, harvested, and its entry taken by the host',
    source: 'R3; primer/x86.md 2.8: harvesting before unlinking',
    pages: PAGES,
    mapped: ONE,
    needs: ['collapse'], // where the host keeps the page, as kpop's log-harvest-drop has it
    guests: [[write(0, 1)]],
    hosts: [[start, harvest], [host('invalidate', 0)]],
    sometimes: [MARKED, CLEAR],
  },
];

export const tdpLogLitmus: readonly Litmus[] = [...small, ...huge, ...readers, ...three];
