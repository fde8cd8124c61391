/**
 * What time is made of, and what it hangs on: a ledger explains every cycle of a run and changes
 * none; its counts are the derivative by each price; the search finds the prices that turn an order
 * round, one at a time or together, and says undecided then and only then.
 */
import { describe, expect, test } from 'vitest';
import { parseDesign } from '../../src/design/index.ts';
import { attributeOne, DEFAULT_CONDITIONS, runOne, type Task } from '../../src/experiment/run.ts';
import {
  findSensitivity,
  notesOf,
  type Outcome,
  type Point,
  searchHere,
} from '../../src/experiment/sensitivity.ts';
import { intelCascadeLake } from '../../src/machine/preset/intel-cascade-lake.ts';
import { PRICES, repriced } from '../../src/machine/preset/price.ts';
import type { Run } from '../../src/measure/result.ts';
import { order, type PriceNote } from '../../src/measure/sensitivity.ts';
import { parseWorkload } from '../../src/workload/index.ts';

function task(design: string, workload: string, vcpus: number): Task {
  return {
    choice: parseDesign(design),
    work: parseWorkload(workload),
    recordings: new Map(),
    vcpus,
    preset: intelCascadeLake,
    seed: 1,
    conditions: DEFAULT_CONDITIONS,
    softwareScale: 1,
  };
}

const { prices } = intelCascadeLake;

describe('the ledger', () => {
  test.each([
    ['tdp', 'touch:pages=32', 1],
    ['kpop', 'refault:pages=32', 1],
    ['nested', 'touch:pages=16', 1],
    ['nested', 'refault:pages=16', 4],
    ['kpop:lock=vm', 'refault:pages=32', 4],
    ['kpop', 'unmap:ranges=40', 3],
  ] as const)(
    '%s, %s, %i vCPUs: count x price is the simulated time, and the run the same',
    (design, workload, vcpus) => {
      const asked = task(design, workload, vcpus);
      const { run, charges } = attributeOne(asked);
      expect(run).toEqual(runOne(asked));
      const sum = PRICES.reduce((all, name) => {
        return all + charges.path[name]! * (prices[name]?.value ?? 0);
      }, 0);
      expect(charges.unattributed).toBeCloseTo(0, 3);
      expect(sum).toBeCloseTo(run.cycles, 2);
    },
  );

  test('on one vCPU each count is the derivative of time by its price', () => {
    const asked = task('nested', 'touch:pages=8', 1);
    const { run, charges } = attributeOne(asked);
    for (const name of ['vmExit', 'vmcsAccess', 'l1Hit', 'levelWalked', 'zeroPage'] as const) {
      const preset = repriced(intelCascadeLake, { [name]: prices[name]!.value + 1 });
      const grown = runOne({ ...asked, preset }).cycles - run.cycles;
      expect(grown, name).toBeCloseTo(charges.path[name]!, 3);
    }
  });
});

