/**
 * What may meet what in one MMU that a host owns: faults, unmapping, host invalidation, removal of
 * tables and guests. Rows R… are those of primer/x86.md 9.2; page 0 and 1 share a leaf table.
 */
import { awaitRing, halted, host, interrupted, type Litmus, leave, ring, write } from './litmus.ts';

/** What the two ways of flushing call the same deed. */
const KICK = 'flush.kick|kpop.kick.send';
const WAIT = 'flush.wait|kpop.kick.wait';
const FLUSH = 'run.flush|kpop.enter.flush';
/** A virtual interrupt: whoever runs is kicked; it is taken. */
const POST = 'post.kick|policy.post.kick';
const ACCEPT = 'accept.vectors|policy.take';
const UNLINK = 'tdp.remove.freeze|kpop.remove.unlink';

const PAGES = 4;
const ONE = { first: 0, end: 1 };
const TWO = { first: 0, end: 2 };

/** A fault that another CPU's thread resolves, against the unmapping of its page. */
const faults: readonly Litmus[] = [
  {
    id: 'fault-unmap',
    title: 'a fault resolves a page while another CPU unmaps and frees it',
    source: 'R1',
    pages: PAGES,
    mapped: ONE,
    guests: [],
    hosts: [[host('fault', 0)], [host('unmap', 0)]],
    sometimes: ['tdp.map.commit', 'tdp.zap.clear', 'backing.release'],
  },
  {
    id: 'fault-unmap-2',
    title: 'faults on two pages against the unmapping of both',
    source: 'R1, with a range of two pages',
    pages: PAGES,
    mapped: TWO,
    guests: [],
    hosts: [[host('fault', 0, 2)], [host('unmap', 0, 2)]],
    sometimes: ['tdp.map.commit', 'tdp.zap.clear'],
  },
  {
    id: 'fault-invalidate',
    title: 'a fault against a host that takes the entry and keeps the page',
    source: 'R1, invalidation without freeing',
    pages: PAGES,
    mapped: ONE,
    guests: [],
    hosts: [[host('fault', 0)], [host('invalidate', 0)]],
    sometimes: ['tdp.map.commit', 'tdp.zap.clear'],
  },
  {
    id: 'fault-fault',
    title: 'two faults on one page that nobody has mapped, also its table',
    source: 'primer/x86.md 2.2: two vCPUs race by compare-and-swap',
    pages: PAGES,
    guests: [],
    hosts: [[host('fault', 0)], [host('fault', 0)]],
    sometimes: ['tdp.map.link', 'tdp.map.commit'],
  },
];

const removals: readonly Litmus[] = [
  {
    id: 'remove-fault',
    title: 'tables are removed while a fault walks them and installs',
    source: 'R5, R6',
    pages: PAGES,
    mapped: ONE,
    guests: [],
    hosts: [[host('fault', 1)], [host('remove-tables', 0, 2)]],
    sometimes: ['tdp.map.commit', 'tdp.remove.freeze', 'tdp.map.link'],
  },
  {
    id: 'remove-unmap',
    title: 'tables are removed while another CPU unmaps a page below them',
    source: 'R5, R6',
    pages: PAGES,
    mapped: ONE,
    guests: [],
    hosts: [[host('unmap', 0)], [host('remove-tables', 0, 2)]],
    sometimes: [UNLINK],
  },
  {
    id: 'remove-write',
    title: 'tables are removed while a guest writes through them',
    source: 'R4, R6',
    pages: PAGES,
    mapped: ONE,
    guests: [[write(0)]],
    hosts: [[host('remove-tables', 0, 2)]],
    sometimes: [KICK, FLUSH, UNLINK],
  },
  {
    id: 'remove-write-twice',
    title: 'two tables are removed one after the other while a guest writes through the first',
    source: 'R4: the first is given back with the second, after its flush',
    pages: PAGES,
    mapped: { first: 0, end: PAGES },
    guests: [[write(0)]],
    hosts: [[host('remove-tables', 0, 2), host('remove-tables', 2, PAGES)]],
    sometimes: [KICK, UNLINK],
  },
  {
    id: 'remove-remove',
    title: 'two CPUs remove the same tables',
    source: 'R5, I6',
    pages: PAGES,
    mapped: ONE,
    guests: [],
    hosts: [[host('remove-tables', 0, 2)], [host('remove-tables', 0, 2)]],
    sometimes: [UNLINK],
  },
  {
    id: 'remove-remove-fault',
    title: 'two CPUs remove the same tables, and one of them needs new ones',
    source: 'R5, I6: an entry is emptied only by who froze it',
    pages: PAGES,
    mapped: ONE,
    guests: [],
    hosts: [[host('remove-tables', 0, 2)], [host('remove-tables', 0, 2), host('fault', 0)]],
    sometimes: ['tdp.remove.freeze', 'tdp.map.link'],
  },
];

