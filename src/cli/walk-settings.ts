/**
 * What `kpop walk` walks: the command line's options over what the dump says of itself. Parameter
 * names are those of the manuals in the spellings that dumps use; letter case does not matter.
 * What Arm and RISC-V say of the shape of their tables is in walk-shape.ts.
 *
 * Leaves out: formats that are not built yet, which are named as such.
 */

import type { Geometry } from '../machine/format/format.ts';
import type { Privilege } from '../machine/format/judge.ts';
import type { FormatKind, FormatParams } from '../machine/format/registry.ts';
import { findFormat, formatKinds } from '../machine/format/registry.ts';
import { UsageError } from './errors.ts';
import { describe, type Fields, fieldsOf, parseHex64, parseTable } from './walk-dump.ts';
import {
  assertRoot,
  levelsOf,
  MOST_ARM_BITS,
  SHAPE_NAMES,
  shapeOf,
  wholeNumber,
} from './walk-shape.ts';

/** Values as a command line gives them. */
export interface WalkOptions {
  /** The dump: a file, or `-`. */
  readonly memory: string;
  /** Of a raw dump: its first physical address. */
  readonly base?: string | undefined;
  readonly format?: string | undefined;
  readonly root?: string | undefined;
  readonly levels?: string | number | undefined;
  /**
   * Level of the table at the root, 0 being that of 4 KiB pages; by default levels - 1. Of Arm the
   * manual's number.
   */
  readonly startLevel?: string | number | undefined;
  readonly nxe?: string | boolean | undefined;
  readonly wp?: string | boolean | undefined;
  readonly smep?: string | boolean | undefined;
  readonly smap?: string | boolean | undefined;
  readonly accessDirty?: string | boolean | undefined;
  readonly executeOnly?: string | boolean | undefined;
  readonly gigabytePages?: string | boolean | undefined;
  readonly maxPhysBits?: string | number | undefined;
  readonly ipaBits?: string | number | undefined;
  readonly ha?: string | boolean | undefined;
  readonly hd?: string | boolean | undefined;
  readonly xnx?: string | boolean | undefined;
  /** Guest-physical address of the guest's root: makes the walk two-dimensional. */
  readonly guestRoot?: string | undefined;
  readonly guestFormat?: string | undefined;
  readonly guestLevels?: string | number | undefined;
  readonly address?: readonly string[] | undefined;
  readonly probes?: string | undefined;
  readonly json?: boolean | undefined;
}

export interface Stage {
  readonly kind: FormatKind;
  readonly levels: number;
  readonly startLevel: number;
  readonly geometry: Geometry;
  /** Frame of the root table; undefined if every probe brings its own. */
  readonly root: number | undefined;
}

export interface WalkSettings {
  /** The only stage, or the second one under a guest. */
  readonly stage: Stage;
  /** Its tables lie at guest-physical addresses. */
  readonly guest: Stage | undefined;
  readonly params: FormatParams;
  /** Who makes an access if a probe does not say; undefined: whoever does in that format. */
  readonly privilege: Privilege | undefined;
  /** Sentences for stderr that do not stop anything. */
  readonly notes: readonly string[];
}

type ParamName = keyof FormatParams;

/** Names in dumps, in lower case. */
const FLAG_NAMES: Readonly<Record<string, ParamName>> = {
  nxe: 'nxe',
  hostnxe: 'nxe',
  wp: 'wp',
  hostwp: 'wp',
  smep: 'smep',
  smap: 'smap',
  hardwaread: 'accessDirty',
  accessdirty: 'accessDirty',
  accesseddirty: 'accessDirty',
  executeonly: 'executeOnly',
  gigabytepages: 'gigabytePages',
  ha: 'accessFlag',
  hd: 'dirtyState',
  xnx: 'xnx',
};
/** Address bits of the formats: the widest MAXPHYADDR. */
const MOST_PHYS_BITS = 52;
const WIDTH_NAMES = ['maxphyaddr', 'maxphybits', 'maxphysbits'];
/** Features that this program does not model: a dump may only say that they are off. */
const ABSENT_FEATURES = ['mbec', 'pke', 'pks', 'cet', 'lass', 'svnapot', 'svpbmt', 'ds'];
const LEVEL_NAMES = ['la57', 'eptppagewalklength'];
/** Said by dumps and without influence on a walk. */
const IGNORED = ['eptpmemtype', 'fwb', 'stage1'];

