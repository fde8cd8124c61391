/**
 * Table formats by the id that a command line or a dump names, with what differs between manuals
 * around a walk: how levels are counted, how wide the root is, who makes an access.
 *
 * Source: DESIGN.md section 5; Arm ARM D8.2 (concatenated tables); RISC-V privileged specification
 * (Sv39x4, Sv48x4). Leaves out: VT-d and AMD-Vi second stages, and Arm's other granules, until they
 * are built.
 */
import { type ArmStage2Params, armStage2 } from './arm-stage2.ts';
import { type EptParams, ept } from './ept.ts';
import type { Geometry } from './format.ts';
import { type Privilege, SUPERVISOR, USER, type WalkedFormat } from './judge.ts';
import { npt } from './npt.ts';
import { riscvG } from './riscv-g.ts';
import { type LongModeParams, x86_64 } from './x86-64.ts';

/** The union of what formats take; each reads its own and ignores the rest. */
export type FormatParams = Partial<EptParams & LongModeParams & ArmStage2Params>;

export interface FormatKind {
  readonly id: string;
  readonly title: string;
  /** Ids that dumps use for it with the variant spelled out, and the levels that they imply. */
  readonly aliases: Readonly<Record<string, number | undefined>>;
  /** Numbers of levels that the manual knows; the first is the default. */
  readonly levels: readonly number[];
  readonly indexBits: number;
  /** Index bits by which the root exceeds other tables; undefined if addresses have any width. */
  readonly wideRoot: number | undefined;
  /** Addresses are sign-extended from the highest translated bit; else anything above it is 0. */
  readonly signExtended: boolean;
  /** Whether an access has a privilege; nested formats see user accesses only. */
  readonly hasPrivilege: boolean;
  /** Who makes an access if nobody says. */
  readonly privilege: Privilege;
  /** Whether it may be the second stage under long-mode guests. */
  readonly isUnderGuests: boolean;
  /** The manual's number of a level. */
  architecturalLevel(level: number): number;
  create(geometry: Geometry, params: FormatParams): WalkedFormat;
}

/** Intel and AMD name the level of 4 KiB pages 1. */
const X86 = {
  aliases: {},
  levels: [4, 5],
  indexBits: 9,
  wideRoot: 0,
  privilege: USER,
  architecturalLevel: (level: number): number => level + 1,
} as const;

/** A root is at most 16 tables of Arm. */
export const MOST_CONCATENATED_BITS = 4;
/** Arm counts levels from the other end. */
const ARM_LAST_LEVEL = 3;

const KINDS: readonly FormatKind[] = [
  {
    ...X86,
    id: 'x86-64',
    title: 'long-mode page tables',
    signExtended: true,
    hasPrivilege: true,
    isUnderGuests: false,
    create: x86_64,
  },
  {
    ...X86,
    id: 'npt',
    title: 'nested page tables (AMD SVM)',
    signExtended: false,
    hasPrivilege: false,
    isUnderGuests: true,
    create: npt,
  },
  {
    ...X86,
    id: 'ept',
    title: 'extended page tables (Intel VMX)',
    signExtended: false,
    hasPrivilege: false,
    isUnderGuests: true,
    create: ept,
  },
  {
    id: 'arm-stage2',
    title: 'stage 2 tables of Arm, 4 KiB granule',
    aliases: { 'arm-stage2-4k': undefined },
    levels: [3, 4, 2, 1],
    indexBits: 9,
    wideRoot: undefined,
    signExtended: false,
    hasPrivilege: false,
    privilege: SUPERVISOR,
    isUnderGuests: false,
    architecturalLevel: (level) => ARM_LAST_LEVEL - level,
    create: (geometry, params) => {
      const hardware = params.accessDirty === undefined ? {} : flagsOf(params.accessDirty);
      return armStage2(geometry, { ...hardware, ...params });
    },
  },
  {
    id: 'riscv-g',
    title: 'G-stage tables of RISC-V, Sv39x4 and Sv48x4',
    aliases: { 'riscv-sv39x4': 3, 'riscv-sv48x4': 4 },
    levels: [3, 4],
    indexBits: 9,
    wideRoot: 2,
    signExtended: false,
    hasPrivilege: false,
    privilege: USER,
    isUnderGuests: false,
    architecturalLevel: (level) => level,
    create: (geometry, { accessDirty: hardwareAD }) => {
      return riscvG(geometry, hardwareAD === undefined ? {} : { hardwareAD });
    },
  },
];

function flagsOf(isSet: boolean): Partial<ArmStage2Params> {
  return { accessFlag: isSet, dirtyState: isSet };
}

/** Ids that dumps may use for what is not built. */
const RESERVED_PREFIXES = ['arm-stage2-', 'riscv-sv'];

export type FormatLookup =
  | { readonly kind: 'found'; readonly format: FormatKind; readonly levels: number | undefined }
  | { readonly kind: 'not-yet' }
  | { readonly kind: 'unknown' };

export function formatKinds(): readonly FormatKind[] {
  return KINDS;
}

/** `levels`: where the id implies them. */
export function findFormat(id: string): FormatLookup {
  const format = KINDS.find((each) => each.id === id || Object.hasOwn(each.aliases, id));
  if (format !== undefined) return { kind: 'found', format, levels: format.aliases[id] };
  const reserved = RESERVED_PREFIXES.some((prefix) => id.startsWith(prefix));
  return { kind: reserved ? 'not-yet' : 'unknown' };
}
