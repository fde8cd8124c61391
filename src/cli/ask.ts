/**
 * `kpop ask`: gathers what an experiment wants (runs and checks, on threads, checks out of the
 * cache where nothing has changed) and prints what it makes of it.
 */
import { explorable, parseDesign } from '../design/index.ts';
import {
  answerOf,
  type Wanted,
  type WantedCheck,
  type WantedCompare,
} from '../experiment/ask/experiment.ts';
import { findExperiment } from '../experiment/ask/index.ts';
import { weakenedPiece } from '../experiment/check/guards.ts';
import { findLitmus, pieceOf } from '../experiment/check/pieces.ts';
import { notesOf } from '../experiment/sensitivity.ts';
import type { How } from '../machine/explored/weakening.ts';
import { DEFAULT_PRESET, findPreset } from '../machine/preset/index.ts';
import type { CheckEvidence, CompareEvidence, Evidence } from '../measure/answer.ts';
import { renderAnswer } from '../report/answer.ts';
import { quote } from '../report/commands.ts';
import { hashOfProgram } from './cache.ts';
import { CheckCrew, type Done, type Wanted as WantedPiece } from './check-crew.ts';
import { compareAll } from './compare.ts';
import { Status } from './failure.ts';
import { print, printJson } from './output.ts';
import { openSession } from './session.ts';

export interface AskOptions {
  readonly quick?: boolean | undefined;
  readonly json?: boolean | undefined;
}

export async function runAsk(text: string, options: AskOptions): Promise<number> {
  const experiment = findExperiment(text);
  const quick = options.quick === true;
  const evidence = await gather(experiment.wanted(quick));
  if (evidence === undefined) return Status.interrupted;
  const answer = answerOf(experiment, evidence, quick, notesOf(findPreset(DEFAULT_PRESET)));
  if (options.json === true) printJson(answer);
  else print(renderAnswer(answer));
  return Status.done;
}

/** Undefined after an interrupt: half of the evidence answers nothing. */
async function gather(wanted: readonly Wanted[]): Promise<readonly Evidence[] | undefined> {
  const checks = wanted.filter((each) => each.kind === 'check');
  const found = new Map<Wanted, Evidence>();
  const crew = new CheckCrew({
    program: hashOfProgram(),
    until: Number.POSITIVE_INFINITY,
    usesCache: true,
  });
  const waiting = checks.map((check) => ({ check, ...pieceFor(check) }));
  await crew.look({
    next: () => waiting.shift(),
    finished: ({ check }, done) => found.set(check, checkEvidence(check, done)),
  });
  if (crew.isInterrupted) return undefined;
  for (const each of wanted) {
    if (each.kind === 'check') continue;
    const evidence = await compareEvidence(each);
    if (evidence === undefined) return undefined;
    found.set(each, evidence);
  }
  return wanted.map((each) => found.get(each)!);
}

/** As `kpop check` looks at it: the outcome is one and the same, in the cache too. */
function pieceFor({ design, litmus, memory, weaken }: WantedCheck): WantedPiece {
  const named = { text: design, axes: undefined, bundle: undefined };
  if (weaken !== undefined) {
    const guard = { label: weaken.label, how: weaken.how as How };
    return { design: named, piece: weakenedPiece(design, litmus, memory, guard) };
  }
  const options = { memory: [memory], litmus: [litmus], deep: false, steps: undefined };
  const { id } = parseDesign(design, explorable).design;
  return { design: named, piece: pieceOf(id, design, findLitmus(litmus), memory, options) };
}

function checkEvidence(check: WantedCheck, { result }: Done): CheckEvidence {
  const { name, design, litmus, memory } = check;
  const again = `kpop check ${quote(design)} --litmus ${litmus} --memory ${memory}`;
  const command = result.schedule === '' ? again : `kpop replay ${quote(result.schedule)}`;
  return { kind: 'check', name, command, result };
}

async function compareEvidence(wanted: WantedCompare): Promise<CompareEvidence | undefined> {
  const { name, designs, workload, vcpus, sensitivity } = wanted;
  const session = await openSession(designs, vcpus, { workload });
  const { doc, interrupted } = await compareAll(session, sensitivity);
  if (doc === undefined || interrupted) return undefined;
  const command = [
    `kpop compare ${designs.map(quote).join(' ')} --workload ${quote(workload)}`,
    `--vcpus ${vcpus.join(',')}${sensitivity ? ' --sensitivity' : ''}`,
  ].join(' ');
  return { kind: 'compare', name, command, compare: doc };
}