export function settle(options: WalkOptions, dump: Fields, file: string): WalkSettings {
  const parameters = dump.parameters === undefined ? {} : dump.parameters;
  const given = fieldsOf(parameters, `${file}: parameters`);
  const notes: string[] = [];
  const [kind, implied] = formatKind(
    options.format ?? dump.format,
    options.format ? '--format' : file,
  );
  const said = dumpLevels(dump, given, file) ?? implied;
  const shape = shapeOf(kind, { options, dump, given, file, levels: said });
  const params = {
    maxPhyBits: MOST_PHYS_BITS, // nothing is reserved that nobody called so
    ...shape.params,
    ...dumpParams(given, file, notes),
    ...optionParams(options),
  };
  if (params.dirtyState === true && params.accessFlag !== true) {
    throw new UsageError('walk: HD without HA: hardware that keeps dirty state sets Access flags');
  }
  const root = rootOf(options.root, '--root', dump.root, `${file}: root`) ?? shape.root;
  assertRoot(shape, root, options.root === undefined ? `${file}: root` : '--root');
  const { geometry, startLevel, privilege } = shape;
  const stage: Stage = { kind, levels: geometry.levels, startLevel, geometry, root };
  return { stage, guest: guestStage(options, dump, kind, file), params, privilege, notes };
}

function guestStage(
  options: WalkOptions,
  dump: Fields,
  second: FormatKind,
  file: string,
): Stage | undefined {
  const root = rootOf(options.guestRoot, '--guest-root', dump.guestRoot, `${file}: guestRoot`);
  if (root === undefined) {
    if (options.guestFormat === undefined && options.guestLevels === undefined) return undefined;
    throw new UsageError('walk: --guest-format and --guest-levels need --guest-root');
  }
  if (!second.isUnderGuests) {
    const why = second.hasPrivilege ? '' : ': its guests are not modelled';
    const needed = 'a guest root needs a second stage as --format, npt or ept';
    throw new UsageError(`walk: ${needed}, not ${second.id}${why}`);
  }
  const [kind] = formatKind(options.guestFormat ?? dump.guestFormat ?? 'x86-64', '--guest-format');
  if (!kind.hasPrivilege) {
    throw new UsageError(`walk: --guest-format ${kind.id} is no format of a guest's own tables`);
  }
  const levels = levelsOf(kind, options.guestLevels ?? dump.guestLevels, '--guest-levels');
  const geometry = { levels, indexBits: kind.indexBits };
  return { kind, levels, startLevel: levels - 1, geometry, root };
}

function rootOf(
  option: string | undefined,
  optionPlace: string,
  field: unknown,
  fieldPlace: string,
): number | undefined {
  if (option !== undefined) return parseTable(option, optionPlace);
  return field === undefined ? undefined : parseTable(field, fieldPlace);
}

/** The format, and the levels that its id implies. */
function formatKind(id: unknown, place: string): [FormatKind, number | undefined] {
  const known = formatKinds()
    .map((kind) => kind.id)
    .join(', ');
  if (id === undefined) throw new UsageError(`walk: name the format with --format: ${known}`);
  if (typeof id !== 'string') throw new UsageError(`${place}: format ${describe(id)} is no name`);
  const found = findFormat(id);
  if (found.kind === 'found') return [found.format, found.levels];
  if (found.kind === 'not-yet') {
    throw new UsageError(`${place}: format ${id} cannot be walked yet; there are ${known}`);
  }
  throw new UsageError(`${place}: unknown format ${describe(id)}; there are ${known}`);
}

