/**
 * What a workload is: a description that people read, parameters with units, and a plan that says
 * what every vCPU does. It knows the guest's vCPUs and kernel, and neither level nor design.
 */
import { badInput } from '../base/bad-input.ts';
import { suggestion } from '../base/nearest.ts';
import type { Program } from '../guest/program/environment.ts';
import type { GuestImage } from '../guest/program/shadow-guest.ts';
import type { Recording } from './recording.ts';

/** A whole number within `range`, or one of `values`. */
export interface Parameter {
  readonly name: string;
  readonly unit: string;
  readonly default: string;
  readonly describe: string;
  readonly range?: readonly [least: number, most: number];
  readonly values?: readonly string[];
}

/** What a run of the workload needs and does. */
export interface Plan {
  readonly program: Program;
  /** Guest pages that the programs of one vCPU hold at a time, their tables not counted. */
  readonly pagesPerVcpu: number;
  /** Distance between the guest frames of data pages; 1 = consecutive. */
  readonly stride: number;
  /** Files of a guest whose processes have areas; undefined: none has. */
  readonly spaces?: { readonly files: number; readonly filePages: number };
  /** Interrupts beside shootdowns: the timer's ticks per second, unless a condition says it. */
  readonly interrupts?: {
    readonly tickHz: number;
    /** Whether programs wait for ticks, and without any would never end. */
    readonly waits?: boolean;
  };
  /**
   * Guest frames whose second-stage entries a thread of the host takes away before the measured
   * part; filled by the program while it is set up.
   */
  readonly withdrawn?: readonly number[];
  /** A guest that brings its own memory and code, instead of a program for a kernel's processes. */
  readonly image?: GuestImage;
  /** A thread of the host logs all guest memory. */
  readonly logged?: Logged;
  /** Pages of devices, in a guest whose memory slots may change; undefined: they never do. */
  readonly devices?: number;
  /** A thread of the host takes turns with the vCPUs. */
  readonly turns?: Turns;
}

/** What a thread of the host does, so many times, whenever all vCPUs have passed. */
export type Turns =
  | { readonly rounds: number; readonly does: 'change-slots' }
  | { readonly rounds: number; readonly does: 'recover-huge'; readonly ratio: number };

/**
 * Dirty logging by a thread of the host: it begins before the measured part. Each time that `bell`
 * has been rung by all vCPUs once more, the thread harvests, `rounds` times in all; then it stops.
 */
export interface Logged {
  readonly rounds: number;
  readonly bell: number;
}

export interface Workload {
  readonly id: string;
  readonly title: string;
  /** What one operation is. */
  readonly operation: string;
  readonly standsFor: string;
  readonly assumes: readonly string[];
  readonly leavesOut: readonly string[];
  /** Counting conditions that its numbers hang on. */
  readonly conditions: readonly string[];
  readonly parameters: readonly Parameter[];
  /** What the first item of its text is, if that is no parameter. */
  readonly file?: string;
  recordings(settings: Settings): readonly NeededRecording[];
  plan(settings: Settings, vcpus: number, recordings: Recordings): Plan;
}

export interface NeededRecording {
  /** A file, or `bundled:` and a name. */
  readonly name: string;
  /** Pages of the LRU list that its lines are to be seen through; 0 = as recorded. */
  readonly filter: number;
}

/** Recordings by name. */
export type Recordings = ReadonlyMap<string, Recording>;

/** A workload with a value for each parameter. */
export class Settings {
  /** The text that chose the workload and its parameters. */
  readonly name: string;
  readonly file: string;
  readonly #values: ReadonlyMap<string, string>;
  readonly #given: ReadonlySet<string>;

  constructor(
    name: string,
    file: string,
    values: ReadonlyMap<string, string>,
    given: ReadonlySet<string>,
  ) {
    this.name = name;
    this.file = file;
    this.#values = values;
    this.#given = given;
  }

  text(parameter: string): string {
    return this.#values.get(parameter)!;
  }

  number(parameter: string): number {
    return Number(this.text(parameter));
  }

  /** Whether the parameter was given rather than left to its default. */
  has(parameter: string): boolean {
    return this.#given.has(parameter);
  }

  /** All parameters, defaults included: `pages=256, stride=4k`. */
  all(): string {
    return [...this.#values].map(([name, value]) => `${name}=${value}`).join(', ');
  }
}

/** Reads what follows the colon: `pages=512,stride=2m`, or a file and then parameters. */
export function readSettings(workload: Workload, name: string, text: string | undefined): Settings {
  const where = `workload ${workload.id}`;
  const parts = text === undefined || text === '' ? [] : text.split(',');
  const file = workload.file === undefined ? '' : takeFile(workload, parts);
  if (workload.file !== undefined && file === '') {
    badInput(`${where}: name ${workload.file}: ${workload.id}:<file>`);
  }
  const given = new Map<string, string>();
  for (const part of parts) {
    const equals = part.indexOf('=');
    if (equals <= 0) badInput(`${where}: '${part}' is not parameter=value`);
    const key = part.slice(0, equals);
    if (given.has(key)) badInput(`${where}: parameter ${key} is given twice`);
    given.set(key, part.slice(equals + 1));
  }
  const names = workload.parameters.map((parameter) => parameter.name);
  for (const key of given.keys()) {
    const known = names.length === 0 ? '; it has none' : suggestion(key, names);
    if (!names.includes(key)) badInput(`${where}: unknown parameter ${key}${known}`);
  }
  const values = workload.parameters.map((parameter): [string, string] => {
    const value = given.get(parameter.name) ?? parameter.default;
    checkValue(where, parameter, value);
    return [parameter.name, value];
  });
  return new Settings(name, file, new Map(values), new Set(given.keys()));
}

/** Takes the leading items that are no parameters: a file's name may hold commas. */
function takeFile(workload: Workload, parts: string[]): string {
  const isParameter = (part: string): boolean =>
    workload.parameters.some(({ name }) => part.startsWith(`${name}=`));
  const first = parts.findIndex((part, i) => i > 0 && isParameter(part));
  return parts.splice(0, first < 0 ? parts.length : first).join(',');
}

function checkValue(where: string, parameter: Parameter, value: string): void {
  const { name, range, values } = parameter;
  if (values !== undefined) {
    if (values.includes(value)) return;
    badInput(
      `${where}: ${name} cannot be ${value === '' ? 'empty' : value}, only ${choice(values)}`,
    );
  }
  const [least, most] = range ?? [0, Number.MAX_SAFE_INTEGER];
  const number = /^\d{1,15}$/.test(value) ? Number(value) : Number.NaN;
  if (number >= least && number <= most) return;
  const told = value === '' ? 'has no value' : `cannot be ${value}`;
  badInput(`${where}: ${name} ${told}; it is a whole number from ${least} to ${most}`);
}

function choice(values: readonly string[]): string {
  return `${values.slice(0, -1).join(', ')} or ${values.at(-1)}`;
}
