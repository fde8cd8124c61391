/** L1's policy: what it has L0 answer for its guest, written into a page and published. */
import { Status } from '../../abi/kpop.ts';
import {
  CPUID_ROW_BYTES,
  CpuidRow,
  EMULATED,
  HLT_BY_L0,
  MSR_ROW_BYTES,
  MsrClass,
  POLICY_CALL,
  PolicyPage,
} from '../../abi/kpop-policy.ts';
import { defect } from '../../base/assert.ts';
import { Msr, vmcall } from '../../machine/instruction.ts';
import { Unit } from '../../machine/preset/price.ts';
import { num, type Routine } from '../../runtime/act.ts';
import type { Context } from '../../runtime/context.ts';

/** Leaves that guests ask for again and again. */
const LEAVES = 8;

/** Publishes version `version` by way of `page`, an address in L1's memory. */
export function* publishPolicy(cpu: Context, page: number, version: number): Routine<void> {
  writePolicy(cpu, page, version);
  const status = num(yield vmcall(cpu, POLICY_CALL, [page], 'l1.policy'));
  if (status !== Status.ok) defect('publishPolicy', `POLICY answered ${status}`);
}

/** CPUID as L1 would answer it, MISC_ENABLE shadowed, interrupts and HLT left to L0. */
export function writePolicy(
  cpu: Pick<Context, 'write' | 'spend'>,
  page: number,
  version: number,
): void {
  const msrs = [
    [Msr.miscEnable, MsrClass.shadow],
    ...EMULATED.map((each) => [each, MsrClass.emulate] as const),
  ] as const;
  cpu.spend(Unit.listElement, LEAVES + msrs.length);
  cpu.write(page + PolicyPage.version, version);
  cpu.write(page + PolicyPage.cpuids, LEAVES);
  cpu.write(page + PolicyPage.msrs, msrs.length);
  cpu.write(page + PolicyPage.flags, HLT_BY_L0);
  let at = page + PolicyPage.rows;
  for (let leaf = 0; leaf < LEAVES; leaf++) {
    cpu.write(at + CpuidRow.leaf, leaf);
    cpu.write(at + CpuidRow.eax, leaf + 0x100);
    at += CPUID_ROW_BYTES;
  }
  for (const [number, kind] of msrs) {
    cpu.write(at, number);
    cpu.write(at + 8, kind);
    at += MSR_ROW_BYTES;
  }
}