function flag(value: unknown, place: string): boolean {
  if (value === true || value === 1) return true;
  if (value === false || value === 0) return false;
  const text = typeof value === 'string' ? value.toLowerCase() : '';
  if (['1', 'true', 'on', 'yes'].includes(text)) return true;
  if (['0', 'false', 'off', 'no'].includes(text)) return false;
  throw new UsageError(`${place}: ${describe(value)} is neither on nor off`);
}

/** The number of levels that a dump states, once or several times. */
function dumpLevels(dump: Fields, given: Fields, file: string): number | undefined {
  const statements: number[] = [];
  if (dump.levels !== undefined) {
    statements.push(wholeNumber(dump.levels, `${file}: levels`, 1, 9));
  }
  for (const [name, value] of Object.entries(given)) {
    const place = `${file}: parameters.${name}`;
    if (name.toLowerCase() === 'la57') statements.push(flag(value, place) ? 5 : 4);
    if (name.toLowerCase() === 'eptppagewalklength') {
      statements.push(wholeNumber(value, place, 1, 9));
    }
  }
  if (new Set(statements).size > 1) {
    throw new UsageError(`${file}: levels are ${statements.join(' and ')} at once`);
  }
  return statements[0];
}

function dumpParams(given: Fields, file: string, notes: string[]): FormatParams {
  const params: Partial<Record<ParamName, boolean | number>> = {};
  const unknown: string[] = [];
  let capabilities: FormatParams = {};
  for (const [name, value] of Object.entries(given)) {
    const place = `${file}: parameters.${name}`;
    const key = name.toLowerCase();
    if (Object.hasOwn(FLAG_NAMES, key)) params[FLAG_NAMES[key]] = flag(value, place);
    else if (WIDTH_NAMES.includes(key))
      params.maxPhyBits = wholeNumber(value, place, 32, MOST_PHYS_BITS);
    else if (ABSENT_FEATURES.includes(key)) refuseFeature(value, place);
    else if (key === 'eptvpidcap') capabilities = capability(value, place);
    else if (![...LEVEL_NAMES, ...IGNORED, ...SHAPE_NAMES].includes(key)) unknown.push(name);
  }
  if (unknown.length > 0) {
    notes.push(`${file}: parameters not known to kpop are ignored: ${unknown.join(', ')}`);
  }
  return { ...capabilities, ...(params as FormatParams) };
}

function refuseFeature(value: unknown, place: string): void {
  if (flag(value, place)) throw new UsageError(`${place}: this feature is not modelled`);
}

/** IA32_VMX_EPT_VPID_CAP bits 0 and 17; what the dump says in words wins. */
function capability(value: unknown, place: string): FormatParams {
  const bits = parseHex64(value, place);
  return { executeOnly: (bits & 1n) !== 0n, gigabytePages: ((bits >> 17n) & 1n) !== 0n };
}

function optionParams(options: WalkOptions): FormatParams {
  const params: Partial<Record<ParamName, boolean | number>> = {};
  const flags: readonly [ParamName, unknown, string][] = [
    ['nxe', options.nxe, '--nxe'],
    ['wp', options.wp, '--wp'],
    ['smep', options.smep, '--smep'],
    ['smap', options.smap, '--smap'],
    ['accessDirty', options.accessDirty, '--access-dirty'],
    ['executeOnly', options.executeOnly, '--execute-only'],
    ['gigabytePages', options.gigabytePages, '--gigabyte-pages'],
    ['accessFlag', options.ha, '--ha'],
    ['dirtyState', options.hd, '--hd'],
    ['xnx', options.xnx, '--xnx'],
  ];
  for (const [name, value, option] of flags) {
    if (value !== undefined) params[name] = flag(value, option);
  }
  if (options.maxPhysBits !== undefined) {
    const bits = wholeNumber(options.maxPhysBits, '--max-phys-bits', 32, MOST_PHYS_BITS);
    params.maxPhyBits = bits;
    params.paBits = Math.min(bits, MOST_ARM_BITS);
  }
  return params as FormatParams;
}
