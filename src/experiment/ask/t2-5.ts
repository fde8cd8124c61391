/**
 * T2-5: what is it worth that L0 answers L2's hot instructions by a policy that L1 publishes, and
 * can an answer be older than the policy? Counts and times come from runs of the same events; the
 * second half is the product's code under every interleaving, and once with its publishing dropped.
 */
import type { Finding } from '../../measure/answer.ts';
import type { Ranking } from '../../measure/sensitivity.ts';
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

const NESTED = 'nested';
const BY_L1 = 'kpop';
const BY_L0 = 'kpop:policy=tables';
const NO_L1 = 'tdp';
const DESIGNS = [NO_L1, NESTED, BY_L1, BY_L0];

/** What L2 does, and the work that does nothing else. */
const EVENTS = {
  CPUID: 'cpuid',
  'an MSR that is not passed through': 'msr',
  'an IPI to a vCPU that runs': 'ipi',
  'an IPI to a vCPU in HLT': 'ipi:target=halted',
  'a timer tick': 'tick:hz=10000',
} as const;
const MIX = 'what a boot does';
const PRICED = 'CPUID, priced';
const KEPT = ['answers while another version is published', 'versions replaced until given back'];
const WOKEN = 'posted to a vCPU in HLT';
const DROPPED = 'publishing dropped';

function nestTold(found: Found): Finding {
  const names = [...Object.keys(EVENTS), MIX];
  const told = names.map((name) => {
    const doc = found.compare(name);
    const each = DESIGNS.map((design) => {
      const run = runOf(doc, design, largest(doc));
      const { nested, exits } = run.counts;
      return `${design} ${figure(per(run, exits))} and ${figure(per(run, nested))}`;
    });
    return `${name}: ${each.join(', ')}`;
  });
  return {
    says: `exits into L0 and entries of L1, per event: ${told.join('; ')}`,
    decided: true,
    rests: names,
  };
}

/** L0's answer beside L1's, and beside a guest without L1. */
function rankings(found: Found): Ranking[] {
  const doc = found.compare(PRICED);
  return [rankingOf(doc, BY_L1, BY_L0, 1), rankingOf(doc, NO_L1, BY_L0, 1)];
}

function priced(found: Found): Finding {
  const [first] = rankings(found) as [Ranking];
  const says = `CPUID: ${rankings(found).map(tellRanking).join('; ')}`;
  return { says, decided: first.decided, rests: [PRICED] };
}

function mixed(found: Found): Finding {
  const doc = found.compare(MIX);
  const vcpus = largest(doc);
  const told = DESIGNS.map((design) => {
    const { cycles } = runOf(doc, design, vcpus);
    return `${design} ${figure(cycles / runOf(doc, BY_L1, vcpus).cycles)}`;
  });
  const says = `${MIX}, time beside ${BY_L1}: ${told.join(', ')}`;
  return { says, decided: true, rests: [MIX] };
}

function contract(found: Found): Finding {
  const names = [...KEPT, WOKEN];
  const kept = names.filter((name) => holds(found.check(name)));
  const { promise, length } = found.check(DROPPED);
  const isShown = breaks(found.check(DROPPED));
  const shown = isShown ? `breaks ${promise} after ${length} moves` : 'was not shown to matter';
  return {
    says:
      `no exit is answered by a table older than the last one published as L2 entered, and no ` +
      `posted interrupt is lost, in ${kept.length} of ${names.length} programs: ` +
      `${listed(names)}; without its compare-and-swap publishing ${shown}`,
    decided: kept.length === names.length && isShown,
    rests: [...names, DROPPED],
  };
}

function check(name: string, litmus: string) {
  return { kind: 'check', name, design: 'kpop-policy', litmus, memory: 'tso' } as const;
}

export const t2x5: Experiment = {
  id: 'T2-5',
  name: 'l0-answers',
  title: 'what L0 answering for L1 by a published policy is worth, and whether it is ever stale',
  question:
    'How many entries of L1 does it spare that L0 answers hot instructions of L2 by a policy ' +
    'which L1 publishes, and can L2 get an answer of an older policy?',
  compares: [
    'L1 answers always: nested, kpop',
    'L0 answers by a table that L1 publishes, versioned: kpop:policy=tables (one that is ' +
      'published once is the same without the calls)',
    'no L1 at all: tdp',
  ],
  wanted: (quick) => {
    const compare = (name: string, workload: string) =>
      ({
        kind: 'compare',
        name,
        designs: DESIGNS,
        workload,
        vcpus: [2],
        sensitivity: false,
      }) as const;
    const count = quick ? 32 : 256;
    return [
      ...Object.entries(EVENTS).map(([name, workload]) => compare(name, workload)),
      compare(MIX, 'boot-like'),
      { ...compare(PRICED, `cpuid:count=${count}`), vcpus: [1], sensitivity: true },
      check(KEPT[0]!, 'policy-answer'),
      check(KEPT[1]!, 'policy-replace'),
      check(WOKEN, 'post-halt'),
      {
        ...check(DROPPED, 'policy-answer'),
        memory: 'sc',
        weaken: { label: 'policy.publish', how: 'drop' },
      },
    ];
  },
  read: (found) => {
    const findings = [nestTold(found), priced(found), mixed(found), contract(found)];
    const events = Object.keys(EVENTS).map((name) => {
      const doc = found.compare(name);
      const of = (design: string): string => {
        const run = runOf(doc, design, largest(doc));
        return figure(per(run, run.counts.exits));
      };
      return `${name} ${of(BY_L0)} instead of ${of(BY_L1)}`;
    });
    const [ranking] = rankings(found) as [Ranking];
    const kept = contract(found).decided ? 'no answer is older' : 'it is open whether one is older';
    return {
      answer:
        `exits with L0 answering: ${listed(events)}, none of which enters L1; ` +
        `${tellRanking(ranking)} for CPUID; ${kept} than the last policy that was ` +
        `published as L2 entered.`,
      findings,
    };
  },
  leavesOut: [
    'L1 publishes once in the timed runs: what republishing costs is one call each, and a copy',
    'policies beyond CPUID, one shadowed register, the APIC’s and HLT; nested VMX with ' +
      'enlightened bitmaps (evmcs)',
    'a policy per vCPU; subleafs; what L1 has to know of an interrupt that L0 delivered for it',
  ],
};
