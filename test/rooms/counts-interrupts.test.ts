/**
 * Exits of interrupts, timers, HLT and MSRs, counted: formulas with their conditions. `apicv`: APIC
 * virtualisation with IPI virtualisation, which L0 has and offers to no guest hypervisor's guests.
 * `eoi=pv`: the end of an interrupt is signalled without an exit; `apic`: by the APIC's register.
 */
import { describe, expect, it } from 'vitest';
import type { Conditions } from '../../src/design/system.ts';
import { exam, exits, exitsBy } from './exam.ts';

type Case = Pick<Conditions, 'apicv' | 'eoi'>;
const CASES: readonly Case[] = [
  { apicv: 'on', eoi: 'pv' },
  { apicv: 'on', eoi: 'apic' },
  { apicv: 'off', eoi: 'pv' },
  { apicv: 'off', eoi: 'apic' },
];
const DESIGNS = ['tdp', 'nested', 'kpop'] as const;
type Id = (typeof DESIGNS)[number];
const CELLS = DESIGNS.flatMap((design) => CASES.map((each) => [design, each] as const));

/** Exits until the owner has an event and the guest runs on: with L1 two, there and back. */
const TO_OWNER = { tdp: 1, nested: 2, kpop: 2 } as const;

/** What the APIC's register costs whoever signals an end: the guest, and L1 for its own. */
function endings(design: Id, { apicv, eoi }: Case, ofL1: number): number {
  if (eoi === 'pv') return 0;
  const byHardware = apicv === 'on' ? 0 : 1;
  if (design === 'tdp') return byHardware;
  return TO_OWNER[design] + ofL1 * byHardware; // no guest of L1 has a virtual APIC
}

/** What it costs L1 to interrupt one of its own CPUs, or a guest of L0 to send an IPI. */
function sending({ apicv }: Case): number {
  return apicv === 'on' ? 0 : 1;
}

describe('IPI to a vCPU that runs', () => {
  const N = 6;

  it.each(CELLS)('%s %o', (design, conditions) => {
    const expected =
      design === 'tdp'
        ? 2 * sending(conditions) // the sender's ICR, and the receiver is kicked out
        : // the sender's ICR; L1's IPI; the receiver is interrupted for L1
          TO_OWNER[design] + sending(conditions) + TO_OWNER[design];
    const each = expected + endings(design, conditions, 1);
    for (const vcpus of [2, 4]) {
      const count = (vcpus / 2) * N;
      expect(exits(design, `ipi:count=${N}`, { vcpus, conditions })).toBe(count * each);
    }
  });
});

describe('IPI to a vCPU in HLT: its HLT exits, nobody is kicked', () => {
  const N = 6;

  it.each(CELLS)('%s %o', (design, conditions) => {
    const expected =
      design === 'tdp'
        ? 1 + sending(conditions)
        : // the ICR; L1's wake-up; L2's HLT, for which L1's CPU halts in turn, and back
          TO_OWNER[design] + sending(conditions) + TO_OWNER[design] + 1;
    const run = exam(design, `ipi:count=${N},target=halted`, { vcpus: 2, conditions });
    expect(run.counts.exits).toBe(N * (expected + endings(design, conditions, 1)));
    expect(exitsBy(run, 'EXTERNAL_INTERRUPT', design === 'tdp' ? 1 : 2)).toBe(0);
  });
});

describe('timer tick: armed, expired, handled', () => {
  const N = 4;

  it.each(CELLS)('%s %o', (design, conditions) => {
    const expected =
      design === 'tdp'
        ? 2 // WRMSR of the deadline, and the expiry
        : // L2's WRMSR with that of L1 in between; L1's own timer expires while L2 runs
          TO_OWNER[design] + 1 + TO_OWNER[design];
    const run = exam(design, `tick:ticks=${N},hz=20000`, { vcpus: 2, conditions });
    expect(run.counts.exits).toBe(2 * N * (expected + endings(design, conditions, 1)));
    expect(run.counts.ipis).toBe(0);
  });

  it('--tick says how often; off, a workload has the exits that it had', () => {
    const work = 'touch:pages=600';
    const none = exits('tdp', work, { conditions: { tick: 'none' } });
    const run = exam('tdp', work, { conditions: { tick: '1000hz' } });
    expect(none).toBe(600);
    expect(run.conditions['tick']).toBe('1000hz');
    expect(exitsBy(run, 'EXTERNAL_INTERRUPT', 1)).toBe(Math.floor(run.cycles / 2.5e6));
    expect(run.counts.exits - none).toBe(2 * exitsBy(run, 'EXTERNAL_INTERRUPT', 1));
  });
});

describe('MSRs', () => {
  it.each(DESIGNS)('%s: 0 if no level intercepts it, else as any event of the owner', (design) => {
    expect(exits(design, 'msr:count=10,access=passed')).toBe(0);
    expect(exits(design, 'msr:count=10')).toBe(10 * TO_OWNER[design]);
  });
});

describe('interrupts of one vector that nobody has taken yet are one', () => {
  it.each(DESIGNS)('%s: shootdowns at the same vCPU need fewer notifications', (design) => {
    const alone = exam(design, 'munmap:rounds=8,threads=2', { vcpus: 2 });
    const crowd = exam(design, 'munmap:rounds=8', { vcpus: 6 });
    // Everybody answers everybody: V - 1 targets per unmapping, some of whom answer two at once.
    expect(crowd.counts.ipis).toBeLessThan(8 * 6 * 5);
    expect(alone.counts.ipis).toBeLessThanOrEqual(8 * 2);
  });
});

describe('boot-like: a sum of its parts', () => {
  it.each(DESIGNS)('%s', (design) => {
    const work = 'boot-like:steps=2,pages=8,cpuids=5,msrs=6,text=4,data=4,calls=3,hz=0';
    const run = exam(design, work);
    const level = design === 'tdp' ? 1 : 2;
    expect(exitsBy(run, 'CPUID', level)).toBe(2 * 5);
    expect(exitsBy(run, 'MSR_READ', level)).toBe(2 * 3);
    expect(exitsBy(run, 'EPT_VIOLATION', level)).toBeGreaterThanOrEqual(2 * 8 + 4 + 4);
  });
});
