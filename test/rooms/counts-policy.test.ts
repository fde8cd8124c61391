/**
 * Exits of L2 that L0 answers for L1 (`kpop:policy=tables`), counted: formulas with their
 * conditions, those of counts-interrupts.test.ts. L1 has published that CPUID, MISC_ENABLE, the
 * APIC's registers and HLT are L0's; so every event costs what it costs a guest of L0 without APIC
 * virtualisation, and L1 is not entered.
 */
import { describe, expect, it } from 'vitest';
import type { Conditions } from '../../src/design/system.ts';
import { exam, exits } from './exam.ts';

const TABLES = 'kpop:policy=tables';
const CASES: readonly Pick<Conditions, 'apicv' | 'eoi'>[] = [
  { apicv: 'on', eoi: 'pv' },
  { apicv: 'on', eoi: 'apic' },
  { apicv: 'off', eoi: 'pv' },
  { apicv: 'off', eoi: 'apic' },
];

/** L2's APIC is never virtualised: the end of an interrupt exits, to L0. */
function ending({ eoi }: Pick<Conditions, 'eoi'>): number {
  return eoi === 'apic' ? 1 : 0;
}

describe('1 exit, L1 not entered', () => {
  it.each(['cpuid:count=10', 'msr:count=10'])('%s', (work) => {
    const run = exam(TABLES, work);
    expect([run.counts.exits, run.counts.nested]).toEqual([10, 0]);
    expect(exits('kpop', work)).toBe(20);
  });

  it('on AMD as well', () => {
    expect(exits(TABLES, 'cpuid:count=10', { machine: 'amd-milan' })).toBe(10);
  });

  it('none for a register that no level intercepts', () => {
    expect(exits(TABLES, 'msr:count=10,access=passed')).toBe(0);
  });
});

describe('interrupts of L2', () => {
  const N = 6;

  it.each(CASES)('IPI to a vCPU that runs: the ICR, and the receiver is kicked: 2 (%o)', (c) => {
    for (const vcpus of [2, 4]) {
      const run = exam(TABLES, `ipi:count=${N}`, { vcpus, conditions: c });
      expect(run.counts.exits).toBe((vcpus / 2) * N * (2 + ending(c)));
      expect(run.counts.nested).toBe(0);
    }
  });

  it.each(CASES)('IPI to a vCPU in HLT: its HLT, and the ICR: 2 (%o)', (c) => {
    const run = exam(TABLES, `ipi:count=${N},target=halted`, { vcpus: 2, conditions: c });
    expect(run.counts.exits).toBe(N * (2 + ending(c)));
    expect(run.counts.nested).toBe(0);
  });

  it.each(CASES)('a tick: its deadline, and its expiry: 2 (%o)', (c) => {
    const run = exam(TABLES, `tick:ticks=${N},hz=20000`, { vcpus: 2, conditions: c });
    expect(run.counts.exits).toBe(2 * N * (2 + ending(c)));
    expect(run.counts.nested).toBe(0);
  });
});

describe('what is not in the tables costs what it did', () => {
  it.each(['touch:pages=24', 'refault:pages=24', 'unmap:ranges=10', 'syscall'])('%s', (work) => {
    const vcpus = work.startsWith('unmap') ? 3 : 2;
    expect(exits(TABLES, work, { vcpus })).toBe(exits('kpop', work, { vcpus }));
  });

  it('shootdowns of L2’s kernel are IPIs: what reaches L1 is that pages are given back', () => {
    const run = exam(TABLES, 'munmap:rounds=8', { vcpus: 4 });
    expect(run.counts.nested).toBe(8 * 4);
    expect(run.counts.exits).toBeLessThan(exits('kpop', 'munmap:rounds=8', { vcpus: 4 }) / 1.5);
  });
});
