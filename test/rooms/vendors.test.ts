/**
 * The same hypervisor sources over EPT and NPT, with tables of 4 and of 5 levels: KPOP's hypercalls
 * and their results are the same, random operations refine one abstract map, and exits are what
 * test/rooms/counts.test.ts says of VMX.
 */
import { describe, expect, it } from 'vitest';
import { Status } from '../../src/abi/kpop.ts';
import { Random } from '../../src/base/random.ts';
import { exam, exits, exitsBy } from './exam.ts';
import { refine } from './refine.ts';
import { callsOf, SILICON } from './vendors.ts';

const MACHINE = 'amd-milan';
const [reference, ...others] = SILICON;
const P = 24;

describe('amd: exits per access, as over VMX', () => {
  it.each([1, 3])('touch: tdp 1, kpop 2, with MAP as a call of its own 3 (vcpus=%i)', (vcpus) => {
    const run = exam('tdp', `touch:pages=${P}`, { vcpus, machine: MACHINE });
    expect(exitsBy(run, 'NPF', 1)).toBe(P * vcpus);
    expect(run.counts.exits).toBe(P * vcpus);
    const kpop = exits('kpop', `touch:pages=${P}`, { vcpus, machine: MACHINE });
    expect(kpop).toBe(2 * P * vcpus);
    const separate = exits('kpop:run=separate', `touch:pages=${P}`, { vcpus, machine: MACHINE });
    expect(separate).toBe(3 * P * vcpus);
  });

  it.each(['tdp', 'kpop'])('refault: %s 1, whatever the levels', (design) => {
    for (const levels of ['4', '5'] as const) {
      const conditions = { levels, guestLevels: levels };
      const run = exam(design, `refault:pages=${P}`, { vcpus: 2, machine: MACHINE, conditions });
      expect(run.counts.exits).toBe(2 * P);
      expect(run.counts.pagesZeroed).toBe(0);
    }
  });

  it.each([
    ['tdp', 10, 3, 3],
    ['kpop', 10, 3, 1 + 3],
    ['kpop', 255, 2, 2 + 2],
  ])('unmap: %s, r=%i, V=%i', (design, r, V, expected) => {
    const count = (ranges: number): number =>
      exits(design, `unmap:ranges=${ranges}`, { vcpus: V + 1, machine: MACHINE });
    expect(count(r) - count(0)).toBe(expected);
  });

  it('tdp, flush=broadcast: an unmap interrupts nobody, and is one invalidation', () => {
    const cost = (ranges: number) =>
      exam('tdp:flush=broadcast', `unmap:ranges=${ranges}`, { vcpus: 4, machine: MACHINE }).counts;
    expect(cost(10).exits - cost(0).exits).toBe(0);
    expect(cost(10).ipis).toBe(cost(0).ipis);
    expect(cost(10).flushes - cost(0).flushes).toBe(1);
    expect(() => exits('tdp:flush=broadcast', 'touch:pages=1')).toThrow(/flush/);
  });

  it('a level more costs walk references, and no exit', () => {
    const run = (levels: '4' | '5') =>
      exam('tdp', `touch:pages=${P}`, { machine: MACHINE, conditions: { levels } });
    expect(run('5').counts).toEqual(run('4').counts);
    expect(run('5').cycles).toBeGreaterThan(run('4').cycles);
    expect(run('5').limits.join()).toContain('tables of 4 levels');
    expect(run('4').limits.join()).not.toContain('tables of 4 levels');
  });
});

describe('kpop: one sequence of hypercalls and results', () => {
  it.each(['touch:pages=40', 'unmap:ranges=20', 'munmap:rounds=4,pages=5', 'cpuid:count=3'])(
    'one vCPU, %s',
    (workload) => {
      const calls = callsOf('kpop', workload, reference!, 1);
      expect(calls.length).toBeGreaterThan(0);
      expect(calls.every(({ result }, i) => result !== undefined || i === calls.length - 1)).toBe(
        true,
      );
      for (const silicon of others) expect(callsOf('kpop', workload, silicon, 1)).toEqual(calls);
    },
  );

  it('a guest with 5 levels of its own has more pages to map, on either vendor the same', () => {
    const [four, five] = (['4', '5'] as const).map((guestLevels) =>
      SILICON.map((silicon) => callsOf('kpop', 'touch:pages=8', { ...silicon, guestLevels }, 1)),
    );
    expect(five![0]!.length).toBeGreaterThan(four![0]!.length);
    for (const calls of five!) expect(calls).toEqual(five![0]);
  });

  it.each(['kpop', 'kpop:run=separate'])('%s: several vCPUs, the same turns', (design) => {
    const seen = new Set<string>();
    for (const seed of [1, 2, 3]) {
      const random = new Random(seed, 0);
      const turns = Array.from({ length: 97 }, () => random.below(3));
      const workload = 'unmap:ranges=8';
      const calls = callsOf(design, workload, reference!, 3, turns);
      for (const silicon of others) {
        expect(callsOf(design, workload, silicon, 3, turns)).toEqual(calls);
      }
      seen.add(JSON.stringify(calls));
    }
    expect(seen.size).toBeGreaterThan(1); // the turns do decide
  });
});

describe('kpop: random MAPs and UNMAPs refine one abstract map', () => {
  it.each([11, 12])('seed %i', (seed) => {
    const [answers, ...rest] = SILICON.map((silicon) => refine(silicon, seed, 160));
    expect(new Set(answers).size).toBeGreaterThan(1);
    expect(answers).toContain(Status.ok);
    for (const each of rest) expect(each).toEqual(answers);
  });
});
