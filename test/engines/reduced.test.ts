import { expect, test } from 'vitest';
import { explorePlain, type PlainReport } from '../../src/schedule/explore/plain.ts';
import {
  exploreReduced,
  type ReducedOptions,
  type ReducedReport,
} from '../../src/schedule/explore/reduced.ts';
import type { Footprint } from '../../src/schedule/explore/system.ts';
import { Toy } from './toy.ts';
import { counters, flush, lastZero, philosophers, readers, storeBuffering } from './toy-known.ts';
import type { Program } from './toy-program.ts';
import { EVERY, randomProgram, type Shape, unjudged } from './toy-random.ts';

const deep = 'KPOP_DEEP' in process.env;

const sorted = (numbers: ReadonlySet<number>): number[] => [...numbers].sort((a, b) => a - b);

/** What both engines must agree on when nothing is promised. */
const found = (report: PlainReport | ReducedReport): unknown => [
  report.verdict,
  sorted(report.terminals),
  sorted(report.classes),
  report.longest,
];

const plain = (program: Program, steps?: number): PlainReport =>
  explorePlain(new Toy(program), { classes: true, ...(steps === undefined ? {} : { steps }) });

const reduced = (program: Program, options: ReducedOptions = {}): ReducedReport =>
  exploreReduced(new Toy(program), { classes: true, ...options });

test.each([
  // Complete executions of the plain engine; classes; of the reduced one: complete, in vain.
  [storeBuffering('sc'), [6, 3, 3, 0]],
  [storeBuffering('tso'), [80, 4, 4, 1]],
  [storeBuffering('tso', true), [70, 3, 3, 2]],
  [readers(4), [22680, 16, 16, 0]],
  [readers(2, 'tso'), [2240, 4, 4, 1]],
  [lastZero(3), [920, 12, 12, 0]],
  [philosophers(2), [4, 3, 3, 0]],
  [philosophers(3), [396, 7, 7, 3]],
  [counters(3, 'blocks'), [6, 6, 6, 0]],
  [counters(2, 'spins'), [8, 4, 4, 0]],
  [counters(2, 'spins', 'tso'), [48, 4, 4, 6]],
  [flush(2, true), [9912, 16, 16, 23]],
  [flush(1, true, 'tso'), [15, 4, 4, 2]],
  [flush(1, false, 'tso'), [261, 6, 6, 3]],
] as const)('reduced: $name', (program, counts) => {
  const all = plain(unjudged(program));
  const few = reduced(unjudged(program));
  expect(found(few)).toEqual(found(all));
  expect([all.complete, all.classes.size, few.complete, few.asleep]).toEqual(counts);
  const judged = plain(program);
  expect(reduced(program).verdict).toBe(judged.verdict);
});

test('reduced: known benchmarks, one complete execution per class', () => {
  for (const [program, classes, inVain] of [
    [lastZero(8), 704, 1068],
    [readers(10), 1024, 0],
    [philosophers(7), 127, 90],
    [counters(4, 'spins'), 3120, 0],
    [flush(3, true, 'tso'), 64, 175],
  ] as const) {
    const report = reduced(unjudged(program));
    expect([program.name, report.complete, report.classes.size, report.asleep]).toEqual([
      program.name,
      classes,
      classes,
      inVain,
    ]);
  }
});

const shapes: readonly Shape[] = [
  { tasks: 2, statements: 4, words: 2, order: 'sc' },
  { tasks: 3, statements: 2, words: 2, order: 'sc' },
  { tasks: 4, statements: 1, words: 2, order: 'sc' },
  { tasks: 2, statements: 3, words: 2, order: 'tso' },
  { tasks: 3, statements: 1, words: 2, order: 'tso', only: EVERY },
  { tasks: 3, statements: 2, words: 3, order: 'sc', only: EVERY },
];

/** Programs of many seeds that the plain engine can exhaust in `steps`, with what it finds. */
function* sample(seeds: number, steps: number): Generator<[Program, PlainReport]> {
  for (let seed = 0; seed < seeds; seed++) {
    for (const shape of shapes) {
      const program = randomProgram(seed, shape);
      const all = plain(unjudged(program), steps);
      if (all.exhausted) yield [program, all];
    }
  }
}

/** Compares every program of a sample; how many there were, and what they cost. */
function compare(seeds: number, steps: number): Record<string, number> {
  const sum = { programs: 0, plain: 0, classes: 0, complete: 0, inVain: 0 };
  for (const [program, all] of sample(seeds, steps)) {
    const few = reduced(unjudged(program));
    expect([program, found(few), few.seen & ~all.seen]).toEqual([program, found(all), 0]);
    const judged = reduced(program);
    expect([program, judged.verdict]).toEqual([program, plain(program).verdict]);
    sum.programs++;
    sum.plain += all.complete;
    sum.classes += all.classes.size;
    sum.complete += few.complete;
    sum.inVain += few.asleep;
  }
  return sum;
}

test('reduced: finds all classes, ends and broken promises of random programs', () => {
  const sum = compare(150, 15_000);
  // 1.01 complete executions per class, and 0.08 in vain; the plain engine: 15.
  expect(sum).toEqual({
    programs: 897,
    plain: 51946,
    classes: 3504,
    complete: 3534,
    inVain: 290,
  });
});

test.skipIf(!deep)(
  'reduced: finds all classes, ends and broken promises of many random programs',
  () => {
    const sum = compare(4000, 100_000);
    expect(sum.complete! / sum.classes!).toBeLessThan(1.1);
  },
  1_800_000,
);

