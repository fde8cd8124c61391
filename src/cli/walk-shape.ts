/**
 * The shape of the tables that `kpop walk` walks: how many levels, how wide the root, where they
 * begin. x86 says a number of levels; RISC-V a mode of hgatp; Arm a start level and an input
 * address size, whose combination decides how many root tables are concatenated.
 *
 * Source: Arm ARM, VTCR_EL2 (T0SZ, SL0, TG0, PS, HA, HD) and D8.2 (initial lookup, concatenation);
 * RISC-V privileged specification, hgatp. Leaves out: SL2 and DS of VTCR_EL2.
 */
import { type Geometry, rootBitsOf } from '../machine/format/format.ts';
import { type Privilege, SUPERVISOR, USER } from '../machine/format/judge.ts';
import {
  type FormatKind,
  type FormatParams,
  MOST_CONCATENATED_BITS,
} from '../machine/format/registry.ts';
import { FRAME_BYTES } from '../machine/memory.ts';
import { UsageError } from './errors.ts';
import { describe, type Fields, hex, parseHex64 } from './walk-dump.ts';
import type { WalkOptions } from './walk-settings.ts';

const PAGE_SHIFT = 12;
/** Without FEAT_LPA2 an Arm address has at most 48 bits. */
export const MOST_ARM_BITS = 48;
const LEAST_ARM_BITS = 32;
/** The manual's number of the level of 4 KiB pages. */
const ARM_LAST_LEVEL = 3;
/** VTCR_EL2.PS. */
const PA_BITS = [32, 36, 40, 42, 44, 48, 52];
/** Names of parameters that are read here, in lower case. */
export const SHAPE_NAMES = [
  'vtcr_el2',
  'ipabits',
  'startlevel',
  'pabits',
  'concatenatedrootpages',
  'el',
  'hgatp',
  'gpabits',
];

/** What a command line and a dump say. */
export interface Said {
  readonly options: WalkOptions;
  readonly dump: Fields;
  /** The dump's parameters. */
  readonly given: Fields;
  readonly file: string;
  /** Levels that the dump states, or that its format's id implies. */
  readonly levels: number | undefined;
}

export interface Shape {
  readonly geometry: Geometry;
  /** Level of the table at the root. */
  readonly startLevel: number;
  /** Parameters that follow from registers. */
  readonly params: FormatParams;
  /** Frame of the root, where a register names it. */
  readonly root: number | undefined;
  readonly privilege: Privilege | undefined;
}

export function shapeOf(kind: FormatKind, said: Said): Shape {
  if (kind.id === 'arm-stage2') return armShape(kind, said);
  if (kind.id === 'riscv-g') return riscvShape(kind, said);
  const { options, dump, file } = said;
  const levels = levelsOf(kind, options.levels ?? said.levels, options.levels ? '--levels' : file);
  const startLevel = startLevelOf(options.startLevel ?? dump.startLevel, levels, file);
  const geometry = { levels, indexBits: kind.indexBits };
  return { geometry, startLevel, params: {}, root: undefined, privilege: undefined };
}

function startLevelOf(value: unknown, levels: number, file: string): number {
  if (value === undefined) return levels - 1;
  return wholeNumber(value, `${file}: start level`, 0, levels - 1);
}

