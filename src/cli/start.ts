/**
 * `kpop start`, the main job: the recorded programs that come with kpop under every design, on
 * eight vCPUs, and what can be read from it. Nothing is asked for, everything has a default.
 */
import { join, relative } from 'node:path';
import { designs } from '../design/index.ts';
import { findPreset } from '../machine/preset/index.ts';
import { renderHtml } from '../report/html.ts';
import { readComparison } from '../report/sentence.ts';
import { wrap } from '../report/table.ts';
import { renderCompare } from '../report/text.ts';
import { parseWorkload } from '../workload/index.ts';
import { nextCommands } from './commands.ts';
import { compareAll } from './compare.ts';
import { Status } from './failure.ts';
import { checkWritable, makeFolder, print, printJson, writeWhole } from './output.ts';
import { openSession } from './session.ts';

const VCPUS = 8;
const WORKLOAD = 'programs';
const QUICK_RUNS = '2';
const WIDTH = 100;

export interface StartOptions {
  readonly runs?: string | undefined;
  readonly quick?: boolean | undefined;
  readonly out?: string | undefined;
  readonly json?: boolean | undefined;
}

export async function runStart(options: StartOptions): Promise<number> {
  const workload = workloadOf(options);
  const ids = designs.map((design) => design.id);
  const session = await openSession(ids, [VCPUS], { workload });
  const folder = options.out ?? 'out';
  makeFolder(folder);
  const file = join(folder, 'report.html');
  checkWritable(file);
  const { doc, interrupted } = await compareAll(session);
  if (doc === undefined) return Status.interrupted;
  const about = parseWorkload(workload).workload;
  const commands = nextCommands(ids);
  const machine = findPreset(session.common.machine);
  writeWhole(file, renderHtml(doc, { machine, traceStandsFor: about.standsFor, commands }));
  if (options.json === true) {
    printJson(doc);
    return interrupted ? Status.interrupted : Status.done;
  }
  const parts = [
    renderCompare(doc).trimEnd(),
    folded(readComparison(doc)),
    folded(`The recordings stand for ${about.standsFor}.`),
    ['Assumed:', ...about.assumes.map(item)].join('\n'),
    ['Left out:', ...about.leavesOut.map(item)].join('\n'),
    `Report: ${relative(process.cwd(), file) || file}`,
    ['Try next:', ...commands.map(({ command, why }) => `  ${command}\n      ${why}`)].join('\n'),
  ];
  print(`${parts.join('\n\n')}\n`);
  return interrupted ? Status.interrupted : Status.done;
}

/** The full job unless less of it was asked for; what was left out shows in the workload's name. */
function workloadOf({ runs, quick }: StartOptions): string {
  const count = runs ?? (quick === true ? QUICK_RUNS : undefined);
  const parts = [
    ...(count === undefined ? [] : [`runs=${count}`]),
    ...(quick === true ? ['server=no'] : []),
  ];
  return parts.length === 0 ? WORKLOAD : `${WORKLOAD}:${parts.join(',')}`;
}

function folded(text: string): string {
  return wrap(text, WIDTH).join('\n');
}

function item(text: string): string {
  const [first = '', ...rest] = wrap(text, WIDTH - 4);
  return [`  - ${first}`, ...rest.map((line) => `    ${line}`)].join('\n');
}
