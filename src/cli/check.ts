/** `kpop check`: every interleaving that matters, of designs under litmus programs. */
import { badInput } from '../base/bad-input.ts';
import { suggestion } from '../base/nearest.ts';
import { designs as builtIn, partsOf } from '../design/index.ts';
import { budgetOf } from '../experiment/check/budgets.ts';
import { GUARD_STEPS, type Plain } from '../experiment/check/guards.ts';
import { findLitmus, litmusFor, planDesign } from '../experiment/check/pieces.ts';
import { cpusOf } from '../litmus/index.ts';
import type { MemoryOrder } from '../machine/explored/acts.ts';
import type { Check, CheckResult, GuardResult } from '../measure/check.ts';
import { renderCheck } from '../report/check.ts';
import { hashOfProgram } from './cache.ts';
import { CheckCrew, type Done, type Wanted } from './check-crew.ts';
import { GuardTasks, type PlainOf } from './check-guards.ts';
import { CheckProgress } from './check-progress.ts';
import type { Described } from './check-task.ts';
import { Status } from './failure.ts';
import { print, printJson } from './output.ts';
import type { NamedDesign } from './piece.ts';
import { bundleDesign, isDesignFile, splitDesignFile } from './user-design.ts';

export interface CheckOptions {
  readonly litmus?: string | undefined;
  readonly guards?: boolean | undefined;
  readonly memory?: string | undefined;
  readonly budget?: string | undefined;
  readonly deep?: boolean | undefined;
  readonly preemptions?: string | undefined;
  readonly fresh?: boolean | undefined;
  readonly json?: boolean | undefined;
}

/** Options after they were checked. */
interface Asked {
  readonly litmus: readonly string[] | undefined;
  readonly memory: readonly MemoryOrder[];
  readonly deep: boolean;
  readonly guards: boolean;
  readonly preemptions: number | undefined;
  readonly steps: number | undefined;
  readonly seconds: number | undefined;
}

export async function runCheck(texts: readonly string[], options: CheckOptions): Promise<number> {
  const asked = readOptions(options);
  const named = await Promise.all(textsOf(texts, asked).map(nameDesign));
  const until = Date.now() + (asked.seconds ?? Number.POSITIVE_INFINITY) * 1000;
  const usesCache = options.fresh !== true;
  const crew = new CheckCrew({ program: hashOfProgram(), until, usesCache });
  const described = await crew.describe(named);
  if (described.length < named.length) return Status.interrupted;
  const pieces = planAll(named, described, { texts, asked });
  const progress = new CheckProgress();
  crew.onTick = (questions) => progress.tick(questions);
  try {
    const found = await lookAtAll(crew, pieces, progress);
    const guards = asked.guards ? await weakenAll(crew, found, asked, progress) : [];
    const check: Check = {
      schema: 'kpop.check/1',
      results: found.map(({ done }) => done.result),
      guards,
      ended: crew.isInterrupted ? 'interrupted' : Date.now() >= until ? 'budget' : 'complete',
    };
    progress.end();
    if (options.json === true) printJson(check);
    else print(renderCheck(check));
    return statusOf(check);
  } finally {
    progress.end();
  }
}

function readOptions(options: CheckOptions): Asked {
  const { litmus, memory, budget } = options;
  return {
    litmus: litmus === undefined || litmus === 'all' ? undefined : litmus.split(',').map(known),
    memory: readMemory(memory),
    deep: options.deep === true,
    guards: options.guards === true,
    preemptions: readPreemptions(options.preemptions),
    ...readBudget(budget),
  };
}

function known(id: string): string {
  return findLitmus(id).id;
}

function readMemory(text: string | undefined): readonly MemoryOrder[] {
  if (text === undefined) return ['sc', 'tso'];
  if (text === 'sc' || text === 'tso') return [text];
  if (text === 'arm') return badInput('--memory: arm is not in this version of kpop: sc or tso');
  return badInput(`--memory: it is sc or tso, not ${text === '' ? 'nothing' : text}`);
}

function readPreemptions(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (/^[0-9]$/.test(text)) return Number(text);
  return badInput(`--preemptions: ${text === '' ? 'nothing' : text} is not a number from 0 to 9`);
}

function readBudget(text: string | undefined): Pick<Asked, 'seconds' | 'steps'> {
  if (text === undefined) return { seconds: undefined, steps: undefined };
  const match = /^(\d{1,9}(?:\.\d{1,3})?)(s|m|steps)$/.exec(text);
  const amount = Number(match?.[1] ?? 0);
  if (match === null || amount === 0) {
    return badInput(`--budget: ${text === '' ? 'nothing' : text} is not like 30s or 100000steps`);
  }
  if (match[2] !== 'steps') {
    return { seconds: amount * (match[2] === 'm' ? 60 : 1), steps: undefined };
  }
  if (!Number.isInteger(amount)) return badInput(`--budget: ${amount} steps are no whole number`);
  return { seconds: undefined, steps: amount };
}

