/**
 * What a check says, as it is written to JSON: "kpop.check/1". `report/schema.ts` holds the same as
 * schemas, checked against these types.
 */

export type Verdict = 'holds' | 'violated' | 'unfinished';

/** One move of a counterexample. */
export interface CheckMove {
  /** CPU whose code or hardware moved. */
  readonly cpu: number;
  /** The move by its stable name, as schedules hold it. */
  readonly name: string;
  /** The same for people, without the CPU. */
  readonly says: string;
  /** What is different afterwards. */
  readonly changes: readonly string[];
}

/** What one design did under one litmus program. */
export interface CheckResult {
  readonly design: string;
  readonly litmus: string;
  /** The weakened label; empty if the design ran as it is. */
  readonly guard: string;
  /** How it was weakened; empty if it was not. */
  readonly how: string;
  readonly memory: 'sc' | 'tso';
  readonly verdict: Verdict;
  readonly expected: 'holds' | 'violated';
  readonly asExpected: boolean;
  /** The broken promise; empty if none is. */
  readonly promise: string;
  /** What the broken promise says, in one sentence; empty if none is. */
  readonly promised: string;
  /** What disagrees, in one sentence; for a result that is not as expected, why. */
  readonly message: string;
  readonly executions: number;
  readonly states: number;
  readonly steps: number;
  /** All interleavings were looked at. */
  readonly exhausted: boolean;
  /** All with so many preemptions were looked at; -1: not even without any; null: no bound. */
  readonly preemptions: number | null;
  /** Bits of the hashes by which states were told apart. */
  readonly hashBits: number;
  /** Bound on the probability that two states were taken for one. */
  readonly collision: number;
  /** Entries of a vCPU after which it was held. */
  readonly entries: number;
  readonly secondsWall: number;
  /** Replays the counterexample; empty without one. */
  readonly schedule: string;
  /** Moves of the counterexample; 0 without one. */
  readonly length: number;
  /** Whether the counterexample is minimal, in a sentence. */
  readonly minimal: string;
  /** The counterexample move by move. */
  readonly interleaving: readonly CheckMove[];
  /** What was and was not looked at. */
  readonly limits: readonly string[];
  /** It was looked up: nothing that it depends on has changed. */
  readonly cached: boolean;
}

/** What became of one label when it was weakened. */
export interface GuardResult {
  readonly design: string;
  readonly label: string;
  readonly verdict: 'necessary' | 'not shown' | 'unfinished' | 'not reached';
  /** Why it may stay although no counterexample was found; empty unless somebody has argued it. */
  readonly argued: string;
  /** The counterexample, if there is one; else how far the last look went. */
  readonly result: CheckResult | null;
  /** Weakenings that were tried: how, litmus and memory order. */
  readonly tried: readonly string[];
}

/** One execution again: "kpop.replay/1". */
export interface Replay {
  readonly schema: 'kpop.replay/1';
  readonly design: string;
  readonly litmus: string;
  readonly memory: 'sc' | 'tso';
  readonly guard: string;
  readonly how: string;
  /** Number of the move from which on it repeats; -1 unless it is a livelock. */
  readonly loop: number;
  readonly interleaving: readonly CheckMove[];
  /** The promise that the last move broke; empty if none is. */
  readonly promise: string;
  readonly promised: string;
  readonly message: string;
  /** Where the code left the schedule, in a sentence; empty if it was followed to its end. */
  readonly parting: string;
  readonly remark: string;
}

export interface Check {
  readonly schema: 'kpop.check/1';
  readonly results: readonly CheckResult[];
  /** With --guards, every label that guards something. */
  readonly guards: readonly GuardResult[];
  /** Whether it was ended by Ctrl-C or its budget before all was looked at. */
  readonly ended: 'complete' | 'budget' | 'interrupted';
}
