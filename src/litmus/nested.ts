/**
 * L0's shadow of the tables of L1 under any L1: vCPUs of L1 change a table, flush, switch roots or
 * use the page of a table for something else, while L0 fills the shadow for L2 and the host takes
 * pages of L1's. Promises N… and S… are those of primer/x86.md 4.6 and 3.4; in all programs L1's
 * root A leads to one table for pages 0 and 1, and one for 2 and 3.
 */
import {
  ask,
  type GuestStep,
  type HostStep,
  host,
  type Litmus,
  leave,
  read,
  write,
} from './litmus.ts';

const PAGES = 4;
const ONE = { first: 0, end: 1 };

const FILL = 'shadow.fetch.leaf';
/** A trapped store; where leaf tables may go out of step, the first store to one. */
const STORE = 'tracked.store|shadow.unsync.mark';
const REUSE = 'tracked.reuse.lock|shadow.unsync.mark';

interface Rest {
  readonly sometimes: readonly string[];
  /** Nothing is shadowed before: L0 fills while L1 writes. */
  readonly cold?: true;
}

/** L2 on one CPU; on another a vCPU of L1, or the host. */
function against(
  id: string,
  title: string,
  source: string,
  guest: readonly GuestStep[],
  steps: readonly HostStep[],
  { sometimes, cold }: Rest,
): Litmus {
  const program = { id, title, source, pages: PAGES, guests: [guest], hosts: [steps], sometimes };
  return cold === true ? program : { ...program, mapped: ONE };
}

/** An L2, and two others. */
function three(
  id: string,
  title: string,
  source: string,
  pair: readonly [HostStep, HostStep],
  sometimes: readonly string[],
): Litmus {
  const hosts = pair.map((one) => [one]);
  return { id, title, source, pages: PAGES, mapped: ONE, guests: [[write(0)]], hosts, sometimes };
}

const again: readonly GuestStep[] = [write(0), leave, write(0)];

/** L1 changes an entry. */
const entries: readonly Litmus[] = [
  against(
    'fill-move',
    'L0 shadows a table for the first time while L1 moves a page in it',
    'N1, S5: what was read before the table was protected may have changed',
    [write(0)],
    [host('l1.move', 0)],
    { sometimes: [FILL, 'l1.leaf'], cold: true },
  ),
  against(
    'move-flush',
    'L1 moves a page while L2 uses it, and flushes when L2 leaves',
    'N2, S6',
    again,
    [host('l1.move', 0)],
    { sometimes: [STORE, FILL, 'l1.flush'] },
  ),
  against(
    'clear-flush-one',
    'L1 takes a page away and flushes one root',
    'N2: INVEPT of one context',
    [write(0), ask('flush-one'), write(0)],
    [host('l1.clear', 0)],
    { sometimes: [STORE, 'l1.flush-one'] },
  ),
  against(
    'protect-flush',
    'L1 takes away the right to write',
    'N3',
    again,
    [host('l1.protect', 0)],
    { sometimes: [STORE, 'l1.flush'] },
  ),
  against(
    'clean-flush',
    'L1 takes the accessed and dirty bits away',
    'N4: L2 writes to nothing that L1 takes for clean',
    again,
    [host('l1.restore', 0)],
    { sometimes: [STORE, 'nested.walk.mark'] },
  ),
  against(
    'garble-flush',
    'L1 makes an entry that the manual calls misconfigured',
    'primer/x86.md 1.1: misconfiguration is checked first, and is for L1',
    again,
    [host('l1.garble', 0)],
    { sometimes: [STORE, 'l1.flush'] },
  ),
];