describe('the search', () => {
  const note = (name: string, value: number, low: number, high: number): PriceNote => {
    return { name, unit: 'cycles', value, low, high, kind: 'assumed', source: 'a test' };
  };
  const notes = [note('x', 100, 50, 200), note('y', 100, 50, 200), note('z', 1, 0.5, 2)];

  /** Designs whose time is a sum of count x price. */
  function planted(...designs: Readonly<Record<string, number>>[]) {
    return (point: Point): Outcome => {
      const counts = designs[point.design]!;
      const cycles = notes.reduce((sum, { name, value }) => {
        return sum + (counts[name] ?? 0) * (point.values[name] ?? value);
      }, 0);
      const run = { design: `d${point.design}`, vcpus: point.vcpus, operations: 1, cycles } as Run;
      return { run, charges: { path: counts, all: counts, unattributed: 0 } };
    };
  }

  test('a price that turns the order round makes it undecided, and is named with its end', () => {
    const search = findSensitivity(['d0', 'd1'], [1], notes);
    const { rankings, rows } = searchHere(search, planted({ x: 10 }, { x: 4, y: 5 }));
    expect(rankings).toEqual([
      {
        vcpus: 1,
        one: 'd0',
        other: 'd1',
        ratio: { value: 0.9, low: 0.525, high: 2.4 },
        decided: false,
        turnedBy: [
          { prices: [{ name: 'x', value: 50 }], ratio: 1.4 },
          { prices: [{ name: 'y', value: 200 }], ratio: 1.4 },
        ],
      },
    ]);
    expect(rows[1]!.sensitivity.prices.map(({ name }) => name).sort()).toEqual(['x', 'y']);
  });

  test('prices that turn it only together are named together, and no more of them', () => {
    const search = findSensitivity(['d0', 'd1'], [1], notes);
    const { rankings } = searchHere(search, planted({ x: 10, z: 100 }, { x: 3.5, y: 2, z: 100 }));
    const [{ turnedBy, decided }] = rankings as [(typeof rankings)[0]];
    expect(decided).toBe(false);
    expect(turnedBy).toHaveLength(1);
    expect(turnedBy[0]!.prices.map(({ name, value }) => [name, value])).toEqual([
      ['x', 50],
      ['y', 200],
    ]);
  });

  test('an order that holds everywhere is decided; equal designs are, too', () => {
    const far = searchHere(findSensitivity(['a', 'b'], [1], notes), planted({ x: 10 }, { x: 30 }));
    expect(far.rankings[0]).toMatchObject({ decided: true, turnedBy: [] });
    const same = planted({ x: 10, y: 3 }, { x: 10, y: 3 });
    const { rankings } = searchHere(findSensitivity(['a', 'b'], [1], notes), same);
    expect(rankings[0]).toMatchObject({ decided: true, ratio: { value: 1, low: 1, high: 1 } });
  });

  test('equal at the preset’s prices, one or the other faster elsewhere: undecided', () => {
    const search = findSensitivity(['a', 'b'], [1], notes);
    const { rankings } = searchHere(search, planted({ x: 10 }, { y: 10 }));
    expect(rankings[0]!.decided).toBe(false);
    expect(rankings[0]!.turnedBy.map(({ ratio }) => ratio).sort()).toEqual([0.5, 0.5, 2, 2]);
  });

  test('real designs: what is never charged has no elasticity; turns can be repeated', () => {
    const designs = ['tdp', 'kpop'];
    const vcpus = 4;
    const asked = designs.map((design) => task(design, 'refault:pages=12', vcpus));
    const run = ({ design, values, attributed }: Point): Outcome => {
      const preset = repriced(intelCascadeLake, values);
      const piece: Task = { ...asked[design]!, preset, purpose: 'figure' };
      return attributed ? attributeOne(piece) : { run: runOne(piece) };
    };
    const search = findSensitivity(designs, [vcpus], notesOf(intelCascadeLake));
    const { rankings, rows } = searchHere(search, run);
    for (const { sensitivity } of rows) {
      const names = sensitivity.prices.map(({ name }) => name);
      expect(names).toContain('exitDispatch');
      for (const never of ['instructionEmulated', 'cpuid', 'invvpid', 'lineCrossSocket']) {
        expect(names).not.toContain(never);
      }
    }
    const [{ turnedBy, decided, ratio }] = rankings as [(typeof rankings)[0]];
    expect(decided).toBe(false);
    expect(turnedBy).not.toEqual([]);
    for (const turn of turnedBy) {
      const values = Object.fromEntries(turn.prices.map(({ name, value }) => [name, value]));
      const [one, other] = [0, 1].map((design) => {
        return run({ design, vcpus, values, attributed: false }).run.cycles;
      });
      expect(other! / one!).toBeCloseTo(turn.ratio, 12);
      expect(order(turn.ratio)).not.toBe(0);
      expect(order(turn.ratio)).not.toBe(order(ratio.value));
    }
  });
});
