/**
 * POLICY in L0: one table per VM, replaced as a whole. A new version is copied from L1's page to a
 * frame of L0's, checked there, and published by exchanging one pointer; the frame of the version
 * before is given back after a grace period, because a thread that handles an exit of L2 may be
 * reading it. vCPU threads are readers by their mode, so an answer costs one load of the pointer.
 *
 * Source: primer/x86.md 6.8 (proposal).
 */

import { Status } from '../../abi/kpop.ts';
import {
  CPUID_LIMIT,
  CPUID_ROW_BYTES,
  CpuidRow,
  EMULATED,
  HLT_BY_L0,
  MSR_ICR,
  MSR_LIMIT,
  MSR_ROW_BYTES,
  MSR_TSC_DEADLINE,
  MsrClass,
  PATCH_APIC_ID,
  PolicyPage,
} from '../../abi/kpop-policy.ts';
import { FRAME_BYTES } from '../../machine/memory.ts';
import { Unit } from '../../machine/preset/price.ts';
import { num, type Routine, won } from '../../runtime/act.ts';
import type { Context } from '../../runtime/context.ts';
import { atomicLine, layout } from '../../runtime/layout.ts';
import type { Rcu } from '../../sync/rcu.ts';
import type { AnonymousBacking } from '../backing/anonymous.ts';
import type { Platform } from '../platform.ts';

const PolicyWords = layout('kpop.policy', {
  /** Frame of the table in force; 0 = none was published. */
  current: atomicLine,
});

const VERSION_LIMIT = 2 ** 52;

export class Policy {
  readonly platform: Platform;
  readonly #current: number;
  /** Set once all vCPUs exist: frames of old versions are given back through it. */
  rcu: Rcu | undefined;

  constructor(platform: Platform) {
    this.platform = platform;
    this.#current = platform.arena.place(PolicyWords) + PolicyWords.at.current;
  }

  /** For onlookers: where the frame of the table in force stands. */
  get current(): number {
    return this.#current;
  }

  /** Address of the table in force; negative if there is none. Good until the next entry. */
  *look(cpu: Context): Routine<number> {
    const frame = num(yield cpu.load(this.#current, 'policy.look'));
    return frame === 0 ? -1 : frame * FRAME_BYTES;
  }

  /** Publishes the table in page `l1gfn` of L1. */
  *publish(cpu: Context, l1Memory: AnonymousBacking, l1gfn: number): Routine<number> {
    const source = yield* l1Memory.find(cpu, l1gfn);
    if (source < 0) return Status.fault;
    const frame = yield* this.platform.frames.take(cpu);
    const status = copyTable(cpu, source * FRAME_BYTES, frame * FRAME_BYTES)
      ? yield* this.#replace(cpu, frame)
      : Status.invalid;
    if (status !== Status.ok) this.platform.frames.give(cpu, frame);
    return status;
  }

  /** Puts the table in place of an older one; of two that race the newer stays. */
  *#replace(cpu: Context, frame: number): Routine<number> {
    const version = cpu.read(frame * FRAME_BYTES + PolicyPage.version);
    for (;;) {
      const old = num(yield cpu.load(this.#current, 'policy.before'));
      if (old !== 0 && cpu.read(old * FRAME_BYTES + PolicyPage.version) >= version) {
        return Status.stale;
      }
      if (!won(yield cpu.cas(this.#current, old, frame, 'policy.publish'))) continue;
      if (old !== 0) yield* this.rcu!.defer(cpu, old);
      return Status.ok;
    }
  }
}

/** Copies a table once, and believes the copy only; false if no such table may be published. */
function copyTable(cpu: Context, from: number, to: number): boolean {
  const copy = (at: number, words: number): void => {
    for (let i = 0; i < words; i++) cpu.write(to + at + i * 8, cpu.read(from + at + i * 8));
  };
  copy(0, 4);
  const cpuids = cpu.read(to + PolicyPage.cpuids);
  const msrs = cpu.read(to + PolicyPage.msrs);
  const isBounded = isUpTo(cpuids, CPUID_LIMIT) && isUpTo(msrs, MSR_LIMIT);
  if (!isBounded) return false;
  cpu.spend(Unit.listElement, cpuids + msrs);
  copy(PolicyPage.rows, (cpuids * CPUID_ROW_BYTES + msrs * MSR_ROW_BYTES) / 8);
  return isLegal(cpu, to, cpuids, msrs);
}

function isLegal(cpu: Context, table: number, cpuids: number, msrs: number): boolean {
  const version = cpu.read(table + PolicyPage.version);
  const flags = cpu.read(table + PolicyPage.flags);
  if (version < 1 || version > VERSION_LIMIT || flags > HLT_BY_L0) return false;
  for (let row = 0; row < cpuids; row++) {
    const at = table + PolicyPage.rows + row * CPUID_ROW_BYTES;
    if (cpu.read(at + CpuidRow.patch) > PATCH_APIC_ID) return false;
    if (cpu.read(at + 48) !== 0 || cpu.read(at + 56) !== 0) return false;
  }
  for (let row = 0; row < msrs; row++) {
    const at = msrRow(table, cpuids, row);
    const kind = cpu.read(at + 8);
    if (kind > MsrClass.emulate) return false;
    if (kind !== MsrClass.emulate) continue;
    const number = cpu.read(at);
    if (!EMULATED.includes(number)) return false;
    const wakes = number === MSR_ICR || number === MSR_TSC_DEADLINE;
    if (wakes && flags !== HLT_BY_L0) return false;
  }
  return true;
}

function isUpTo(value: number, most: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= most;
}

function msrRow(table: number, cpuids: number, row: number): number {
  return table + PolicyPage.rows + cpuids * CPUID_ROW_BYTES + row * MSR_ROW_BYTES;
}

/** EAX of a leaf, as the table has it, patched for vCPU `index`; undefined if it has none. */
export function cpuidIn(
  cpu: Context,
  table: number,
  leaf: number,
  index: number,
): number | undefined {
  const rows = cpu.read(table + PolicyPage.cpuids);
  for (let row = 0; row < rows; row++) {
    cpu.spend(Unit.listElement, 1);
    const at = table + PolicyPage.rows + row * CPUID_ROW_BYTES;
    if (cpu.read(at + CpuidRow.leaf) !== leaf) continue;
    cpu.spend(Unit.fieldCopied, 4);
    if (cpu.read(at + CpuidRow.patch) === PATCH_APIC_ID)
      cpu.spend(Unit.fieldCopied, index >= 0 ? 1 : 0);
    return cpu.read(at + CpuidRow.eax);
  }
  return undefined;
}

/** Class of a register, and its row; `exit` if the table does not name it. */
export function classIn(
  cpu: Context,
  table: number,
  msr: number,
): { readonly kind: number; readonly row: number } {
  const cpuids = cpu.read(table + PolicyPage.cpuids);
  const msrs = cpu.read(table + PolicyPage.msrs);
  for (let row = 0; row < msrs; row++) {
    cpu.spend(Unit.listElement, 1);
    const at = msrRow(table, cpuids, row);
    if (cpu.read(at) === msr) return { kind: cpu.read(at + 8), row };
  }
  return { kind: MsrClass.exit, row: -1 };
}

export function haltsInL0(cpu: Context, table: number): boolean {
  return cpu.read(table + PolicyPage.flags) === HLT_BY_L0;
}
