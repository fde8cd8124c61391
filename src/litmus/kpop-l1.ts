/**
 * KPOP's L1: vCPUs of L1 that let L2 access a page, whatever that takes, against invalidations of
 * L1's own memory management. F1-F7 and V1-V6 are the steps of primer/x86.md 6.6.
 */
import { type HostStep, host, type Litmus } from './litmus.ts';

const PAGES = 4;
const ONE = { first: 0, end: 1 };

/** Threads of L1, each on a CPU of its own. */
function vcpus(
  id: string,
  title: string,
  source: string,
  hosts: readonly (readonly HostStep[])[],
  rest: Pick<Litmus, 'sometimes' | 'mapped'> = {},
): Litmus {
  return { id, title, source, pages: PAGES, guests: [], hosts, ...rest };
}

const two: readonly Litmus[] = [
  vcpus(
    'touch-touch',
    'two vCPUs fault on one page: one reserves its slot, the other tries again',
    'F4, F7',
    [[host('touch', 0)], [host('touch', 0)]],
    { sometimes: ['l1.settle.valid'] },
  ),
  vcpus(
    'touch-invalidate',
    'a fault resolves a page that an invalidation takes',
    'R3: F4 and F5 against V2 and V3',
    [[host('touch', 0)], [host('drop', 0)]],
    { sometimes: ['l1.settle.valid', 'l1.scan.take', 'l1.withdraw.pending'] },
  ),
  vcpus(
    'touch-neighbour',
    'a fault on a page whose neighbour an invalidation takes',
    'F2: the range in progress, not every range',
    [[host('touch', 1)], [host('drop', 0)]],
    { mapped: ONE, sometimes: ['l1.settle.valid', 'l1.scan.take', 'l1.fault.hull-lock'] },
  ),
  vcpus(
    'drop-then-touch',
    'a page that was taken is accessed again, while its neighbour is taken',
    'F2, V6: an invalidation that is over keeps nobody out',
    [[host('drop', 0), host('touch', 0)], [host('drop', 1)]],
    { mapped: ONE, sometimes: ['host.touched'] },
  ),
  vcpus(
    'drop-drop',
    'two invalidations of one page: the second must not free it while the first still unmaps',
    'V3-V5, K14 one level up',
    [[host('drop', 0)], [host('drop', 0)]],
    { mapped: ONE, sometimes: ['l1.scan.take'] },
  ),
  vcpus(
    'drop-touch-drop',
    'two vCPUs take a page and access it, in different orders',
    'F1-F7 against V1-V6',
    [
      [host('drop', 0), host('touch', 0)],
      [host('touch', 0), host('drop', 0)],
    ],
    { mapped: ONE, sometimes: ['l1.settle.valid', 'l1.scan.take'] },
  ),
];

/** A log of writes by write protection. */
const logs: readonly Litmus[] = [
  vcpus(
    'touch-collect',
    'L2 writes to a page while the log of writes protects it, and again',
    'R7 one level up: whoever lets L2 write says so in the book first',
    [[host('touch', 0), host('touch', 0)], [host('collect', 0)]],
    { mapped: ONE, sometimes: ['l1.collect.take', 'l1.allow.reserve'] },
  ),
  vcpus(
    'collect-drop-touch',
    'the log protects a page that an invalidation takes and L2 gets anew',
    'V3 against a PROTECT that is under way',
    [[host('collect', 0)], [host('drop', 0), host('touch', 0)]],
    { mapped: ONE, sometimes: ['l1.collect.take', 'l1.scan.take'] },
  ),
  vcpus(
    'collect-touch-collect',
    'a write is allowed again while another log protects the page',
    'R11 for rights: the fence, one level up',
    [[host('collect', 0), host('touch', 0)], [host('collect', 0)]],
    { mapped: ONE, sometimes: ['l1.allow.reserve'] },
  ),
];

const three: readonly Litmus[] = [
  vcpus(
    'touch-drop-neighbour',
    'a fault on a page that one invalidation takes, while another takes its neighbour',
    'F2, V1: the range in progress covers both',
    [[host('touch', 0)], [host('drop', 0)], [host('drop', 1)]],
    { mapped: ONE, sometimes: ['l1.settle.valid', 'l1.scan.take'] },
  ),
  vcpus(
    'touch-drop-drop',
    'a fault on a page that two invalidations take',
    'F1-F7 against V1-V6, twice',
    [[host('touch', 0)], [host('drop', 0)], [host('drop', 0)]],
    { mapped: ONE, sometimes: ['l1.settle.valid', 'l1.scan.take'] },
  ),
];

export const kpopL1Litmus: readonly Litmus[] = [...two, ...logs, ...three];