function riscvShape(kind: FormatKind, said: Said): Shape {
  const { options, file } = said;
  const hgatp = register(said, 'hgatp');
  const mode = hgatp === undefined ? undefined : Number(hgatp >> 60n);
  const ofMode = mode === undefined ? undefined : { 8: 3, 9: 4 }[mode];
  if (mode !== undefined && ofMode === undefined) {
    throw new UsageError(`${file}: hgatp: mode ${mode} is neither Sv39x4 (8) nor Sv48x4 (9)`);
  }
  const stated = agreed(file, 'levels', [said.levels, ofMode]);
  const place = options.levels === undefined ? file : '--levels';
  const levels = levelsOf(kind, options.levels ?? stated, place);
  const wide = kind.wideRoot ?? 0;
  const geometry: Geometry = {
    levels,
    indexBits: kind.indexBits,
    rootBits: kind.indexBits + wide,
  };
  const bits = PAGE_SHIFT + levels * kind.indexBits + wide;
  const told = parameter(said, 'gpabits');
  if (told !== undefined && options.levels === undefined && told.value !== bits) {
    throw new UsageError(
      `${told.place}: ${describe(told.value)} are not the ${bits} of ${levels} levels`,
    );
  }
  const startLevel = startLevelOf(options.startLevel ?? said.dump.startLevel, levels, file);
  const root = hgatp === undefined ? undefined : Number(hgatp & (2n ** 44n - 1n));
  return { geometry, startLevel, params: {}, root, privilege: undefined };
}

/** Fields of VTCR_EL2 that matter to a walk. */
function vtcrOf(said: Said) {
  const vtcr = register(said, 'vtcr_el2');
  if (vtcr === undefined) return undefined;
  const field = (high: number, low: number): number =>
    Number((vtcr >> BigInt(low)) & ((1n << BigInt(high - low + 1)) - 1n));
  if (field(15, 14) !== 0) {
    throw new UsageError(`${said.file}: vtcr_el2: TG0 names a granule other than 4 KiB`);
  }
  if (field(32, 32) !== 0) throw new UsageError(`${said.file}: vtcr_el2: DS is not modelled`);
  const paBits = PA_BITS[field(18, 16)];
  if (paBits === undefined) throw new UsageError(`${said.file}: vtcr_el2: PS is reserved`);
  const startLevel = [2, 1, 0, 3][field(7, 6)]!;
  const [accessFlag, dirtyState] = [field(21, 21) !== 0, field(22, 22) !== 0];
  return { ipaBits: 64 - field(5, 0), startLevel, paBits, accessFlag, dirtyState };
}

function armShape(kind: FormatKind, said: Said): Shape {
  const { options, dump, file } = said;
  const vtcr = vtcrOf(said);
  const number = (name: string, least: number, most: number): number | undefined => {
    const told = parameter(said, name);
    return told === undefined ? undefined : wholeNumber(told.value, told.place, least, most);
  };
  const start = optional(options.startLevel ?? dump.startLevel, '--start-level', 0, ARM_LAST_LEVEL);
  const levels = optional(options.levels, '--levels', 1, ARM_LAST_LEVEL + 1);
  const dumpStart = agreed(file, 'start levels', [
    number('startlevel', 0, ARM_LAST_LEVEL),
    vtcr?.startLevel,
    said.levels === undefined ? undefined : ARM_LAST_LEVEL + 1 - said.levels,
  ]);
  const dumpBits = agreed(file, 'address sizes', [number('ipabits', 16, 52), vtcr?.ipaBits]);
  const asked = optional(options.ipaBits, '--ipa-bits', 16, MOST_ARM_BITS) ?? dumpBits;
  const fromLevels = levels === undefined ? undefined : ARM_LAST_LEVEL + 1 - levels;
  const startLevel =
    agreed('walk', 'start levels', [start, fromLevels]) ?? dumpStart ?? usualStart(kind, asked);
  const count = ARM_LAST_LEVEL + 1 - startLevel;
  const ipaBits = asked ?? PAGE_SHIFT + count * kind.indexBits;
  const rootBits = ipaBits - PAGE_SHIFT - (count - 1) * kind.indexBits;
  const mostBits = kind.indexBits + (startLevel === 0 ? 0 : MOST_CONCATENATED_BITS);
  if (rootBits < 1 || rootBits > mostBits) {
    throw new UsageError(`${file}: ${ipaBits} address bits cannot start at level ${startLevel}`);
  }
  const pages = number('concatenatedrootpages', 1, 2 ** MOST_CONCATENATED_BITS);
  const concatenated = 2 ** Math.max(0, rootBits - kind.indexBits);
  const isAsTheDumpSays = start === undefined && levels === undefined && asked === dumpBits;
  if (pages !== undefined && isAsTheDumpSays && pages !== concatenated) {
    const need = `${ipaBits} bits from level ${startLevel} on need ${concatenated} root tables`;
    throw new UsageError(`${file}: ${need}, not ${pages}`);
  }
  const paBits = agreed(file, 'output address sizes', [number('pabits', 32, 52), vtcr?.paBits]);
  return {
    geometry: { levels: count, indexBits: kind.indexBits, rootBits },
    startLevel: count - 1,
    params: {
      ...(vtcr === undefined ? {} : { accessFlag: vtcr.accessFlag, dirtyState: vtcr.dirtyState }),
      paBits: Math.max(LEAST_ARM_BITS, Math.min(MOST_ARM_BITS, paBits ?? MOST_ARM_BITS)),
    },
    root: undefined,
    privilege: exceptionLevel(said),
  };
}

