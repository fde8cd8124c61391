/**
 * Huge pages that are not executable: pages 0 and 1 are one. Threads of the host resolve fetches
 * and data faults as the exit handlers of guests would, and the worker makes pages huge again.
 */
import { host, type Litmus, write } from './litmus.ts';

const PAGES = 4;
const HUGE = { pages: PAGES, hostPages: '2m' } as const;
const BLOCK = { first: 0, end: 2 };
const TRACKED = 'nx.track.lock';
const UNLINKED = 'nx.recover.unlink';
const recover = host('nx-recover', 0);

export const tdpNxLitmus: readonly Litmus[] = [
  {
    id: 'nx-execute-execute',
    title: 'two fetches from the two halves of a huge page',
    source: 'primer/x86.md 2.6, NX huge page mitigation',
    ...HUGE,
    mapped: BLOCK,
    guests: [],
    hosts: [[host('fault-execute', 0)], [host('fault-execute', 1)]],
    sometimes: [TRACKED],
  },
  {
    id: 'nx-execute-fault',
    title: 'a fetch from one half of a huge page that nobody has mapped, and a write to the other',
    source: 'primer/x86.md 2.8, livelock: recovery against fetches',
    ...HUGE,
    guests: [],
    hosts: [[host('fault-execute', 0)], [host('fault', 1)]],
    sometimes: [TRACKED, 'tdp.map.commit'],
  },
  {
    id: 'nx-execute-write',
    title: 'a guest writes to a huge page while a fetch splits it',
    source: 'R14',
    ...HUGE,
    mapped: BLOCK,
    guests: [[write(0)]],
    hosts: [[host('fault-execute', 1)]],
    sometimes: [TRACKED],
  },
  {
    id: 'nx-recover-write',
    title: 'a guest writes through small leaves that the worker takes away',
    source: 'R13; primer/x86.md 2.6',
    ...HUGE,
    mapped: BLOCK,
    guests: [[write(0)]],
    hosts: [[host('fault-execute', 0), recover]],
    sometimes: [UNLINKED],
  },
  {
    id: 'nx-recover-free',
    title: 'the same, and the table is given back while its worker has frames enough',
    source: 'R4; primer/x86.md 2.6',
    ...HUGE,
    mapped: BLOCK,
    guests: [[write(0)]],
    hosts: [[host('fault-execute', 0), host('fault', 2), recover, host('fault', 1)]],
    sometimes: [UNLINKED],
  },
  {
    id: 'nx-recover-execute',
    title: 'the worker takes small leaves away while a fetch installs another one beside them',
    source: 'R5; primer/x86.md 2.8, livelock: recovery against fetches',
    ...HUGE,
    guests: [],
    hosts: [[host('fault-execute', 0), recover], [host('fault-execute', 1)]],
    sometimes: [UNLINKED, TRACKED],
  },
  {
    id: 'nx-recover-remove',
    title: 'the worker and another thread remove the same table',
    source: 'R5, I6; a table is taken off the list by who unlinks it',
    ...HUGE,
    mapped: BLOCK,
    guests: [],
    hosts: [[host('fault-execute', 0), recover], [host('remove-tables', 0, 2)]],
    sometimes: [UNLINKED, 'nx.untrack.lock'],
  },
  {
    id: 'nx-collapse-execute',
    title: 'a table is removed under the read lock while a fetch makes it and lists it',
    source: 'R5; primer/x86.md 2.6: it is linked before it is listed',
    ...HUGE,
    mapped: BLOCK,
    guests: [],
    hosts: [[host('fault-execute', 0)], [host('collapse', 0, 2)]],
    sometimes: [TRACKED],
    needs: ['nx-recover'],
  },
  {
    id: 'nx-execute-lost',
    title:
      'a fetch loses the race to split a page, and its table serves pages that are small anyway',
    source: 'Linux 6.12, nx_huge_page_disallowed (facts)',
    ...HUGE,
    mapped: BLOCK,
    guests: [],
    hosts: [
      [
        host('fault-execute', 0),
        host('unmap', 0),
        host('remove-tables', 0, 2),
        host('fault-execute', 1),
      ],
      [host('fault-execute', 1)],
    ],
    needs: ['nx-recover'],
    sometimes: [TRACKED],
  },
];
