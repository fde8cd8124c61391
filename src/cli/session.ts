/**
 * What `run`, `compare` and `start` have in common: options into a checked set of inputs, with
 * every file read and every name looked up before anything is simulated.
 */
import { badInput } from '../base/bad-input.ts';
import type { Choice } from '../design/index.ts';
import type { Conditions } from '../design/system.ts';
import { DEFAULT_CONDITIONS, MOST_CPUS, planOf } from '../experiment/run.ts';
import { DEFAULT_PRESET, findPreset } from '../machine/preset/index.ts';
import { parseWorkload, type Work } from '../workload/index.ts';
import { BUNDLED } from '../workload/recorded.ts';
import { type Recording, recordingOf } from '../workload/recording.ts';
import { readConditions } from './conditions.ts';
import { bundledTrace } from './package-root.ts';
import { type Common, chooseDesign, type NamedDesign, taskOf } from './piece.ts';
import { loadTrace } from './trace-file.ts';
import { bundleDesign, isDesignFile, splitDesignFile } from './user-design.ts';

/** Options as the command line gives them. */
export interface SessionOptions {
  readonly workload: string;
  readonly machine?: string | undefined;
  readonly cpus?: string | undefined;
  readonly seed?: string | undefined;
  readonly conditions?: string | undefined;
  readonly l1?: string | undefined;
  readonly apicv?: string | undefined;
  readonly eoi?: string | undefined;
  readonly tick?: string | undefined;
  readonly pages?: string | undefined;
  readonly upper?: string | undefined;
  readonly levels?: string | undefined;
  readonly guestLevels?: string | undefined;
}

export interface Session {
  readonly common: Common;
  readonly designs: readonly NamedDesign[];
  readonly choices: readonly Choice[];
  readonly vcpus: readonly number[];
}

export async function openSession(
  designTexts: readonly string[],
  vcpus: readonly number[],
  options: SessionOptions,
): Promise<Session> {
  const designs = await Promise.all(designTexts.map(nameDesign));
  const choices = await Promise.all(designs.map((one) => chooseDesign(one)));
  const twice = choices.find(({ name }, i) => choices.findIndex((c) => c.name === name) < i);
  if (twice !== undefined) badInput(`design ${twice.name} is named twice`);
  const machine = options.machine ?? DEFAULT_PRESET;
  findPreset(machine);
  const asked = readConditions(options);
  const work = withUpper(parseWorkload(options.workload), asked.upper);
  const common: Common = {
    workload: work.settings.name,
    machine,
    cpus: options.cpus === undefined ? undefined : count('--cpus', options.cpus, 1, MOST_CPUS),
    seed: options.seed === undefined ? 1 : count('--seed', options.seed, 0, 2 ** 53 - 1),
    conditions: { ...DEFAULT_CONDITIONS, ...asked.system } as Conditions,
    recordings: new Map(),
  };
  for (const size of vcpus) await checkPlan(common, designs[0]!, size, work);
  return { common: { ...common, recordings: load(work) }, designs, choices, vcpus };
}

async function nameDesign(text: string): Promise<NamedDesign> {
  if (!isDesignFile(text)) return { text, axes: undefined, bundle: undefined };
  const { file, axes } = splitDesignFile(text);
  return { text, axes, bundle: await bundleDesign(file) };
}

/** `upper=absent` is `touch` with its pages far apart. */
function withUpper(work: Work, upper: 'present' | 'absent' | undefined): Work {
  const { workload, settings } = work;
  const hasStride = workload.parameters.some(({ name }) => name === 'stride');
  if (upper === undefined) return work;
  if (!hasStride) {
    if (upper === 'present') return work;
    badInput(`upper=absent: workload ${workload.id} has no such condition; touch has`);
  }
  const isAbsent = settings.text('stride') !== '4k';
  if (isAbsent === (upper === 'absent')) return work;
  if (settings.has('stride')) {
    badInput(`upper=${upper} contradicts ${settings.name}: leave one of the two out`);
  }
  const joint = settings.name.includes(':') ? ',' : ':';
  return parseWorkload(`${settings.name}${joint}stride=512g`);
}

/** Sizes are judged before recordings are read: only workloads without recordings have limits. */
async function checkPlan(
  common: Common,
  design: NamedDesign,
  vcpus: number,
  work: Work,
): Promise<void> {
  if (work.workload.recordings(work.settings).length > 0) return;
  planOf(await taskOf(common, { design, vcpus, softwareScale: 1 }));
}

function load({ workload, settings }: Work): ReadonlyMap<string, Recording> {
  return new Map(
    workload.recordings(settings).map(({ name, filter }) => {
      const isBundled = name.startsWith(BUNDLED);
      const file = isBundled ? bundledTrace(name.slice(BUNDLED.length)) : name;
      return [name, recordingOf(loadTrace(file), filter)];
    }),
  );
}

/** A whole number given to `option`. */
export function count(option: string, text: string, least: number, most: number): number {
  const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= least && value <= most) return value;
  const given = text === '' ? 'nothing' : text;
  return badInput(`${option}: ${given} is not a whole number from ${least} to ${most}`);
}

/** `1,2,4`: at least one number, none of them twice. */
export function counts(option: string, text: string, least: number, most: number): number[] {
  const values = text.split(',').map((part) => count(option, part.trim(), least, most));
  const twice = values.find((value, i) => values.indexOf(value) < i);
  if (twice !== undefined) badInput(`${option}: ${twice} is given twice`);
  return values;
}
