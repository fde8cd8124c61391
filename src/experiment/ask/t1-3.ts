/**
 * T1-3: which of the locks around the paging contract does correctness require? Every cell of the
 * lock axis is checked as it is; then the machine lets two take each lock of the real code at once,
 * and the shortest counterexample says what it was for.
 */
import type { Finding } from '../../measure/answer.ts';
import { breaks, type Experiment, type Found, holds, type WantedCheck } from './experiment.ts';
import { listed } from './words.ts';

const CELLS = ['kpop', 'kpop:lock=vm', 'kpop:lock=global'];
/** Map against unmap, moves, and the whole of an L2 access with its invalidation. */
const PROGRAMS = ['map-unmap', 'map-move', 'unmap-unmap', 'teardown-map'];
const WHOLE = 'write-unmap';

interface Lock {
  readonly design: string;
  readonly label: string;
  readonly litmus: string;
  /** A bit of a word that says something else, too, cannot just be left out. */
  readonly how: 'drop' | 'blind' | 'split';
  /** What it is, in words. */
  readonly is: string;
}

const LOCKS: readonly Lock[] = [
  {
    design: 'kpop',
    label: 'kpop.entry.locked',
    litmus: 'protect-allow',
    how: 'blind',
    is: 'bit of an entry',
  },
  {
    design: 'kpop',
    label: 'kpop.rmap.locked',
    litmus: 'unmap-invalidate-pair',
    how: 'split',
    is: 'bit of a list',
  },
  {
    design: 'tdp',
    label: 'tdp.fault.lock',
    litmus: 'fault-unmap',
    how: 'drop',
    is: 'mmu_lock, read, fault',
  },
  {
    design: 'tdp',
    label: 'tdp.unmap.lock',
    litmus: 'invalidate-teardown',
    how: 'drop',
    is: 'mmu_lock, write, invalidation',
  },
  {
    design: 'tdp',
    label: 'tdp.teardown.lock',
    litmus: 'invalidate-teardown',
    how: 'drop',
    is: 'mmu_lock, write, teardown',
  },
];

function cellName(design: string, litmus: string): string {
  return `${design} as it is: ${litmus}`;
}

function lockName({ design, label }: Lock): string {
  return `${design} without ${label}`;
}

function programsOf(design: string): string[] {
  return design === CELLS[0] ? [...PROGRAMS, WHOLE] : PROGRAMS;
}

function cells(found: Found): Finding {
  const names = CELLS.map((design) => programsOf(design).map((litmus) => cellName(design, litmus)));
  const kept = CELLS.filter((_, i) => names[i]!.every((name) => holds(found.check(name))));
  return {
    says: `every promise holds, all interleavings of two CPUs, with ${listed(kept)}`,
    decided: kept.length === CELLS.length,
    rests: names.flat(),
  };
}

function dropped(found: Found): Finding {
  const told = LOCKS.map((lock) => {
    const result = found.check(lockName(lock));
    return breaks(result)
      ? `${lock.label} (${lock.is}): ${result.promise} after ${result.length} moves`
      : `${lock.label} (${lock.is}): not shown`;
  });
  const isShown = LOCKS.every((lock) => breaks(found.check(lockName(lock))));
  const rests = LOCKS.map(lockName);
  return {
    says: `held by nobody alone, each breaks a promise: ${told.join('; ')}`,
    decided: isShown,
    rests,
  };
}

export const t1x3: Experiment = {
  id: 'T1-3',
  name: 'which-lock-is-needed',
  title: 'which lock does correctness require',
  question:
    'Of the locks of the host, of the VM in L0 and of L0 as a whole, which does correctness ' +
    'require?',
  compares: [
    'L0 lock per leaf (compare-and-swap): kpop',
    'one L0 lock per VM: kpop:lock=vm',
    'one L0 lock for all: kpop:lock=global',
    'native TDP MMU, read and write lock: tdp',
  ],
  wanted: (quick) => {
    const plain = CELLS.flatMap((design) =>
      programsOf(design).map((litmus): WantedCheck => {
        const memory = quick ? 'sc' : 'tso';
        return { kind: 'check', name: cellName(design, litmus), design, litmus, memory };
      }),
    );
    const without = LOCKS.map((lock): WantedCheck => {
      const { design, label, litmus, how } = lock;
      const weaken = { label, how };
      return { kind: 'check', name: lockName(lock), design, litmus, memory: 'sc', weaken };
    });
    return [...plain, ...without];
  },
  read: (found) => {
    const findings = [cells(found), dropped(found)];
    const [held, shown] = findings as [Finding, Finding];
    const coarse = held.decided
      ? 'Correctness requires neither a lock per VM nor a global one: with a bit per entry and a ' +
        `bit per reverse-map list kpop keeps every promise in ${programsOf(CELLS[0]!).length} ` +
        'programs'
      : 'Not every cell of the lock axis keeps its promises';
    const needed = LOCKS.filter((lock) => breaks(found.check(lockName(lock))));
    const fine = shown.decided
      ? `it requires those two bits, and under tdp each of the three kinds of mmu_lock, for ` +
        `without any of them a promise breaks within ` +
        `${Math.max(...needed.map((lock) => found.check(lockName(lock)).length))} moves`
      : `shown to be needed: ${listed(needed.map(({ label }) => label)) || 'none'}`;
    return { answer: `${coarse}; ${fine}.`, findings };
  },
  leavesOut: [
    'the host-side lock of pKVM and its global locks: pkvm-arm and pkvm-x86 are not built',
    'two VMs: one VM cannot tell a global lock from its own',
    'share, donate and reclaim between VMs: there is no ownership yet',
    'unmap-end.lock of tdp is not in the list: nothing breaks without it (kpop check tdp --guards)',
    'linearisability against a sequential specification is a test (docs/oracles.md), no part of ' +
      'these checks',
    'programs of two CPUs on a few pages; kpop check kpop runs all that there are',
  ],
};
