/** `kpop run`: one design, one workload, everything that was counted. */
import { MOST_CPUS } from '../experiment/run.ts';
import { renderRun } from '../report/text.ts';
import { Status } from './failure.ts';
import { print, printJson } from './output.ts';
import { runPieces } from './pool.ts';
import { count, openSession, type SessionOptions } from './session.ts';

export interface RunOptions extends SessionOptions {
  readonly vcpus?: string | undefined;
  readonly json?: boolean | undefined;
}

export async function runRun(design: string, options: RunOptions): Promise<number> {
  const vcpus = count('--vcpus', options.vcpus ?? '1', 1, MOST_CPUS);
  const { common, designs } = await openSession([design], [vcpus], options);
  const { runs } = await runPieces(common, [{ design: designs[0]!, vcpus, softwareScale: 1 }]);
  const [run] = runs;
  if (run === undefined) return Status.interrupted;
  if (options.json === true) printJson(run);
  else print(renderRun(run));
  return Status.done;
}