/** A guest that uses a page, against whoever takes it. */
const guests: readonly Litmus[] = [
  {
    id: 'write-unmap',
    title: 'a guest writes to a page while the host unmaps and frees it',
    source: 'R2, I7',
    pages: PAGES,
    mapped: ONE,
    guests: [[write(0)]],
    hosts: [[host('unmap', 0)]],
    sometimes: [KICK, WAIT, FLUSH],
  },
  {
    id: 'write-fault',
    title: 'a guest writes to a page that nobody has mapped while another CPU maps it',
    source: 'primer/x86.md 2.2: faults race by compare-and-swap',
    pages: PAGES,
    guests: [[write(0)]],
    hosts: [[host('fault', 0)]],
    sometimes: ['tdp.map.commit', 'tdp.map.link'],
  },
  {
    id: 'write-leave-unmap',
    title: 'a guest writes, leaves and writes again while the host unmaps and frees the page',
    source: 'R2: the flush at the next entry',
    pages: PAGES,
    mapped: ONE,
    guests: [[write(0), leave, write(0)]],
    hosts: [[host('unmap', 0)]],
    sometimes: [KICK, FLUSH],
  },
  {
    id: 'write-invalidate',
    title: 'a guest writes to a page while the host takes the entry and keeps the page',
    source: 'R1, R2',
    pages: PAGES,
    mapped: ONE,
    guests: [[write(0)]],
    hosts: [[host('invalidate', 0)]],
    sometimes: [KICK, FLUSH],
  },
];

/** Guests that would never leave by themselves, and the end of everything. */
const ends: readonly Litmus[] = [
  {
    id: 'stay-unmap',
    title: 'a guest that stays in guest mode until the unmapping of its page has returned',
    source: 'R2: whoever must be interrupted is',
    pages: PAGES,
    mapped: ONE,
    guests: [[write(0), awaitRing]],
    hosts: [[host('unmap', 0), ring]],
    sometimes: [KICK, WAIT],
  },
  {
    id: 'write-teardown',
    title: 'a guest writes while its VM is torn down',
    source: 'primer/x86.md 2.4, root free; I5',
    pages: PAGES,
    mapped: ONE,
    guests: [[write(0), awaitRing]],
    hosts: [[host('teardown', 0, PAGES)]],
    sometimes: ['stop.kick', 'stop.wait'],
  },
  {
    id: 'stay-unmap-teardown',
    title: 'a guest whose page is unmapped, and whose VM is torn down at once',
    source: 'primer/x86.md 2.5: a request that is set while others are taken is not lost',
    pages: PAGES,
    mapped: ONE,
    guests: [[write(0), awaitRing]],
    hosts: [[host('unmap', 0), host('teardown', 0, PAGES)]],
    sometimes: [KICK, 'stop.wait'],
  },
  {
    id: 'unmap-teardown',
    title: 'a page is unmapped while its VM is torn down',
    source: 'primer/x86.md 2.8: zapping after the notifier completed',
    pages: PAGES,
    mapped: TWO,
    guests: [],
    hosts: [[host('unmap', 0)], [host('teardown', 0, PAGES)]],
    sometimes: ['backing.release|kpop.remove.unlink'],
  },
  {
    id: 'invalidate-teardown',
    title: 'the host takes an entry away while the VM is torn down',
    source: 'primer/x86.md 2.8: zapping after the notifier completed',
    pages: PAGES,
    mapped: TWO,
    guests: [],
    hosts: [[host('invalidate', 0)], [host('teardown', 0, PAGES)]],
    sometimes: ['backing.release'],
  },
  {
    id: 'remove-teardown',
    title: 'tables are removed while their VM is torn down',
    source: 'R5; I5',
    pages: PAGES,
    mapped: TWO,
    guests: [],
    hosts: [[host('remove-tables', 0, 2)], [host('teardown', 0, PAGES)]],
    sometimes: ['tdp.teardown.unlink|kpop.teardown.begin'],
  },
];

