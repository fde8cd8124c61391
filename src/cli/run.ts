/** `kpop run`: one design, one workload, everything that was counted. */
import { traceNames } from '../design/assemble.ts';
import { MOST_CPUS, planOf, runOne } from '../experiment/run.ts';
import { findSensitivity, notesOf } from '../experiment/sensitivity.ts';
import { findPreset } from '../machine/preset/index.ts';
import { FtraceText } from '../measure/ftrace-text.ts';
import type { Run } from '../measure/result.ts';
import { renderRun } from '../report/text.ts';
import { Status } from './failure.ts';
import { checkWritable, print, printJson, writeWhole } from './output.ts';
import { type Common, type NamedDesign, type Piece, taskOf } from './piece.ts';
import { runPieces } from './pool.ts';
import { searchOnThreads } from './sensitivity.ts';
import { count, openSession, type SessionOptions } from './session.ts';

export interface RunOptions extends SessionOptions {
  readonly vcpus?: string | undefined;
  readonly json?: boolean | undefined;
  /** Where the events go, as ftrace text. */
  readonly trace?: string | undefined;
  readonly sensitivity?: boolean | undefined;
}

export async function runRun(design: string, options: RunOptions): Promise<number> {
  const vcpus = count('--vcpus', options.vcpus ?? '1', 1, MOST_CPUS);
  const { common, designs } = await openSession([design], [vcpus], options);
  const piece = { design: designs[0]!, vcpus, softwareScale: 1 };
  const run =
    options.trace === undefined
      ? (await runPieces(common, [piece])).runs[0]
      : await runTraced(common, piece, options.trace);
  if (run === undefined) return Status.interrupted;
  const hung = options.sensitivity === true ? await withSensitivity(run, common, designs) : run;
  if (options.json === true) printJson(hung ?? run);
  else print(renderRun(hung ?? run));
  return hung === undefined ? Status.interrupted : Status.done;
}

/** Undefined after an interrupt. */
async function withSensitivity(
  run: Run,
  common: Common,
  designs: readonly NamedDesign[],
): Promise<Run | undefined> {
  const prices = notesOf(findPreset(common.machine));
  const search = findSensitivity([run.design], [run.vcpus], prices);
  const found = await searchOnThreads(search, common, designs);
  return found === undefined ? undefined : { ...run, sensitivity: found.rows[0]!.sensitivity };
}

/** Here rather than on a thread of its own: the events come one by one. */
async function runTraced(common: Common, piece: Piece, file: string): Promise<Run> {
  checkWritable(file);
  const task = await taskOf(common, piece);
  const plan = planOf(task);
  const events = new FtraceText({
    phases: plan.image?.phases ?? [],
    hertz: task.preset.hertz,
    role: traceNames.role,
  });
  const run = runOne(task, events, plan);
  writeWhole(file, events.text());
  return run;
}
