/**
 * T1-1: how second-stage faults scale with vCPUs, by where the lock is and whether the call is
 * inside it. Counts and times come from runs of equal work; a check stands behind the form without
 * any lock per VM.
 */
import type { Finding } from '../../measure/answer.ts';
import type { Compare, Run } from '../../measure/result.ts';
import type { Ranking } from '../../measure/sensitivity.ts';
import { type Experiment, type Found, holds, largest, rankingOf, runOf } from './experiment.ts';
import { figure, listed, millionsPerSecond, per, sizesOf, tellRanking } from './words.ts';

const DESIGNS = ['tdp', 'tdp:lock=write', 'kpop', 'kpop:lock=vm', 'nested'];
const SCALING = { refault: 'refault, scaling', touch: 'first touch, scaling' };
const PRICED = { refault: 'refault, priced', touch: 'first touch, priced' };
const CHECKED = ['fault against fault', 'fault against invalidation'];
type Work = keyof typeof SCALING;

/** The lock class that its faults wait for longest, with what that costs. */
function lockTold(run: Run): string {
  const costs = run.locks.map((lock) => ({
    ...lock,
    getting: lock.waitCycles + lock.takeCycles,
  }));
  const worst = costs.sort((a, b) => b.getting - a.getting)[0];
  if (worst === undefined || worst.getting === 0) return 'no lock';
  const held = worst.acquisitions === 0 ? 0 : worst.holdCycles / worst.acquisitions;
  return (
    `${worst.name}: ${figure(per(run, worst.getting))} cycles per fault to get, held for ` +
    `${figure(held)}, longest wait ${figure(worst.maxWaitCycles)}`
  );
}

/** Least number of vCPUs from which on more of them bring less than a tenth more faults. */
function ceiling(doc: Compare, design: string): number | undefined {
  const sizes = sizesOf(doc);
  const pace = (vcpus: number): number => runOf(doc, design, vcpus).operationsPerSecond;
  return sizes.find((size, i) => {
    const later = sizes.slice(i + 1);
    return later.length > 0 && later.every((other) => pace(other) < 1.1 * pace(size));
  });
}

function scaling(found: Found, work: Work): Finding {
  const doc = found.compare(SCALING[work]);
  const vcpus = largest(doc);
  const told = DESIGNS.map((design) => {
    const run = runOf(doc, design, vcpus);
    const from = ceiling(doc, design);
    const stops = from === undefined ? 'still rising' : `no more from ${from} vCPUs on`;
    const { vmx, nest } = run.switches;
    const switches = `${figure(per(run, vmx))} vmx, ${figure(per(run, nest))} nest`;
    return (
      `${design} ${millionsPerSecond(run)} faults/s (${stops}; ${switches} per fault; ` +
      `${lockTold(run)})`
    );
  });
  const says = `${work} with ${vcpus} vCPUs: ${told.join('; ')}`;
  return { says, decided: true, rests: [SCALING[work]] };
}

/** kpop beside each of the others, where prices went through their intervals. */
function rankingsOf(found: Found, work: Work): Ranking[] {
  const doc = found.compare(PRICED[work]);
  const vcpus = largest(doc);
  const others = DESIGNS.filter((design) => design !== 'kpop');
  return others.map((other) => {
    const isBefore = DESIGNS.indexOf(other) < DESIGNS.indexOf('kpop');
    return isBefore ? rankingOf(doc, other, 'kpop', vcpus) : rankingOf(doc, 'kpop', other, vcpus);
  });
}

function hungOn({ one, other, turnedBy }: Ranking): string {
  const prices = turnedBy.flatMap((turn) => turn.prices.map(({ name }) => name));
  return `the order of ${one} and ${other} hangs on ${listed([...new Set(prices)])}`;
}

