/**
 * T1-5: must L1 ask for flushes, or can every change be visible when its call returns; and how
 * weak may the contract be? A weaker contract is the real code with the act that provides the
 * stronger one taken away by the machine.
 */
import type { Finding } from '../../measure/answer.ts';
import type { Compare } from '../../measure/result.ts';
import {
  breaks,
  type Experiment,
  type Found,
  holds,
  largest,
  rankingOf,
  runOf,
} from './experiment.ts';
import { figure, listed, per, tellRanking } from './words.ts';

const UNMAP = 'unmap';
/** Contracts by what is left of them. */
const HOLDS = ['visible at return: write-unmap', 'visible at return: stay-unmap'];
const LATER = 'visible at the next L2 entry';
const NEVER = 'never flushed';
const OWNER = 'the owner in L0 does not wait';

/** Flushes that L1 asked for: its INVEPT and INVVPID, which exit. */
function asked(doc: Compare, design: string, vcpus: number): number {
  const run = runOf(doc, design, vcpus);
  const rows = run.exitsByReason.filter(({ reason }) => /^INV(EPT|VPID)$/.test(reason));
  return per(
    run,
    rows.reduce((sum, { count }) => sum + count, 0),
  );
}

function counts(found: Found): Finding {
  const doc = found.compare(UNMAP);
  const vcpus = largest(doc);
  const each = ['nested', 'kpop', 'tdp'].map((design) => {
    const run = runOf(doc, design, vcpus);
    const { flushes, ipis, hypercalls } = run.counts;
    return (
      `${design} asks for ${figure(asked(doc, design, vcpus))}, executes ` +
      `${figure(per(run, flushes))} and sends ${figure(per(run, ipis))} interrupts, with ` +
      `${figure(per(run, hypercalls))} calls`
    );
  });
  const says = `flushes per unmapped range with ${vcpus} vCPUs: ${each.join('; ')}`;
  return { says, decided: asked(doc, 'kpop', vcpus) === 0, rests: [UNMAP] };
}

function cost(found: Found): Finding {
  const doc = found.compare(UNMAP);
  const ranking = rankingOf(doc, 'nested', 'kpop', largest(doc));
  return { says: tellRanking(ranking), decided: ranking.decided, rests: [UNMAP] };
}

function contract(found: Found): Finding {
  const kept = HOLDS.filter((name) => holds(found.check(name)));
  const broken = [LATER, NEVER, OWNER].filter((name) => breaks(found.check(name)));
  const told = broken.map((name) => {
    const { promise, length } = found.check(name);
    return `“${name}” breaks ${promise} after ${length} moves`;
  });
  return {
    says:
      `“visible when the call returns” holds in ${kept.length} of ${HOLDS.length} programs, all ` +
      `interleavings of two CPUs; ${listed(told)}`,
    decided: kept.length === HOLDS.length && broken.length === 3,
    rests: [...HOLDS, LATER, NEVER, OWNER],
  };
}

export const t1x5: Experiment = {
  id: 'T1-5',
  name: 'no-explicit-flush',
  title: 'must L1 ask for flushes, and how weak may the contract be',
  question:
    'Can a paravirtual interface do without flush calls, what does that save, and what is the ' +
    'weakest contract under which L1 may free a page once its call has returned?',
  compares: [
    'explicit flush by L1: nested (INVEPT after its stores)',
    'visible when each call, or each series of calls, returns: kpop',
    'no L1 at all: tdp',
    'visible at the next L2 entry: kpop with the wait for the kicked CPUs taken away',
  ],
  wanted: (quick) => [
    {
      kind: 'compare',
      name: UNMAP,
      designs: ['nested', 'kpop', 'tdp'],
      workload: `unmap:ranges=${quick ? 8 : 64}`,
      vcpus: quick ? [2] : [1, 4, 8],
      sensitivity: true,
    },
    { kind: 'check', name: HOLDS[0]!, design: 'kpop', litmus: 'write-unmap', memory: 'tso' },
    { kind: 'check', name: HOLDS[1]!, design: 'kpop', litmus: 'stay-unmap', memory: 'tso' },
    {
      kind: 'check',
      name: LATER,
      design: 'kpop',
      litmus: 'write-unmap',
      memory: 'sc',
      weaken: { label: 'kpop.kick.wait', how: 'drop' },
    },
    {
      kind: 'check',
      name: NEVER,
      design: 'kpop',
      litmus: 'stay-unmap',
      memory: 'sc',
      weaken: { label: 'kpop.enter.flush', how: 'drop' },
    },
    {
      kind: 'check',
      name: OWNER,
      design: 'tdp',
      litmus: 'write-unmap',
      memory: 'sc',
      weaken: { label: 'flush.wait', how: 'drop' },
    },
  ],
  read: (found) => {
    const findings = [counts(found), cost(found), contract(found)];
    const [first, , third] = findings as [Finding, Finding, Finding];
    const doc = found.compare(UNMAP);
    const vcpus = largest(doc);
    const ranking = rankingOf(doc, 'nested', 'kpop', vcpus);
    const time =
      `kpop needs ${figure(ranking.ratio.value)} (${figure(ranking.ratio.low)} to ` +
      `${figure(ranking.ratio.high)}) times its time`;
    const free = first.decided
      ? `L1 needs no flush call: kpop asks for none where nested asks for ` +
        `${figure(asked(doc, 'nested', vcpus))} per range with ${vcpus} vCPUs, and ${time}`
      : `L1 still asks for flushes under kpop`;
    const weak = third.decided
      ? 'visibility when the call returns suffices, and each weaker contract that was tried lets ' +
        'L2 reach a page that L1 has freed'
      : 'how weak the contract may be is not decided by these checks';
    return { answer: `${free}; ${weak}.`, findings };
  },
  leavesOut: [
    'synchronous for downgrades only: that form is not built',
    'protect and remap streams: only ranges that are unmapped are asked about',
    'contracts are weakened one act at a time; a contract that changes several is not tried',
    'a series of calls is measured, not checked: no litmus program sends one',
  ],
};
