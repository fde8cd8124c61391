/**
 * Why a walk failed, in the terms of each format: the fields that the machine itself reports.
 *
 * Sources: Intel SDM vol. 3, 4.7 (page-fault error code) and 27.2.1 (exit qualification); AMD APM
 * vol. 2, 15.25.6 (EXITINFO1 and 2); Arm ARM, ESR_ELx (EC, IL, WnR, fault status code), HPFAR_EL2;
 * RISC-V privileged specification, mcause, mtval, mtval2.
 * Leaves out: of Arm's syndrome all that describes the instruction (ISV = 0) and S1PTW.
 */
import { armFaultStatus } from '../machine/format/arm-stage2.ts';
import {
  ABSENT,
  type Access,
  DENIED,
  EXECUTE,
  MALFORMED,
  type Outcome,
  UNFLAGGED,
  WRITE,
} from '../machine/format/judge.ts';
import { hex } from './walk-dump.ts';

export interface Cause {
  /**
   * page-fault, general-protection, npf, ept-violation, ept-misconfig; of Arm translation,
   * address-size, access-flag, permission; of RISC-V fetch-, load-, store-guest-page-fault; hole.
   */
  readonly kind: string;
  /** The code that the machine reports, in hexadecimal; absent where it reports none. */
  readonly code?: string;
  readonly exitReason?: string;
  /** The names of the bits that are set. */
  readonly bits?: readonly string[];
  /** Of a hole: the missing word. */
  readonly pa?: string;
}

/** What the machine reports, by the names of its registers. */
export interface Reported {
  readonly errorCode?: number;
  readonly exitQualification?: string;
  readonly exitInfo1?: string;
  readonly exitInfo2?: string;
  /** Arm: fault status code, syndrome, and page of the faulting address. */
  readonly fst?: number;
  readonly esr?: string;
  readonly hpfar?: string;
  /** RISC-V. */
  readonly exceptionCode?: number;
  readonly mtval?: string;
  readonly mtval2?: string;
}

export interface Failed {
  readonly format: string;
  readonly outcome: Outcome;
  readonly code: number;
  /** Level of the entry that stopped the walk. */
  readonly level: number;
  readonly access: Access;
  /** The guest-physical address of the access. */
  readonly gpa: bigint;
}

const PAGE_FAULT_BITS = ['present', 'write', 'user', 'reserved', 'fetch'];
const EPT_BITS = [
  'read',
  'write',
  'fetch',
  'readable',
  'writable',
  'executable',
  'user-executable',
  'linear',
  'final',
];

const ARM_KINDS: Readonly<Record<number, string>> = {
  [ABSENT]: 'translation',
  [MALFORMED]: 'address-size',
  [UNFLAGGED]: 'access-flag',
  [DENIED]: 'permission',
};
/** Exception classes: instruction and data abort from a lower exception level. */
const INSTRUCTION_ABORT = 0x20;
const DATA_ABORT = 0x24;
const WRITE_NOT_READ = 1 << 6;

const RISCV_KINDS: Readonly<Record<number, string>> = {
  20: 'fetch-guest-page-fault',
  21: 'load-guest-page-fault',
  23: 'store-guest-page-fault',
};

function names(code: number, bits: readonly string[]): string[] {
  return bits.filter((_, bit) => ((code >>> bit) & 1) === 1);
}

type Told = Reported & { readonly cause: Cause & Reported };

/** The cause of a failure, and beside it the fields that the machine itself reports. */
export function causeOf(failed: Failed): Told {
  const { format } = failed;
  if (format === 'ept') return eptCause(failed);
  if (format === 'arm-stage2') return armCause(failed);
  if (format === 'riscv-g') return riscvCause(failed);
  return longModeCause(failed);
}

function eptCause({ outcome, code }: Failed): Told {
  if (outcome === MALFORMED) return { cause: { kind: 'ept-misconfig', exitReason: '0x31' } };
  const exitQualification = hex(code);
  const bits = names(code, EPT_BITS);
  const exit = { code: exitQualification, exitReason: '0x30', exitQualification, bits };
  return { cause: { kind: 'ept-violation', ...exit }, exitQualification };
}

function longModeCause({ format, code, gpa }: Failed): Told {
  const errorCode = code % 2 ** 32;
  const bits = names(errorCode, PAGE_FAULT_BITS);
  if (format !== 'npt') {
    return { cause: { kind: 'page-fault', code: hex(errorCode), errorCode, bits }, errorCode };
  }
  bits.push(code >= 2 ** 33 ? 'guest-table' : 'final');
  const reported = { errorCode, exitInfo1: hex(code), exitInfo2: wide(gpa) };
  const exit = { code: hex(code), exitReason: '0x400', ...reported, bits };
  return { cause: { kind: 'npf', ...exit }, ...reported };
}

function armCause({ outcome, level, access, gpa }: Failed): Told {
  const fst = armFaultStatus({ outcome }, level);
  const abort = access === EXECUTE ? INSTRUCTION_ABORT : DATA_ABORT;
  const syndrome = fst | (access === WRITE ? WRITE_NOT_READ : 0);
  const esr = hex(abort * 2 ** 26 + 2 ** 25 + syndrome); // IL: a 32-bit instruction
  const reported = { fst, esr, hpfar: wide((gpa >> 12n) << 4n) };
  return {
    cause: { kind: ARM_KINDS[outcome] ?? 'fault', code: hex(fst), ...reported },
    ...reported,
  };
}

function riscvCause({ code, gpa }: Failed): Told {
  const reported = { exceptionCode: code, mtval: wide(gpa), mtval2: wide(gpa >> 2n) };
  return {
    cause: { kind: RISCV_KINDS[code] ?? 'fault', code: hex(code), ...reported },
    ...reported,
  };
}

/** An address of up to 64 bits. */
export function wide(value: bigint): string {
  return `0x${value.toString(16)}`;
}

export function holeCause(pa: string): Cause {
  return { kind: 'hole', pa };
}
