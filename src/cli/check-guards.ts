/**
 * `kpop check --guards`: first the designs as they are, to see which labels are reached; then every
 * label that guards something is weakened until a promise breaks. Labels are tried side by side,
 * the attempts of one label one after the other.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { whyArgued } from '../experiment/check/argued.ts';
import {
  type Attempt,
  attemptsFor,
  type GuardOptions,
  guardsIn,
  isShown,
  notReached,
  type Plain,
  verdictOn,
} from '../experiment/check/guards.ts';
import type { CheckResult, GuardResult } from '../measure/check.ts';
import type { Done, Tasks, Wanted } from './check-crew.ts';
import { packageRoot } from './package-root.ts';
import type { NamedDesign } from './piece.ts';

/** L0 of every other design keeps the memory of its guest, L1 or not, by this one's code. */
const TDP = 'tdp';

/** A label under trial. */
interface Trial {
  readonly design: NamedDesign;
  /** Id of the design. */
  readonly id: string;
  readonly label: string;
  readonly waiting: Attempt[];
  readonly results: CheckResult[];
  readonly tried: string[];
  isBusy: boolean;
}

interface GuardTask extends Wanted {
  readonly trial: Trial;
  readonly says: string;
}

/** What the plain pieces of a design showed. */
export interface PlainOf {
  readonly design: NamedDesign;
  readonly id: string;
  readonly plain: readonly Plain[];
}

export class GuardTasks implements Tasks<GuardTask> {
  readonly #trials: readonly Trial[];
  readonly #designs: readonly PlainOf[];

  constructor(designs: readonly PlainOf[], options: GuardOptions) {
    this.#designs = designs;
    this.#trials = designs.flatMap(({ design, id, plain }) =>
      [...guardsIn(plain)].map(([label, hows]): Trial => {
        const isArgued = whyArgued(id, label) !== '';
        const waiting = attemptsFor(label, hows, plain, { ...options, isArgued });
        return { design, id, label, waiting, results: [], tried: [], isBusy: false };
      }),
    );
  }

  /** Labels to be tried. */
  get count(): number {
    return this.#trials.length;
  }

  next(): GuardTask | 'later' | undefined {
    const open = this.#trials.filter(({ waiting }) => waiting.length > 0);
    const trial = open.find(({ isBusy }) => !isBusy);
    if (trial === undefined) return open.length > 0 ? 'later' : undefined;
    const { piece, says } = trial.waiting.shift()!;
    trial.isBusy = true;
    return { trial, says, design: trial.design, piece };
  }

  /** Whether that was the last attempt of its label. */
  finished({ trial, says }: GuardTask, { result }: Done): boolean {
    trial.isBusy = false;
    trial.results.push(result);
    trial.tried.push(says);
    if (isShown(result)) trial.waiting.length = 0;
    return trial.waiting.length === 0;
  }

  /** Whether a label has been decided, and how; labels that nobody reached come last. */
  verdicts(): GuardResult[] {
    const tried = this.#trials.map(({ id, label, results, tried, waiting, isBusy }) => {
      const verdict = verdictOn(id, label, results, tried);
      const isOpen = (waiting.length > 0 || isBusy) && verdict.verdict !== 'necessary';
      return isOpen ? { ...verdict, verdict: 'unfinished' as const } : verdict;
    });
    const reached = this.#designs.flatMap(({ plain }) => plain);
    const missing = this.#designs.flatMap(({ id }) => notReached(id, ownLabels(id), reached));
    return [...tried, ...missing];
  }
}

/** Labels of a design but for those that it shares with `tdp`, whose check is of them, too. */
function ownLabels(id: string): string[] {
  const shared = new Set(id === TDP ? [] : labelsOf(TDP));
  return labelsOf(id).filter((label) => !shared.has(label));
}

/** Labels of guards in the source of a built-in design; none are known of others. */
function labelsOf(id: string): string[] {
  const text = readFileSync(join(packageRoot(), 'data', 'labels.json'), 'utf8');
  const all = JSON.parse(text) as Record<string, Record<string, string>>;
  return Object.keys(all[id] ?? {});
}