/** Of small programs that wait and read in all ways: those of which an engine loses something. */
function lostBy(explore: (program: Program) => ReducedReport, seeds: number): number {
  let lost = 0;
  const only = ['any', 'some', 'pick', 'store', 'wait'] as const;
  for (let seed = 0; seed < seeds; seed++) {
    const program = unjudged(
      randomProgram(seed, { tasks: 4, statements: 1, words: 2, order: 'sc', only }),
    );
    const all = plain(program);
    try {
      const few = explore(program);
      if (`${sorted(few.terminals)}` !== `${sorted(all.terminals)}`) lost++;
    } catch (error) {
      expect(`${error}`).toContain('a footprint is not whole');
      lost++;
    }
  }
  return lost;
}

test.each([
  ['looks', 100],
  ['remaining', 300],
  ['together', 300],
  ['covers', 400],
] as const)('reduced: the comparison notices an engine without %s', (weaken, seeds) => {
  expect(lostBy(reduced, seeds)).toBe(0);
  expect(lostBy((program) => reduced(program, { weaken }), seeds)).toBeGreaterThan(0);
});

/** Does not tell that moves write word 0. */
class Secretive extends Toy {
  override get footprint(): Footprint {
    const whole = super.footprint;
    return {
      length: whole.length,
      wordAt: (i) => whole.wordAt(i),
      wroteAt: (i) => whole.wordAt(i) !== 0 && whole.wroteAt(i),
    };
  }
}

/** Tells only the first of the words that an actor waits for, its registers. */
class Silent extends Toy {
  override watched(actor: number): Footprint {
    const whole = super.watched(actor);
    return {
      length: Math.min(1, whole.length),
      wordAt: (i) => whole.wordAt(i),
      wroteAt: () => true,
    };
  }
}

test.each([
  ['writes', Secretive],
  ['waits', Silent],
] as const)('reduced: the comparison notices footprints that hide %s', (_, Broken) => {
  expect(lostBy((program) => exploreReduced(new Broken(program)), 200)).toBeGreaterThan(0);
});

/** Programs for (4) of the argument in reduced.ts: what a move reads depends on what it read. */
const pick: Program = {
  name: 'a load that goes on to another word only if the first holds 0',
  words: [0, 0, 0],
  order: 'sc',
  tasks: [
    [{ op: 'pick', first: 0, second: 1, into: 0 }],
    [
      { op: 'store', word: 2, from: 1 },
      { op: 'store', word: 0, from: 2 },
    ],
    [
      { op: 'wait', until: [{ word: 2, equals: 1 }] },
      { op: 'store', word: 1, from: 1 },
    ],
  ],
};

const hasty: Program = {
  name: 'a wait that looks at another word only if the first holds 0',
  words: [0, 0],
  order: 'sc',
  tasks: [
    [
      {
        op: 'wait',
        until: [
          { word: 0, equals: 0 },
          { word: 1, equals: 1 },
        ],
      },
    ],
    [{ op: 'store', word: 0, from: 1 }],
    [{ op: 'store', word: 1, from: 1 }],
  ],
};

/** Alternatives of one task, each of which depends on another task. */
const either: Program = {
  name: 'a load of either of two words',
  words: [0, 0],
  order: 'sc',
  tasks: [
    [{ op: 'any', words: [0, 1], into: 0 }],
    [{ op: 'store', word: 0, from: 1 }],
    [{ op: 'store', word: 1, from: 1 }],
  ],
};

test.each([
  { program: pick, weaken: 'covers' },
  { program: hasty, weaken: 'covers' },
  { program: either, weaken: 'together' },
  { program: either, weaken: 'remaining' },
] as const)('reduced: $program.name, and not without $weaken', ({ program, weaken }) => {
  const all = plain(unjudged(program));
  expect(found(reduced(unjudged(program)))).toEqual(found(all));
  expect(found(reduced(unjudged(program), { weaken }))).not.toEqual(found(all));
});

test('reduced: the path breaks what it says, and the system is left where it was', () => {
  const toy = new Toy(flush(2, false, 'tso'));
  toy.take(toy.moves()[0]!);
  const before = [toy.hashLow, toy.hashHigh, toy.depth];
  const report = exploreReduced(toy);
  expect([toy.hashLow, toy.hashHigh, toy.depth]).toEqual(before);
  expect([report.verdict, report.exhausted, report.loop]).toEqual(['violated', false, -1]);
  for (const move of report.path) {
    expect(toy.always()).toBeUndefined();
    toy.take(move);
  }
  expect(toy.always()).toBe(report.message);
});

test('reduced: a deadlock is found by who waits for ever', () => {
  const report = reduced(philosophers(4));
  expect(report.message).toMatch(/^deadlock: task0 at acquire 1 and task1 at acquire 2 and/);
  expect(report.path.length).toBe(4);
});

test('reduced: bounds', () => {
  const program = lastZero(3);
  expect(() => reduced(program, { preemptions: 2 })).toThrow(/cannot count preemptions/);
  const shallow = reduced(program, { depth: 4 });
  expect([shallow.verdict, shallow.exhausted, shallow.longest]).toEqual(['unfinished', false, 4]);
  expect([shallow.cut, shallow.complete]).toEqual([shallow.executions, 0]);
  const short = reduced(program, { steps: 10 });
  expect([short.verdict, short.exhausted, short.steps]).toEqual(['unfinished', false, 10]);
  expect(reduced(program, { isOver: () => true }).steps).toBe(0);
  const whole = reduced(program, { depth: 30 });
  expect([whole.verdict, whole.executions]).toEqual(['holds', whole.complete + whole.asleep]);
});
