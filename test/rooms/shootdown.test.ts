/**
 * Shootdowns in a guest against published ones (NUMBERS.md A4 and V7: Amit, zap and touch of one
 * page on bare-metal Haswell: 661 ns with 1 thread, 1436 with 2, 1571 with 4). Under `tdp` with
 * APIC virtualisation they cause no exit, so that a guest does what bare metal does. Prices are the
 * preset's; what V7 allows to be calibrated (the first two points) is not.
 */
import { describe, expect, it } from 'vitest';
import { parseDesign } from '../../src/design/index.ts';
import { DEFAULT_CONDITIONS, runOne } from '../../src/experiment/run.ts';
import { findPreset } from '../../src/machine/preset/index.ts';
import { parseWorkload } from '../../src/workload/index.ts';

const ROUNDS = 60;

/** Nanoseconds of one unmapping of a page that was just touched, by one of so many threads. */
function shootdown(threads: number, machine = 'intel-cascade-lake'): number {
  const preset = findPreset(machine);
  const run = runOne({
    choice: parseDesign('tdp'),
    work: parseWorkload(`munmap:callers=1,pages=1,rounds=${ROUNDS}`),
    recordings: new Map(),
    vcpus: threads,
    preset,
    seed: 1,
    conditions: DEFAULT_CONDITIONS,
    softwareScale: 1,
  });
  expect(run.counts.ipis).toBe(ROUNDS * (threads - 1));
  return (run.seconds * 1e9) / ROUNDS;
}

const PUBLISHED = { one: 661, two: 1436, four: 1571 };

describe('V7: shootdown by number of threads', () => {
  const one = shootdown(1);
  const two = shootdown(2);
  const four = shootdown(4);

  it('the shape beyond the first remote CPU: 4 threads against 2, within 20 %', () => {
    const ratio = four / two / (PUBLISHED.four / PUBLISHED.two);
    expect(ratio).toBeGreaterThan(0.8);
    expect(ratio).toBeLessThan(1.2);
  });

  it('with the first two points given, the third is predicted within 20 %', () => {
    const predicted = PUBLISHED.two + (four - two);
    expect(predicted / PUBLISHED.four).toBeGreaterThan(0.8);
    expect(predicted / PUBLISHED.four).toBeLessThan(1.2);
  });

  // Missed without calibration, and stated in docs/measured.md: our page is zeroed and its fault
  // costs what the preset assumes; a factor of 2 holds.
  it('the first remote CPU costs about what was measured: within a factor of 1.5', () => {
    const factor = (two - one) / (PUBLISHED.two - PUBLISHED.one);
    expect(factor).toBeGreaterThan(1 / 1.5);
    expect(factor).toBeLessThan(1.5);
  });

  it('the local part is within a factor of 2', () => {
    expect(one / PUBLISHED.one).toBeGreaterThan(0.5);
    expect(one / PUBLISHED.one).toBeLessThan(2);
  });

  it('a second socket costs more than a second CPU, and the farthest CPU decides', () => {
    const far = shootdown(2, 'intel-cascade-lake-2s');
    expect(far - one).toBeGreaterThan(1.2 * (two - one));
  });
});