/** L1 changes a pointer. */
const pointers: readonly Litmus[] = [
  against(
    'narrow-fill',
    'L1 takes the right to write from a whole table while L0 fills through it',
    'N3: rights of pointers count, also where a read made the leaf',
    [leave, read(0)],
    [host('l1.narrow', 0)],
    { sometimes: ['l1.link', FILL], cold: true },
  ),
  against(
    'narrow-flush',
    'L1 takes the right to write from a whole table',
    'N3: rights of pointers count',
    again,
    [host('l1.narrow', 0)],
    { sometimes: [STORE, 'l1.flush'] },
  ),
  against('unlink-flush', 'L1 unlinks a table', 'N2, S7', again, [host('l1.unlink', 0)], {
    sometimes: [STORE, 'l1.flush'],
  }),
  against(
    'relink-flush',
    'L1 hangs another table in the place of one',
    'N2, S7',
    again,
    [host('l1.relink', 0)],
    { sometimes: [STORE, 'shadow.fetch.link'] },
  ),
  against(
    'garble-link-flush',
    'L1 makes a pointer that the manual calls misconfigured',
    'primer/x86.md 1.1: misconfiguration is checked first, and is for L1',
    again,
    [host('l1.garble-link', 0)],
    { sometimes: [STORE, 'l1.flush'] },
  ),
];

/** L1 uses the page of a table for something else. */
const reuses: readonly Litmus[] = [
  against(
    'zero-table',
    'L1 zeroes a table while L0 fills from it',
    'S4, S7: the shadow page goes',
    [write(0)],
    [host('l1.zero-table', 0)],
    { sometimes: [REUSE, `${FILL}|shadow.unsync.mark`] },
  ),
  against(
    'zero-root',
    'L1 zeroes the root that another CPU runs on',
    'R17, S7: the shadow of a root goes while it is in use',
    [write(0)],
    [host('l1.zero-root', 0)],
    { sometimes: [REUSE, 'tracked.reuse.root'] },
  ),
  against(
    'zero-root-fill',
    'L1 zeroes a root while L0 makes its shadow and fills it',
    'R17, S7',
    [write(0)],
    [host('l1.zero-root', 0)],
    { sometimes: ['l1.zero', FILL], cold: true },
  ),
  against(
    'recycle-table',
    'L1 unlinks a table, flushes its own CPU, zeroes the page and makes a new table of it',
    'N1, S7: entries of the old table live until the other CPU has flushed',
    [write(0)],
    [host('l1.recycle', 0)],
    { sometimes: [REUSE, FILL] },
  ),
];

/** L2's CPU gets another root. */
const roots: readonly Litmus[] = [
  against(
    'root-b-move',
    'L1 moves a page that both roots share no table for, and goes to the other root and back',
    'N2: what is cached under a root outlives a stay under another',
    [write(0), ask('root-b'), ask('flush'), ask('root-a'), write(0)],
    [host('l1.move', 0)],
    { sometimes: [STORE, 'l1.set-root'] },
  ),
  against(
    'root-flags',
    'the same root with other flags beside it',
    'R9: roots are told apart by their frame alone',
    [write(0), ask('root-a-other-flags'), ask('flush'), write(0)],
    [host('l1.clear', 0)],
    { sometimes: [STORE, 'l1.set-root'] },
  ),
  against(
    'root-nowhere',
    'a root that is not in the memory of L1',
    'Intel SDM vol. 3, 27.2: refused at VM entry',
    [ask('root-nowhere'), write(0)],
    [host('invalidate', 0)],
    { sometimes: ['l1.set-root'] },
  ),
  against(
    'shared-narrow',
    'L1 takes the right to write from one of the two pointers to a table',
    'N3: rights are those of the way taken',
    [write(2), ask('root-b'), write(2), ask('flush'), ask('root-a'), read(2)],
    [host('l1.narrow', 2)],
    { sometimes: ['l1.set-root', STORE] },
  ),
  against(
    'shared-zero-table',
    'L1 zeroes a table that hangs under two roots',
    'S1, S7: both pointers go',
    [write(2), ask('root-b'), write(2)],
    [host('l1.zero-table', 2)],
    { sometimes: ['l1.set-root', REUSE] },
  ),
  against(
    'root-b-zero-root',
    'L1 zeroes a root that another CPU has left and comes back to',
    'R17, S7',
    [ask('root-b'), ask('root-a'), write(0)],
    [host('l1.zero-root', 0)],
    { sometimes: ['l1.set-root', REUSE] },
  ),
];

