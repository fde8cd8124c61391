/** `kpop list`: what there is to choose from, as text or as the document "kpop.list/1". */
import { badInput } from '../base/bad-input.ts';
import { suggestion } from '../base/nearest.ts';
import { designs } from '../design/index.ts';
import type { Design } from '../design/system.ts';
import type { Experiment } from '../experiment/ask/experiment.ts';
import { experiments } from '../experiment/ask/index.ts';
import { allPromises } from '../experiment/check/promises.ts';
import { cpusOf, litmusPrograms } from '../litmus/index.ts';
import { presets } from '../machine/preset/index.ts';
import { PRICE_KINDS, type Preset } from '../machine/preset/price.ts';
import type { DesignEntry, List, ListEntry } from '../measure/result.ts';
import { workloads } from '../workload/index.ts';
import type { Workload } from '../workload/workload.ts';
import { Status } from './failure.ts';
import { print, printJson } from './output.ts';

const KINDS = ['designs', 'workloads', 'litmus', 'promises', 'experiments', 'machines'] as const;
type Kind = (typeof KINDS)[number];

export function runList(kind: string | undefined, options: { json?: boolean }): number {
  if (kind !== undefined && !isKind(kind))
    badInput(`cannot list ${kind}${suggestion(kind, KINDS)}`);
  const chosen: readonly Kind[] = kind === undefined ? KINDS : [kind];
  if (options.json === true) {
    const entries = KINDS.map((each) => [each, chosen.includes(each) ? entriesOf(each) : []]);
    printJson({ schema: 'kpop.list/1', ...Object.fromEntries(entries) } as List);
    return Status.done;
  }
  print(`${chosen.map(section).join('\n\n')}\n`);
  return Status.done;
}

function isKind(kind: string): kind is Kind {
  return (KINDS as readonly string[]).includes(kind);
}

function entriesOf(kind: Kind): readonly ListEntry[] {
  if (kind === 'designs') return designs.map(designEntry);
  if (kind === 'workloads') return workloads.map(workloadEntry);
  if (kind === 'machines') return presets.map(machineEntry);
  if (kind === 'promises') return allPromises();
  if (kind === 'litmus') {
    return litmusPrograms.map((litmus) => {
      const { id, title, source, pages } = litmus;
      return { id, title, source, pages, cpus: cpusOf(litmus) };
    });
  }
  return experiments.map(experimentEntry);
}

interface MachineEntry extends ListEntry {
  readonly leavesOut: string;
  /** How many prices are of each kind. */
  readonly prices: Readonly<Record<string, number>>;
}

function machineEntry({ id, title, leavesOut, prices }: Preset): MachineEntry {
  const of = (kind: string): number => {
    return Object.values(prices).filter((price) => price.kind === kind).length;
  };
  const counted = Object.fromEntries(PRICE_KINDS.map((kind) => [kind, of(kind)]));
  return { id, title, leavesOut, prices: counted };
}

function experimentLines({ id, name, title, compares }: Experiment): string[] {
  return [row(id, `${name}: ${title}`), ...compares.map(below)];
}

function machineLines(preset: Preset): string[] {
  const { id, title, prices } = machineEntry(preset);
  const told = PRICE_KINDS.map((kind) => `${prices[kind]} ${kind}`).join(', ');
  return [row(id, title, Math.max(14, id.length)), below(`prices: ${told}`)];
}

function designEntry({ id, title, axes, source, leavesOut, isolates }: Design): DesignEntry {
  const told = Object.entries(axes).map(([name, axis]) => ({ name, ...axis }));
  return { id, title, axes: told, source, leavesOut, isolates };
}

function experimentEntry({ id, title, name, question, compares, leavesOut }: Experiment) {
  return { id, title, name, question, compares, leavesOut };
}

function workloadEntry(workload: Workload): ListEntry {
  const { id, title, operation, standsFor, assumes, leavesOut, conditions, parameters } = workload;
  const file = workload.file === undefined ? {} : { file: workload.file };
  const told = { operation, standsFor, assumes, leavesOut, conditions, parameters, ...file };
  return { id, title, ...told };
}

function section(kind: Kind): string {
  const lines = linesOf(kind);
  const title = kind[0]!.toUpperCase() + kind.slice(1);
  if (lines.length === 0) return `${title}: none yet`;
  return `${title}\n${lines.join('\n')}`;
}

function linesOf(kind: Kind): string[] {
  if (kind === 'designs') return designs.flatMap(designLines);
  if (kind === 'workloads') return workloads.flatMap(workloadLines);
  if (kind === 'experiments') return experiments.flatMap(experimentLines);
  if (kind === 'machines') return presets.flatMap(machineLines);
  const entries = entriesOf(kind);
  const width = Math.max(14, ...entries.map(({ id }) => id.length));
  return entries.map(({ id, title }) => row(id, title, width));
}

function designLines({ id, title, axes, isolates }: Design): string[] {
  const told = Object.entries(axes).map(([name, axis]) => {
    const values = axis.values.map((value) =>
      value === axis.default ? `${value} (default)` : value,
    );
    return below(`${name}=${values.join('|')}: ${axis.describe}`);
  });
  return [row(id, title), below(`isolates ${isolates}`), ...told];
}

function workloadLines({ id, title, file, operation, parameters }: Workload): string[] {
  const told = parameters.map(({ name, unit, default: by, describe, values }) => {
    const choice = values === undefined ? '' : ` (${values.join('|')})`;
    return below(`${name}=${by}${choice}: ${describe}${unit === '' ? '' : `, in ${unit}`}`);
  });
  return [
    row(file === undefined ? id : `${id}:<file>`, title),
    below(`an operation is ${operation}`),
    ...told,
  ];
}

function row(id: string, title: string, width = 14): string {
  return `  ${id.padEnd(width)} ${title}`;
}

function below(text: string): string {
  return `                 ${text}`;
}
