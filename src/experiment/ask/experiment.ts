/**
 * An open question as an experiment: which evidence it wants, as data, and a pure function that
 * reads the evidence. Whoever asks gathers it, on threads or one after the other; nothing here runs
 * anything, and no figure stands in an answer that is not in the evidence.
 */
import type { Answer, Evidence, Finding, TurningPrice } from '../../measure/answer.ts';
import type { CheckResult } from '../../measure/check.ts';
import type { Compare, Run } from '../../measure/result.ts';
import type { PriceNote, Ranking } from '../../measure/sensitivity.ts';

/** Designs on equal work. */
export interface WantedCompare {
  readonly kind: 'compare';
  readonly name: string;
  readonly designs: readonly string[];
  readonly workload: string;
  readonly vcpus: readonly number[];
  /** Whether prices go through their intervals. */
  readonly sensitivity: boolean;
}

/** A design with its axes under a litmus program of `kpop list litmus`. */
export interface WantedCheck {
  readonly kind: 'check';
  readonly name: string;
  readonly design: string;
  readonly litmus: string;
  readonly memory: 'sc' | 'tso';
  /** A label of the design's code, and how the machine weakens it. */
  readonly weaken?: { readonly label: string; readonly how: string };
}

export type Wanted = WantedCompare | WantedCheck;

/** What an experiment makes of its evidence. */
export interface Reading {
  readonly answer: string;
  readonly findings: readonly Finding[];
}

export interface Experiment {
  /** As the list of open questions numbers it. */
  readonly id: string;
  readonly name: string;
  readonly title: string;
  readonly question: string;
  /** Forms that the question names and that run here; of the others `leavesOut` speaks. */
  readonly compares: readonly string[];
  /** `quick` shrinks sizes, never designs. */
  wanted(quick: boolean): readonly Wanted[];
  read(evidence: Found): Reading;
  readonly leavesOut: readonly string[];
}

/** Evidence by name. */
export class Found {
  readonly all: readonly Evidence[];

  constructor(all: readonly Evidence[]) {
    this.all = all;
  }

  compare(name: string): Compare {
    const found = this.all.find((each) => each.name === name);
    if (found?.kind !== 'compare') throw new RangeError(`no comparison is called ${name}`);
    return found.compare;
  }

  check(name: string): CheckResult {
    const found = this.all.find((each) => each.name === name);
    if (found?.kind !== 'check') throw new RangeError(`no check is called ${name}`);
    return found.result;
  }
}

/** The run of a design with so many vCPUs. */
export function runOf({ runs }: Compare, design: string, vcpus: number): Run {
  const found = runs.find((run) => run.design === design && run.vcpus === vcpus);
  if (found === undefined) throw new RangeError(`${design} did not run with ${vcpus} vCPUs`);
  return found;
}

export function rankingOf(doc: Compare, one: string, other: string, vcpus: number): Ranking {
  const found = doc.rankings?.find((ranking) => {
    return ranking.one === one && ranking.other === other && ranking.vcpus === vcpus;
  });
  if (found === undefined) throw new RangeError(`${one} and ${other} were not ranked`);
  return found;
}

export function largest({ runs }: Compare): number {
  return Math.max(...runs.map(({ vcpus }) => vcpus));
}

/** Whether a design as it is kept its promises in all that was to be looked at. */
export function holds({ verdict, guard }: CheckResult): boolean {
  return guard === '' && verdict === 'holds';
}

/** Whether a weakened label broke a promise, with a counterexample to show. */
export function breaks({ verdict, guard, schedule }: CheckResult): boolean {
  return guard !== '' && verdict === 'violated' && schedule !== '';
}

/** The whole answer; `prices`: of the machine that everything ran on. */
export function answerOf(
  experiment: Experiment,
  evidence: readonly Evidence[],
  quick: boolean,
  prices: readonly PriceNote[],
): Answer {
  const { answer, findings } = experiment.read(new Found(evidence));
  const { id, name, question, leavesOut } = experiment;
  return {
    schema: 'kpop.answer/1',
    experiment: id,
    name,
    question,
    quick,
    decided: findings.every(({ decided }) => decided),
    answer,
    findings,
    evidence,
    sensitivity: evidence.flatMap((each) => turningPrices(each, prices)),
    limits: [...leavesOut, ...limitsOf(evidence)],
  };
}

function turningPrices(evidence: Evidence, prices: readonly PriceNote[]): TurningPrice[] {
  if (evidence.kind !== 'compare') return [];
  return (evidence.compare.rankings ?? []).flatMap(({ vcpus, one, other, turnedBy }) =>
    turnedBy.flatMap((turn) =>
      turn.prices.map(({ name, value: at }): TurningPrice => {
        const note = prices.find((price) => price.name === name)!;
        const together = turn.prices.map((price) => price.name).filter((each) => each !== name);
        return { ...note, evidence: evidence.name, vcpus, one, other, at, together };
      }),
    ),
  );
}

/** What the evidence itself leaves out, each sentence once. */
function limitsOf(evidence: readonly Evidence[]): string[] {
  const said = evidence.flatMap((each) =>
    each.kind === 'compare' ? each.compare.runs.flatMap((run) => run.limits) : each.result.limits,
  );
  return [...new Set(said)];
}
