/**
 * KPOP's whole stack: L2 guests under the product's L1, on the product's L0. `l1.invalidate` is
 * another vCPU of L1 that takes pages from L2; `host.take` and `host.zap` are L0 taking the L1
 * pages behind L2's, with and without freeing them.
 */
import {
  ask,
  awaitRing,
  type GuestStep,
  type HostStep,
  host,
  type Litmus,
  leave,
  ring,
  write,
} from './litmus.ts';

const PAGES = 4;
const ONE = { first: 0, end: 1 };
/** Everybody reaches these when a page that L2 uses is taken. */
const KICK = 'kpop.kick.send';
const FLUSH = 'kpop.enter.flush';

const invalidate = host('l1.invalidate', 0);
const take = host('host.take', 0);

/** A page that nobody has mapped: L2 faults, L1 resolves, L0 installs. */
function fault(
  id: string,
  title: string,
  source: string,
  operation: HostStep,
  sometimes: readonly string[],
): Litmus {
  const guests = [[write(0)]];
  return { id, title, source, pages: PAGES, guests, hosts: [[operation]], sometimes };
}

/** A page that all levels map. */
function mapped(
  id: string,
  title: string,
  source: string,
  guest: readonly GuestStep[],
  operations: readonly HostStep[],
  sometimes: readonly string[],
): Litmus {
  const who = { guests: [guest], hosts: [operations] };
  return { id, title, source, pages: PAGES, mapped: ONE, ...who, sometimes };
}

const two: readonly Litmus[] = [
  fault(
    'stack-fault-invalidate',
    'a fault of L2 is resolved while another vCPU of L1 invalidates the page',
    'primer/x86.md 6.6, F1-F7 against V1-V6, over the real L0',
    invalidate,
    ['l1.withdraw.pending', 'l1.scan.take', 'kpop.map.hardware'],
  ),
  fault(
    'stack-fault-take',
    'a fault of L2 is resolved while the host takes the L1 page that it is given',
    'R1, M4 against N1, with EPT01',
    take,
    ['kpop.map.hardware', 'tdp.zap.clear'],
  ),
  mapped(
    'stack-write-invalidate',
    'L2 writes to a page while another vCPU of L1 invalidates it',
    'R2, K8; primer/x86.md 6.6, V1-V6',
    [write(0)],
    [invalidate],
    [KICK, 'l1.fault.barrier'],
  ),
  mapped(
    'stack-write-take',
    'L2 writes to a page while the host takes and frees the L1 page behind it',
    'R2, K7, with EPT01',
    [write(0)],
    [take],
    [KICK, 'flush.kick', 'backing.release'],
  ),
  mapped(
    'stack-write-zap',
    'L2 writes to a page while the host takes the entries of the L1 page behind it',
    'R2, K7, invalidation without freeing',
    [write(0)],
    [host('host.zap', 0)],
    [KICK, 'tdp.zap.clear'],
  ),
  mapped(
    'stack-leave-invalidate',
    'L2 writes, leaves for L1 and writes again while another vCPU of L1 invalidates the page',
    'R2, R16: the flush at the next entry',
    [write(0), leave, write(0)],
    [invalidate],
    [FLUSH],
  ),
  mapped(
    'stack-stay-invalidate',
    'L2 stays in guest mode until another vCPU of L1 has invalidated its page',
    'R2, K7',
    [write(0), awaitRing],
    [invalidate, ring],
    [KICK, FLUSH],
  ),
  mapped(
    'stack-fault-remove',
    'L2 faults below a table page that an invalidation of L1 makes L0 remove',
    'R5, K12',
    [write(1)],
    [host('l1.invalidate', 0, 2)],
    ['kpop.remove.unlink', 'kpop.link.hardware'],
  ),
  mapped(
    'stack-ask-take',
    'L1 takes a page from its L2 and gives the same back, while the host takes the L1 page',
    'R1 in EPT01: the L1 page is cleared by L1 while the host takes it',
    [ask('invalidate-0'), write(0)],
    [take],
    ['tdp.map.commit', KICK],
  ),
  {
    id: 'stack-fault-fault',
    title: 'two vCPUs of L2 fault on one page that nobody has mapped',
    source: 'primer/x86.md 6.6, F4: one reservation, the other vCPU lets L2 try again',
    pages: PAGES,
    guests: [[write(0)], [write(0)]],
    hosts: [],
    needs: [invalidate.do],
    sometimes: ['kpop.link.hardware', 'l1.settle.valid'],
  },
];

/** Three CPUs: to a number of preemptions. */
const three: readonly Litmus[] = [
  {
    id: 'stack-write-invalidate-take',
    title: 'L2 writes to a page while L1 invalidates it and the host takes the L1 page',
    source: 'R12, K14 across the levels',
    pages: PAGES,
    mapped: ONE,
    guests: [[write(0)]],
    hosts: [[invalidate], [take]],
    sometimes: [KICK, 'backing.release'],
  },
  {
    id: 'stack-write-invalidate-invalidate',
    title: 'L2 writes to a page while two vCPUs of L1 invalidate it',
    source: 'R12, K14; primer/x86.md 6.6, V3-V5',
    pages: PAGES,
    mapped: ONE,
    guests: [[write(0)]],
    hosts: [[invalidate], [invalidate]],
    sometimes: [KICK],
  },
  {
    id: 'stack-faults-invalidate',
    title: 'two vCPUs of L2 fault on one page while a third of L1 invalidates it',
    source: 'primer/x86.md 6.6: only who made a reservation settles it',
    pages: PAGES,
    guests: [[write(0)], [write(0)]],
    hosts: [[invalidate]],
    sometimes: ['l1.withdraw.pending', 'l1.scan.take'],
  },
];

export const stackLitmus: readonly Litmus[] = [...two, ...three];
