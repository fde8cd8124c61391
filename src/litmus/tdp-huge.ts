/**
 * Huge leaves: the host has huge pages, and pages 0 and 1 are one of them. They are mapped whole,
 * split, taken away in part, and made whole again.
 */
import { host, type Litmus, write } from './litmus.ts';

const PAGES = 4;
const HUGE = { pages: PAGES, hostPages: '2m' } as const;
const BLOCK = { first: 0, end: 2 };
const FLUSH = ['flush.kick|kpop.kick.send'];

const maps: readonly Litmus[] = [
  {
    id: 'huge-fault-fault',
    title: 'two faults on the two halves of a huge page that nobody has mapped',
    source: 'primer/x86.md 2.2, step 7',
    ...HUGE,
    guests: [],
    hosts: [[host('fault', 0)], [host('fault', 1)]],
    sometimes: ['tdp.map.commit', 'backing.block-install'],
  },
  {
    id: 'huge-fault-unmap',
    title: 'a fault on one half of a huge page while the other is unmapped and freed',
    source: 'R1 with a huge leaf: what is announced is the whole',
    ...HUGE,
    mapped: BLOCK,
    guests: [],
    hosts: [[host('fault', 1)], [host('unmap', 0)]],
    sometimes: ['tdp.zap.clear-huge', 'backing.block-split', 'tdp.map.commit'],
  },
  {
    id: 'huge-write-unmap',
    title: 'a guest writes to one half of a huge page while the other is unmapped and freed',
    source: 'R2, R3 with a huge leaf',
    ...HUGE,
    mapped: BLOCK,
    guests: [[write(1)]],
    hosts: [[host('unmap', 0)]],
    sometimes: ['tdp.zap.clear-huge|kpop.split.link', ...FLUSH],
  },
];

const splits: readonly Litmus[] = [
  {
    id: 'huge-split-write',
    title: 'a guest writes to a huge page while its leaf is split',
    source: 'R14',
    ...HUGE,
    mapped: BLOCK,
    guests: [[write(0)]],
    hosts: [[host('split', 0, 2)]],
    sometimes: ['tdp.split.commit'],
  },
  {
    id: 'huge-split-split',
    title: 'two CPUs split the same leaf',
    source: 'primer/x86.md 2.6: eager splitting runs under the read lock',
    ...HUGE,
    mapped: BLOCK,
    guests: [],
    hosts: [[host('split', 0, 2)], [host('split', 0, 2)]],
    sometimes: ['tdp.split.commit'],
  },
  {
    id: 'huge-split-unmap',
    title: 'a leaf is split while a page below it is unmapped and freed',
    source: 'R15: what is taken away is found in either form',
    ...HUGE,
    mapped: BLOCK,
    guests: [],
    hosts: [[host('split', 0, 2)], [host('unmap', 0)]],
    sometimes: ['tdp.split.commit', 'tdp.zap.clear-huge'],
  },
];

const merges: readonly Litmus[] = [
  {
    id: 'huge-promote-write',
    title: 'a guest writes through small leaves while a fault puts a huge one in their place',
    source: 'R4, R13; primer/x86.md 1.4, merge',
    ...HUGE,
    mapped: BLOCK,
    guests: [[write(0)]],
    hosts: [[host('split', 0, 2), host('fault', 1)]],
    sometimes: ['tdp.map.promote', ...FLUSH],
  },
  {
    id: 'huge-promote-fault',
    title: 'two faults, one of which puts a huge leaf in the place of a table',
    source: 'R5, R6 under the read lock',
    ...HUGE,
    mapped: BLOCK,
    guests: [],
    hosts: [[host('split', 0, 2), host('fault', 1)], [host('fault', 0)]],
    sometimes: ['tdp.map.promote'],
  },
  {
    id: 'huge-collapse-write',
    title: 'a guest writes through small leaves whose table is removed so that a huge one can come',
    source: 'R4; primer/x86.md 2.6, dirty log stop',
    ...HUGE,
    mapped: BLOCK,
    guests: [[write(0)]],
    hosts: [[host('split', 0, 2), host('collapse', 0, 2)]],
    sometimes: ['tdp.sweep.freeze', ...FLUSH],
  },
  {
    id: 'huge-collapse-fault',
    title: 'a table is removed under the read lock while a fault that walks it installs',
    source: 'R5, I6; primer/x86.md 2.7, removing a table page in read mode',
    ...HUGE,
    mapped: BLOCK,
    guests: [],
    hosts: [[host('split', 0, 2), host('collapse', 0, 2)], [host('fault', 1)]],
    sometimes: ['tdp.sweep.freeze', 'tdp.map.commit'],
  },
  {
    id: 'huge-collapse-unmap',
    title: 'a table is removed under the read lock while a page below it is unmapped and freed',
    source: 'R5, R6',
    ...HUGE,
    mapped: BLOCK,
    guests: [],
    hosts: [[host('split', 0, 2), host('collapse', 0, 2)], [host('unmap', 0)]],
    sometimes: ['tdp.sweep.freeze'],
  },
  {
    id: 'huge-collapse-collapse',
    title: 'two CPUs remove the same table under the read lock, and one of them splits first',
    source: 'R5, I6',
    ...HUGE,
    mapped: BLOCK,
    guests: [],
    hosts: [[host('split', 0, 2), host('collapse', 0, 2)], [host('collapse', 0, 2)]],
    sometimes: ['tdp.collapse.freeze'],
  },
];

/** What goes first is given back with what goes second: its flush must be over by then. */
const twice: readonly Litmus[] = [
  {
    id: 'huge-collapse-twice',
    title: 'a guest writes through small leaves while two tables go so that huge ones can come',
    source: 'R4: a removed table is given back after its flush',
    ...HUGE,
    mapped: { first: 0, end: PAGES },
    guests: [[write(0)]],
    hosts: [[host('split', 0, PAGES), host('collapse', 0, PAGES)]],
    sometimes: ['tdp.collapse.freeze', ...FLUSH],
  },
  {
    id: 'huge-promote-twice',
    title: 'a guest writes through small leaves while two faults put huge ones in their place',
    source: 'R4, with a fault that promotes',
    ...HUGE,
    mapped: { first: 0, end: PAGES },
    guests: [[write(0)]],
    hosts: [[host('split', 0, PAGES), host('fault', 1), host('fault', 3)]],
    sometimes: ['tdp.map.promote', ...FLUSH],
  },
  {
    id: 'huge-collapse-unmap-2',
    title: 'two tables go under the read lock while another thread unmaps below the first',
    source: 'R6: a zap walks tables under the lock, and is no reader of RCU',
    ...HUGE,
    mapped: { first: 0, end: PAGES },
    guests: [],
    hosts: [[host('split', 0, PAGES), host('collapse', 0, PAGES)], [host('unmap', 0)]],
    sometimes: ['tdp.collapse.freeze'],
  },
  {
    id: 'huge-unmap-refault',
    title: 'two faults on a page of a huge one that was given back',
    source: 'mm/huge_memory.c, __split_huge_pmd: a page of a split block is a page like others',
    ...HUGE,
    mapped: BLOCK,
    guests: [],
    hosts: [[host('unmap', 0), host('fault', 0)], [host('fault', 0)]],
    sometimes: ['backing.install-piece'],
  },
];

export const tdpHugeLitmus: readonly Litmus[] = [...maps, ...splits, ...merges, ...twice];