/** As KVM chooses: as few levels as sixteen concatenated root tables allow. */
function usualStart(kind: FormatKind, ipaBits: number | undefined): number {
  if (ipaBits === undefined) return ARM_LAST_LEVEL + 1 - kind.levels[0]!;
  const bits = ipaBits - PAGE_SHIFT - MOST_CONCATENATED_BITS;
  const levels = Math.max(2, Math.ceil(bits / kind.indexBits));
  return ARM_LAST_LEVEL + 1 - levels;
}

function exceptionLevel(said: Said): Privilege | undefined {
  const told = parameter(said, 'el');
  if (told === undefined) return undefined;
  const level = String(told.value).toUpperCase().replace(/^EL/, '');
  if (level === '0') return USER;
  if (level === '1') return SUPERVISOR;
  throw new UsageError(`${told.place}: ${describe(told.value)} is neither EL0 nor EL1`);
}

/** A parameter of the dump, whatever its letter case. */
function parameter({ given, file }: Said, name: string) {
  const found = Object.entries(given).find(([key]) => key.toLowerCase() === name);
  return found && { value: found[1], place: `${file}: parameters.${found[0]}` };
}

function register(said: Said, name: string): bigint | undefined {
  const told = parameter(said, name);
  return told === undefined ? undefined : parseHex64(told.value, told.place);
}

/** What several sources say alike. */
function agreed(
  place: string,
  what: string,
  values: readonly (number | undefined)[],
): number | undefined {
  const said = values.filter((value) => value !== undefined);
  if (new Set(said).size > 1) {
    throw new UsageError(`${place}: ${what} are ${said.join(' and ')} at once`);
  }
  return said[0];
}

/** The root of concatenated tables is aligned to all of them. */
export function assertRoot(shape: Shape, root: number | undefined, place: string): void {
  const { geometry } = shape;
  const isTop = shape.startLevel === geometry.levels - 1;
  const frames = 2 ** Math.max(0, rootBitsOf(geometry) - geometry.indexBits);
  if (root === undefined || !isTop || root % frames === 0) return;
  const at = hex(root * FRAME_BYTES);
  throw new UsageError(`${place}: ${at} is not a multiple of ${hex(frames * FRAME_BYTES)}`);
}

function optional(value: unknown, place: string, least: number, most: number): number | undefined {
  return value === undefined ? undefined : wholeNumber(value, place, least, most);
}

export function wholeNumber(value: unknown, place: string, least: number, most: number): number {
  const number = typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value;
  if (typeof number === 'number' && Number.isInteger(number) && number >= least && number <= most) {
    return number;
  }
  throw new UsageError(`${place}: ${describe(value)} is no whole number from ${least} to ${most}`);
}

export function levelsOf(kind: FormatKind, value: unknown, place: string): number {
  if (value === undefined) return kind.levels[0]!;
  const levels = wholeNumber(value, `${place}: levels`, 1, 9);
  if (kind.levels.includes(levels)) return levels;
  throw new UsageError(
    `${place}: ${kind.id} has ${kind.levels.join(' or ')} levels, not ${levels}`,
  );
}
