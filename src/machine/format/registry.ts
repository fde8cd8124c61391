/**
 * Table formats by the id that a command line or a dump names. Arm stage 2 and the RISC-V G stage
 * have their ids reserved: asking for them says "not yet", never "unknown".
 *
 * Source: DESIGN.md section 5. Leaves out: VT-d and AMD-Vi second stages, until they are built.
 */
import { type EptParams, ept } from './ept.ts';
import type { Geometry } from './format.ts';
import type { WalkedFormat } from './judge.ts';
import { npt } from './npt.ts';
import { type LongModeParams, x86_64 } from './x86-64.ts';

/** The union of what formats take; each reads its own and ignores the rest. */
export type FormatParams = Partial<EptParams & LongModeParams>;

export interface FormatKind {
  readonly id: string;
  readonly title: string;
  /** Numbers of levels that the manual knows; the first is the default. */
  readonly levels: readonly number[];
  readonly indexBits: number;
  /** Addresses are sign-extended from the highest translated bit; else anything above it is 0. */
  readonly signExtended: boolean;
  /** Whether an access has a privilege; nested formats see user accesses only. */
  readonly hasPrivilege: boolean;
  create(geometry: Geometry, params: FormatParams): WalkedFormat;
}

const KINDS: readonly FormatKind[] = [
  {
    id: 'x86-64',
    title: 'long-mode page tables',
    levels: [4, 5],
    indexBits: 9,
    signExtended: true,
    hasPrivilege: true,
    create: x86_64,
  },
  {
    id: 'npt',
    title: 'nested page tables (AMD SVM)',
    levels: [4, 5],
    indexBits: 9,
    signExtended: false,
    hasPrivilege: false,
    create: npt,
  },
  {
    id: 'ept',
    title: 'extended page tables (Intel VMX)',
    levels: [4, 5],
    indexBits: 9,
    signExtended: false,
    hasPrivilege: false,
    create: ept,
  },
];

const RESERVED_IDS = ['arm-stage2', 'riscv-g'];
/** Ids that dumps use for the same formats with their variant spelled out. */
const RESERVED_PREFIXES = ['arm-stage2-', 'riscv-sv'];

export type FormatLookup =
  | { readonly kind: 'found'; readonly format: FormatKind }
  | { readonly kind: 'not-yet' }
  | { readonly kind: 'unknown' };

export function formatKinds(): readonly FormatKind[] {
  return KINDS;
}

export function findFormat(id: string): FormatLookup {
  const format = KINDS.find((each) => each.id === id);
  if (format !== undefined) return { kind: 'found', format };
  const reserved =
    RESERVED_IDS.includes(id) || RESERVED_PREFIXES.some((prefix) => id.startsWith(prefix));
  return { kind: reserved ? 'not-yet' : 'unknown' };
}
