/**
 * A guest with page tables of its own on a host that shadows them: its kernel changes entries on
 * one vCPU while another uses the page, faults or flushes, and the host takes pages or all shadow
 * pages away. Rows R… are those of primer/x86.md 9.2, S… the invariants of its 3.4. Page 0 and 1
 * share a leaf table.
 */
import { ask, type GuestStep, type HostStep, host, type Litmus, read, write } from './litmus.ts';

const PAGES = 4;
const ONE = { first: 0, end: 1 };

/** A table goes out of step, or is written to by emulation where none may. */
const UNSYNC = 'shadow.unsync.mark|shadow.write.store';
const SYNC = 'shadow.sync.clear|shadow.root.flush';
const EMULATED = 'shadow.write.store';

function guests(
  id: string,
  title: string,
  source: string,
  programs: readonly (readonly GuestStep[])[],
  sometimes: readonly string[],
  rest: { readonly hosts?: readonly HostStep[]; readonly mapped?: Litmus['mapped'] } = {},
): Litmus {
  const { hosts, mapped = ONE } = rest;
  return {
    id,
    title,
    source,
    pages: PAGES,
    mapped,
    guests: programs,
    hosts: hosts === undefined ? [] : [hosts],
    needs: ['ask:invlpg'], // guests with a kernel of their own
    sometimes,
  };
}

/** Against a vCPU of the guest that writes to an entry of a leaf table. */
const entries: readonly Litmus[] = [
  guests(
    'pte-move-fault',
    'a kernel moves a page while another vCPU faults on it',
    'primer/x86.md 3.2: the guest’s entry is read again under the lock; S2',
    [[write(0)], [ask('move')]],
    [UNSYNC],
    { mapped: { first: 2, end: 3 } },
  ),
  guests(
    'pte-clear-write',
    'a kernel takes an entry away while another vCPU writes to the page, and flushes nothing',
    'S6: what is cached may be used until the guest flushes',
    [[write(0)], [ask('clear')]],
    [UNSYNC],
  ),
  guests(
    'pte-move-flush',
    'a kernel moves a page while another vCPU uses it, loads CR3 and uses it again',
    'R8: the flag before the right to write; primer/x86.md 3.3',
    [[write(0), ask('flush'), write(0)], [ask('move')]],
    [UNSYNC, SYNC],
  ),
  guests(
    'pte-move-invlpg',
    'a kernel moves a page while another vCPU drops it by INVLPG and uses it again',
    'R8; primer/x86.md 3.2, INVLPG: one entry is synced, the page stays out of step',
    [[write(0), ask('invlpg'), write(0)], [ask('move')]],
    [UNSYNC, 'shadow.invlpg.lock'],
  ),
  guests(
    'pte-protect-flush',
    'a kernel takes the right to write away while another vCPU writes, flushes and writes',
    'S2, S6: a sync narrows an entry; hardware may set D meanwhile',
    [[write(0), ask('flush'), write(0)], [ask('protect')]],
    [UNSYNC, SYNC],
  ),
  guests(
    'pte-move-move',
    'two vCPUs change entries of one table, and each flushes',
    'primer/x86.md 3.3: making a table unsynced against syncing a root',
    [
      [ask('move'), ask('flush'), write(0)],
      [ask('clear'), ask('flush')],
    ],
    [UNSYNC, SYNC],
  ),
];

/** Against a vCPU that writes to an entry of the root: emulated. */
const links: readonly Litmus[] = [
  guests(
    'link-clear-flush',
    'a kernel takes a whole table away while another vCPU uses a page below it and flushes',
    'primer/x86.md 3.2, write to an upper-level table; S6',
    [[write(0), ask('flush'), write(0)], [ask('unlink')]],
    [EMULATED],
  ),
  guests(
    'link-clear-fault',
    'a kernel takes a whole table away while another vCPU faults below it',
    'primer/x86.md 3.2: entries are read again under the lock; S1, S2',
    [[write(0)], [ask('unlink')]],
    [EMULATED],
    { mapped: { first: 3, end: 4 } },
  ),
  guests(
    'link-flood-write',
    'a kernel writes to an upper table three times while another vCPU runs below it',
    'primer/x86.md 3.2, flooding: the root’s shadow page goes while it is in use; S7',
    [[write(0)], [ask('unlink'), ask('relink'), ask('unlink')]],
    [EMULATED, 'shadow.zap.reload'],
  ),
];

/** Against threads of the host. */
const takings: readonly Litmus[] = [
  guests(
    'shadow-fault-unmap',
    'a vCPU faults on a page while the host takes it away',
    'R1 with shadow paging',
    [[write(0)]],
    ['shadow.leaf.set', 'backing.release'],
    { hosts: [host('unmap', 0)], mapped: { first: 2, end: 3 } },
  ),
  guests(
    'zap-fast-write',
    'the host lets all shadow pages go at once while a vCPU uses them',
    'primer/x86.md 2.4, fast zap; kvm_mmu_zap_all_fast; S7',
    [[write(0)]],
    ['shadow.zap-fast.reload', 'shadow.obsolete.lock'],
    { hosts: [host('zap-all-fast', 0)] },
  ),
  guests(
    'zap-fast-flush',
    'the host lets all shadow pages go while a vCPU flushes and faults',
    'kvm_mmu_zap_all_fast against kvm_mmu_load; S3, S7',
    [[write(0), ask('flush'), write(0)]],
    ['shadow.zap-fast.reload', 'shadow.obsolete.lock'],
    { hosts: [host('zap-all-fast', 0)] },
  ),
  guests(
    'zap-fast-pte',
    'the host lets all shadow pages go while a kernel writes to a table out of step',
    'S3, S4: an SP that is out of step goes with its marks',
    [[ask('move'), ask('flush'), write(0)]],
    ['shadow.zap-fast.reload', UNSYNC],
    { hosts: [host('zap-all-fast', 0)] },
  ),
  guests(
    'root-switch-pte',
    'a vCPU goes to another root and back while a kernel moves its page',
    'S6: what is cached under one root is not used under another; kvm_mmu_sync_prev_roots',
    [[write(0), ask('root-b'), ask('root-a'), read(0)], [ask('move')]],
    [UNSYNC, 'shadow.root.lock'],
  ),
];

export const shadowLitmus: readonly Litmus[] = [...entries, ...links, ...takings];
