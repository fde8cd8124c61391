/**
 * How dirty logging scales, against what KVM's authors measured: David Matlack's series of 2022,
 * 1 GiB of writes per vCPU after logging began, huge pages behind the guest (NUMBERS.md B4, B5).
 * Millions of writes per second; each curve is taken relative to its own point at 4 vCPUs, which is
 * the one constant of work that V4 allows, so nothing is fitted. docs/measured.md has all
 * points, those that miss included.
 */
import { describe, expect, it } from 'vitest';
import { exam } from './exam.ts';

const PUBLISHED = {
  /** Legacy MMU: every fault takes the write lock (B4, row 1). */
  'tdp:lock=write,split=zap': { 4: 2.5, 8: 1.98, 16: 1.47 },
  /** TDP MMU that zaps the huge leaf (B5, before). */
  'tdp:split=zap': { 4: 3.11, 8: 5.43, 16: 5.3 },
  /** TDP MMU that splits in place, so that later faults take no lock (B5, after). */
  'tdp:split=fault': { 4: 3.5, 8: 7.06, 16: 14.0 },
} as const;

type Curve = Readonly<Record<4 | 8 | 16, number>>;

function simulated(design: string): Curve {
  const rate = (vcpus: number): number =>
    exam(design, 'dirty-log:pages=512', { vcpus, conditions: { pages: '2m' } })
      .operationsPerSecond / 1e6;
  return { 4: rate(4), 8: rate(8), 16: rate(16) };
}

describe.each(Object.entries(PUBLISHED))('%s', (design, published) => {
  const curve = simulated(design);

  it.each([8, 16] as const)(
    'within a factor of 1.5 of the published curve at %i vCPUs',
    (vcpus) => {
      const is = curve[vcpus] / curve[4];
      const was = published[vcpus] / published[4];
      expect(Math.max(is / was, was / is)).toBeLessThan(1.5);
    },
  );
});

describe('V4', () => {
  it('the write lock peaks at 4 vCPUs; splitting in place scales on', () => {
    const writes = simulated('tdp:lock=write,split=zap');
    expect(writes[8]).toBeLessThan(writes[4]);
    const inPlace = simulated('tdp:split=fault');
    expect(inPlace[16] / inPlace[4]).toBeGreaterThan(3.5);
  });
});