/** What is named, `all` spelled out, each design with its parts. */
function textsOf(texts: readonly string[], { guards }: Asked): string[] {
  const given = texts.length === 0 ? ['all'] : texts;
  const all = given.flatMap((text) => (text === 'all' ? builtIn.map(({ id }) => id) : [text]));
  const twice = all.find((text, i) => all.indexOf(text) < i);
  if (twice !== undefined) badInput(`design ${twice} is named twice`);
  // What is looked at to a few preemptions only shows no guard to be without need.
  const parts = (text: string): string[] =>
    partsOf(text)
      .map(({ id }) => id)
      .filter((id) => !guards || (budgetOf(id).two === 'all' && budgetOf(id).only === undefined));
  return [...new Set(all.flatMap((text) => [text, ...parts(text)]))];
}

export async function nameDesign(text: string): Promise<NamedDesign> {
  if (!isDesignFile(text)) return { text, axes: undefined, bundle: undefined };
  const { file, axes } = splitDesignFile(text);
  return { text, axes, bundle: await bundleDesign(file) };
}

interface Planned extends Wanted {
  /** Id of the design. */
  readonly id: string;
}

/** The pieces of all designs; a design named by the user must offer something to be checked. */
function planAll(
  named: readonly NamedDesign[],
  described: readonly Described[],
  { texts, asked }: { readonly texts: readonly string[]; readonly asked: Asked },
): Planned[] {
  const pieces = named.flatMap((design, i): Planned[] => {
    const offers = described[i]!;
    if (offers.operations.length === 0) {
      if (!texts.includes(design.text)) return [];
      return badInput(`design ${design.text} offers nothing to check (System.checked)`);
    }
    return planDesign(offers, asked).map((piece) => ({ design, id: offers.id, piece }));
  });
  if (pieces.length > 0) return pieces;
  const able = described.flatMap((each) => litmusFor(each.operations).map(({ id }) => id));
  const names = (asked.litmus ?? []).join(',');
  return badInput(`no such design runs ${names}${suggestion(names, [...new Set(able)])}`);
}

/** A piece and what was found. */
interface Found extends Planned {
  readonly done: Done;
}

/** In the order of the pieces; those that an interrupt came before are left out. */
async function lookAtAll(
  crew: CheckCrew,
  pieces: readonly Planned[],
  progress: CheckProgress,
): Promise<readonly Found[]> {
  const found = new Map<Planned, Found>();
  const waiting = [...pieces];
  progress.planned(pieces.length);
  await crew.look({
    next: () => waiting.shift(),
    finished: (planned, done) => {
      found.set(planned, { ...planned, done });
      const { design, litmus, memory } = done.result;
      progress.done(`${design} ${litmus} ${memory}`);
    },
  });
  return pieces.flatMap((planned) => found.get(planned) ?? []);
}

/** Weakens what guards something, in the first choice of each design that reaches it. */
async function weakenAll(
  crew: CheckCrew,
  found: readonly Found[],
  { memory, deep, steps = GUARD_STEPS }: Asked,
  progress: CheckProgress,
): Promise<GuardResult[]> {
  if (crew.isInterrupted) return [];
  const ids = [...new Set(found.map(({ id }) => id))];
  const designs = ids.map((id): PlainOf => {
    const own = found.filter((each) => each.id === id);
    const { choice: first } = own[0]!.piece;
    const plain = own
      .filter(({ piece }) => piece.memory === memory[0])
      .map(({ piece: { choice, litmus }, done: { result, offered } }): Plain => {
        const cpus = cpusOf(findLitmus(litmus));
        const isDefault = choice === first;
        return { choice, isDefault, litmus, cpus, states: result.states, offered };
      });
    return { design: own[0]!.design, id, plain };
  });
  const tasks = new GuardTasks(designs, { memory, deep, steps });
  progress.planned(found.length + tasks.count);
  await crew.look({
    next: () => tasks.next(),
    finished: (task, done) => {
      const isLast = tasks.finished(task, done);
      if (isLast) progress.done(`${task.trial.label}`);
    },
  });
  return tasks.verdicts();
}

function statusOf({ results, guards, ended }: Check): number {
  if (ended === 'interrupted') return Status.interrupted;
  const isWrong = (result: CheckResult): boolean =>
    !result.asExpected && result.verdict !== 'unfinished';
  if (results.some(isWrong)) return Status.violated;
  const isShown = ({ verdict, argued }: GuardResult): boolean =>
    verdict === 'necessary' || argued !== '';
  const isOpen =
    results.some((result) => result.verdict === 'unfinished') ||
    guards.some(({ verdict }) => verdict === 'unfinished');
  if (isOpen) return Status.unfinished;
  return guards.every(isShown) ? Status.done : Status.violated;
}