function priced(found: Found, work: Work): Finding {
  const rankings = rankingsOf(found, work);
  const open = rankings.filter(({ decided }) => !decided);
  const says = `${work}: ${[...rankings.map(tellRanking), ...open.map(hungOn)].join('; ')}`;
  return { says, decided: open.length === 0, rests: [PRICED[work]] };
}

function checked(found: Found): Finding {
  const kept = CHECKED.filter((name) => holds(found.check(name)));
  return {
    says:
      `kpop, which takes no lock around its call, keeps its promises in ${kept.length} of ` +
      `${CHECKED.length} programs (${listed(CHECKED)})`,
    decided: kept.length === CHECKED.length,
    rests: CHECKED,
  };
}

function compareOf(work: Work, name: string, quick: boolean, sizes: readonly number[]) {
  const pages = quick ? 16 : 32;
  const workload = `${work}:pages=${pages}`;
  const sensitivity = name === PRICED[work];
  return { kind: 'compare', name, designs: DESIGNS, workload, vcpus: sizes, sensitivity } as const;
}

export const t1x1: Experiment = {
  id: 'T1-1',
  name: 'fault-scaling',
  title: 'how faults scale with vCPUs, by where the lock is',
  question:
    'How do first-touch faults and refaults scale from one vCPU to many, by the lock that they ' +
    'take and by whether the hypercall is inside it?',
  compares: [
    'per-gfn compare-and-swap reservation, the call outside every lock: kpop',
    'the same with one L0 lock per VM: kpop:lock=vm',
    'shadow of L1’s tables under locks of both levels: nested',
    'native TDP MMU, read lock and write lock: tdp, tdp:lock=write',
  ],
  wanted: (quick) => {
    const sizes = quick ? [1, 4, 16] : [1, 4, 16, 64, 256];
    const few = quick ? [8] : [16];
    const works: readonly Work[] = ['refault', 'touch'];
    return [
      ...works.map((work) => compareOf(work, SCALING[work], quick, sizes)),
      ...works.map((work) => compareOf(work, PRICED[work], quick, few)),
      { kind: 'check', name: CHECKED[0]!, design: 'kpop', litmus: 'map-map', memory: 'tso' },
      { kind: 'check', name: CHECKED[1]!, design: 'kpop', litmus: 'map-invalidate', memory: 'tso' },
    ];
  },
  read: (found) => {
    const works: readonly Work[] = ['refault', 'touch'];
    const findings = [
      ...works.map((work) => scaling(found, work)),
      ...works.map((work) => priced(found, work)),
      checked(found),
    ];
    const told = works.map((work) => {
      const doc = found.compare(SCALING[work]);
      const vcpus = largest(doc);
      const each = DESIGNS.map(
        (design) => `${design} ${millionsPerSecond(runOf(doc, design, vcpus))}`,
      );
      return `${work} with ${vcpus} vCPUs: ${listed(each)} faults per second`;
    });
    const stopped = DESIGNS.filter((design) => ceiling(found.compare(SCALING.refault), design));
    const which = stopped.length === 0 ? 'none' : listed(stopped);
    const open = works.flatMap((work) => {
      const undecided = rankingsOf(found, work).filter(({ decided }) => !decided);
      return undecided.map((each) => `on ${work} with ${each.vcpus} vCPUs ${hungOn(each)}`);
    });
    const hung =
      open.length > 0 ? open.join('; ') : 'no price within its interval moves kpop past another';
    return {
      answer: `${told.join('; ')}; on refault more vCPUs bring no more to ${which}; ${hung}.`,
      findings,
    };
  },
  leavesOut: [
    'write mmu_lock with an RB-tree, interval or maple tree and the hypercall inside: pKVM’s form',
    'read lock and XArray: pKVM, which is not built',
    'shared regions: vCPUs touch pages of their own; 2 MiB pages',
    'histograms of lock waits: totals and the longest wait are printed',
    'retries are in the exits per fault and not counted apart',
    'prices go through their intervals at one number of vCPUs only',
  ],
};