/** A virtual interrupt is posted for a vCPU that runs, enters, leaves or waits in HLT. */
const posts: readonly Litmus[] = [
  {
    id: 'post-run',
    title: 'a virtual interrupt is posted for a guest that runs on until it has taken one',
    source: 'primer/x86.md 2.5: request, then mode; mode, then request (kvm_vcpu_kick)',
    pages: PAGES,
    guests: [[interrupted]],
    hosts: [[host('post', 0)]],
    sometimes: [POST, ACCEPT],
  },
  {
    id: 'post-leave',
    title: 'the same for a guest that leaves and enters again meanwhile',
    source: 'primer/x86.md 2.5',
    pages: PAGES,
    guests: [[leave, interrupted]],
    hosts: [[host('post', 0)]],
    sometimes: [POST, ACCEPT],
  },
  {
    id: 'post-halt',
    title: 'a virtual interrupt is posted for a vCPU that waits in HLT, or is about to',
    source: 'arch/x86/kvm/x86.c, vcpu_block (facts)',
    pages: PAGES,
    guests: [[halted]],
    hosts: [[host('post', 0)]],
    sometimes: ['halt.wait|policy.halt', ACCEPT],
  },
];

/** Three CPUs: not exhausted, but to a number of preemptions. */
const three: readonly Litmus[] = [
  {
    id: 'write-write-unmap',
    title: 'two guests write to a page while the host unmaps and frees it',
    source: 'R2 with two CPUs to be interrupted',
    pages: PAGES,
    mapped: ONE,
    guests: [[write(0)], [write(0)]],
    hosts: [[host('unmap', 0)]],
    sometimes: [KICK, FLUSH],
  },
  {
    id: 'write-remove-unmap',
    title: 'a guest writes while one CPU removes tables and another unmaps the page',
    source: 'R4, R5, R6',
    pages: PAGES,
    mapped: ONE,
    guests: [[write(0)]],
    hosts: [[host('remove-tables', 0, 2)], [host('unmap', 0)]],
    sometimes: [UNLINK],
  },
];

/** A zap that lets the lock go on its way, and clearing of accessed bits. */
const others: readonly Litmus[] = [
  {
    id: 'yield-fault',
    title: 'a zap that lets the lock go between two tables, and a fault that waits for it',
    source: 'R22; primer/x86.md 2.4, yielding',
    pages: PAGES,
    mapped: { first: 0, end: PAGES },
    guests: [],
    hosts: [[host('unmap-yield', 0, PAGES)], [host('fault', 0)]],
    sometimes: ['tdp.yield.unlock', 'tdp.zap.clear'],
  },
  {
    id: 'yield-remove',
    title: 'a zap that lets the lock go goes on while tables are removed and given back',
    source: 'R6, R22: after the pause the lock is held again',
    pages: PAGES,
    mapped: { first: 0, end: PAGES },
    guests: [],
    hosts: [
      [host('unmap-yield', 0, PAGES)],
      [host('remove-tables', 2, PAGES), host('remove-tables', 0, 2)],
    ],
    sometimes: ['tdp.yield.unlock', UNLINK],
  },
  {
    id: 'yield-unmap',
    title: 'a guest writes to a page that a yielding zap and another unmap take away at once',
    source: 'R22: who finds an entry empty relies on its flush',
    pages: PAGES,
    mapped: ONE,
    guests: [[write(0)]],
    hosts: [[host('unmap-yield', 0, PAGES)], [host('unmap', 0)]],
    sometimes: ['tdp.zap.clear'],
  },
  {
    id: 'age-write',
    title: 'a guest writes to a page whose accessed bit the host clears',
    source: 'primer/x86.md 2.6, ageing: hardware sets D between the look and the clearing',
    pages: PAGES,
    mapped: ONE,
    guests: [[write(0)]],
    hosts: [[host('age', 0, 2)]],
    sometimes: ['tdp.age.clear'],
  },
  {
    id: 'age-remove',
    title: 'one thread ages pages while another removes their table and needs a new one',
    source: 'R6; primer/x86.md 2.7, ageing under the write lock',
    pages: PAGES,
    mapped: ONE,
    guests: [],
    hosts: [[host('age', 0, 2)], [host('remove-tables', 0, 2), host('fault', 0)]],
    sometimes: ['tdp.age.clear', UNLINK],
  },
];

export const tdpLitmus: readonly Litmus[] = [
  ...faults,
  ...removals,
  ...guests,
  ...ends,
  ...posts,
  ...three,
  ...others,
];
