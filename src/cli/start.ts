/**
 * `kpop start`, the main job: the recorded programs that come with kpop under every design, on
 * eight vCPUs, and what can be read from it. Nothing is asked for, everything has a default.
 */
import { join, relative } from 'node:path';
import { designs } from '../design/index.ts';
import { findPreset } from '../machine/preset/index.ts';
import type { Suggestion } from '../report/commands.ts';
import { renderHtml } from '../report/html.ts';
import { readComparison } from '../report/sentence.ts';
import { wrap } from '../report/table.ts';
import { renderCompare } from '../report/text.ts';
import { parseWorkload } from '../workload/index.ts';
import { compareAll } from './compare.ts';
import { Status } from './failure.ts';
import { checkWritable, makeFolder, print, printJson, writeWhole } from './output.ts';
import { packageRoot } from './package-root.ts';
import { openSession } from './session.ts';

const VCPUS = 8;
const WORKLOAD = 'programs';
const WIDTH = 100;

export interface StartOptions {
  readonly runs?: string | undefined;
  readonly out?: string | undefined;
  readonly json?: boolean | undefined;
}

export async function runStart(options: StartOptions): Promise<number> {
  const workload = options.runs === undefined ? WORKLOAD : `${WORKLOAD}:runs=${options.runs}`;
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

/** Three of them; each runs as it stands, from the folder that this one was started in. */
function nextCommands(ids: readonly string[]): readonly Suggestion[] {
  const kpop = invocation();
  const example = relative(process.cwd(), join(packageRoot(), 'examples', 'my-design.ts'));
  const path = example.startsWith('.') ? example : `./${example}`;
  return [
    {
      command: `${kpop} compare ${ids.join(' ')} --workload touch --vcpus 1,2,4,8,16,32`,
      why: 'how the designs scale when every vCPU faults in new pages',
    },
    {
      command: `${kpop} run ${ids.at(-1)} --workload unmap:ranges=512 --vcpus 8`,
      why: 'every exit, lock and latency while pages are taken from a running guest',
    },
    {
      command: `${kpop} compare tdp ${path} --workload touch --vcpus 8`,
      why: 'a design of your own, in one file, beside a built-in one',
    },
  ];
}

/** How this kpop is called from a shell: by its name if it was, else by its path. */
function invocation(): string {
  if (/(^|[/\\])kpop$/.test(process.argv[1] ?? '')) return 'kpop';
  return `node ${relative(process.cwd(), join(packageRoot(), 'bin', 'kpop.js'))}`;
}

function folded(text: string): string {
  return wrap(text, WIDTH).join('\n');
}

function item(text: string): string {
  const [first = '', ...rest] = wrap(text, WIDTH - 4);
  return [`  - ${first}`, ...rest.map((line) => `    ${line}`)].join('\n');
}