/** The host takes the pages that are tables of L1's, or those of L0 that map them. */
const taken: readonly Litmus[] = [
  against(
    'fill-invalidate-tables',
    'the host takes the tables of L1 while L0 walks them',
    'R1, N1: the entries it read are nobody’s',
    [write(0)],
    [host('invalidate-tables', 0)],
    { sometimes: ['mmu.invalidate-begin', FILL], cold: true },
  ),
  against(
    'write-invalidate-tables',
    'the host takes the tables of L1 while L2 uses what they map',
    'R1, S5',
    again,
    [host('invalidate-tables', 0)],
    { sometimes: ['mmu.invalidate-begin'] },
  ),
  three(
    'clear-invalidate-tables',
    'L1 stores to a table while the host takes its page',
    'R1: L0 performs the store, and the page may be gone',
    [host('l1.clear', 0), host('invalidate-tables', 0)],
    [STORE, 'mmu.invalidate-begin'],
  ),
  three(
    'zero-table-invalidate-tables',
    'L1 zeroes a table while the host takes its page',
    'R1, S7',
    [host('l1.zero-table', 0), host('invalidate-tables', 0)],
    [REUSE, 'mmu.invalidate-begin'],
  ),
  three(
    'zero-root-clear',
    'L1 zeroes a root on one CPU and stores to a table below it on another',
    'S1, S7',
    [host('l1.zero-root', 0), host('l1.clear', 0)],
    [REUSE, STORE],
  ),
  against(
    'write-remove-l1-tables',
    'the host removes what maps the memory of L1 while L0 fills for L2',
    'R5, R6, S5: what protects a table goes with the entry',
    [write(0)],
    [host('remove-l1-tables', 0)],
    { sometimes: ['tdp.remove.freeze'], cold: true },
  ),
  three(
    'clear-remove-l1-tables',
    'L1 stores to a table while the host removes what maps the memory of L1',
    'R5, S5: a new entry for a table must not be writable',
    [host('l1.clear', 0), host('remove-l1-tables', 0)],
    [STORE, 'tdp.remove.freeze'],
  ),
];

/** The VM of L1 goes while L2, L1 and the host are in the middle of something. */
const endings: readonly Litmus[] = [
  {
    ...against(
      'fill-teardown',
      'L2 faults while the VM of L1 is torn down',
      'primer/x86.md 2.4, root free; S7: what is being filled is not taken apart',
      [write(0)],
      [host('teardown', 0, PAGES)],
      { sometimes: [FILL, 'stop.wait'], cold: true },
    ),
    needs: ['l1.move'], // a shadow to fill
  },
  {
    id: 'remove-l1-teardown',
    title: 'tables of EPT01 are removed while the VM of L1 is torn down',
    source: 'R5; I5',
    pages: PAGES,
    guests: [],
    hosts: [[host('remove-l1-tables', 0)], [host('teardown', 0, PAGES)]],
    sometimes: ['tdp.remove.freeze', 'tdp.teardown.unlink'],
  },
  three(
    'write-invalidate-teardown',
    'the host takes an entry away while the VM of the guest that uses it is torn down',
    'S1; primer/x86.md 2.8: zapping after the notifier completed',
    [host('invalidate', 0), host('teardown', 0, PAGES)],
    ['stop.wait'],
  ),
  three(
    'write-remove-l1-teardown',
    'tables of EPT01 are removed while L2 runs and the VM is torn down',
    'R5; I5',
    [host('remove-l1-tables', 0), host('teardown', 0, PAGES)],
    ['tdp.remove.freeze', 'tdp.teardown.unlink'],
  ),
  three(
    'clear-teardown',
    'L1 stores to a table while its VM is torn down',
    'S7: L0 performs the store, or the vCPU ends',
    [host('l1.clear', 0), host('teardown', 0, PAGES)],
    [STORE, 'stop.wait'],
  ),
  three(
    'zero-table-teardown',
    'L1 uses the page of a table for something else while its VM is torn down',
    'S7: the shadow page goes once',
    [host('l1.zero-table', 0), host('teardown', 0, PAGES)],
    [REUSE, 'stop.wait'],
  ),
];

export const nestedLitmus: readonly Litmus[] = [
  ...entries,
  ...pointers,
  ...reuses,
  ...roots,
  ...taken,
  ...endings,
];
