/**
 * What an experiment says, as it is written to JSON: "kpop.answer/1". `report/answer-schema.ts`
 * holds the same as a schema, checked against these types.
 */
import type { CheckResult } from './check.ts';
import type { Compare } from './result.ts';
import type { PriceNote } from './sensitivity.ts';

/** Runs of designs side by side. */
export interface CompareEvidence {
  readonly kind: 'compare';
  readonly name: string;
  /** Repeats it. */
  readonly command: string;
  readonly compare: Compare;
}

/** One design under one litmus program, as it is or with one label weakened. */
export interface CheckEvidence {
  readonly kind: 'check';
  readonly name: string;
  /** Repeats it: the check, or the counterexample move by move. */
  readonly command: string;
  readonly result: CheckResult;
}

export type Evidence = CompareEvidence | CheckEvidence;

/** One part of an answer, with the names of the evidence that it rests on. */
export interface Finding {
  readonly says: string;
  readonly decided: boolean;
  readonly rests: readonly string[];
}

/** A price that, within its interval, turns the order of two designs round. */
export interface TurningPrice extends PriceNote {
  readonly evidence: string;
  readonly vcpus: number;
  readonly one: string;
  readonly other: string;
  /** Value at which their order is another. */
  readonly at: number;
  /** Prices that have to move with it; empty if it does so alone. */
  readonly together: readonly string[];
}

export interface Answer {
  readonly schema: 'kpop.answer/1';
  /** T1-5 and the like. */
  readonly experiment: string;
  readonly name: string;
  readonly question: string;
  /** Sizes were smaller; designs were the same. */
  readonly quick: boolean;
  readonly decided: boolean;
  /** One sentence, each figure of it from the evidence. */
  readonly answer: string;
  readonly findings: readonly Finding[];
  readonly evidence: readonly Evidence[];
  readonly sensitivity: readonly TurningPrice[];
  readonly limits: readonly string[];
}
