/** The stateful engine against the plain one, and against a set of strings where nothing ends. */
import { expect, test } from 'vitest';
import { explorePlain } from '../../src/schedule/explore/plain.ts';
import { exploreStateful, type StatefulReport } from '../../src/schedule/explore/stateful.ts';
import type { Bounds, Explored, Footprint } from '../../src/schedule/explore/system.ts';
import { Toy } from './toy.ts';
import { counters, flush, philosophers, readers } from './toy-known.ts';
import { randomLoops } from './toy-loops.ts';
import type { Program } from './toy-program.ts';
import { randomProgram, unjudged } from './toy-random.ts';

const deep = 'KPOP_DEEP' in process.env;
const SEEDS = deep ? 4000 : 250;
const PLAIN_STEPS = deep ? 1_000_000 : 20_000;

const shapes = [
  { tasks: 2, statements: 4, words: 2, order: 'sc' },
  { tasks: 2, statements: 3, words: 2, order: 'tso' },
  { tasks: 3, statements: 2, words: 3, order: 'sc' },
] as const;

/** Seeds and shapes of programs on which a weakened engine was seen to lose ends. */
const biting = [
  [51, 0],
  [88, 1],
  [387, 2],
  [735, 0],
  [804, 1],
  [1094, 0],
] as const;
/** The same for loops. */
const bitingLoops = [63, 3598, 8086, 9825, 10458, 10998, 11228];

/** Programs of all shapes that the plain engine explores within its budget. */
function* samples(
  bounds: Bounds,
  judged: boolean,
): Generator<{ program: Program; plain: ReturnType<typeof explorePlain> }> {
  const drawn = Array.from({ length: SEEDS }, (_, seed) => [seed, seed % shapes.length] as const);
  for (const [seed, shape] of [...biting, ...drawn]) {
    const judgedProgram = randomProgram(seed, shapes[shape]!);
    const program = judged ? judgedProgram : unjudged(judgedProgram);
    const plain = explorePlain(new Toy(program), { ...bounds, steps: PLAIN_STEPS });
    if (plain.verdict !== 'unfinished') yield { program, plain };
  }
}

const ends = ({ terminals }: { terminals: ReadonlySet<number> }): number[] =>
  [...terminals].sort((a, b) => a - b);

/** Takes the path of a violation once more: the message that it ends with. */
function replayed(program: Program, { path }: StatefulReport): string | undefined {
  const toy = new Toy(program);
  for (const move of path) {
    expect(toy.always()).toBeUndefined();
    toy.take(move);
  }
  return toy.always() ?? (toy.moves().length === 0 ? toy.atEnd() : undefined);
}

/** Distinct states and what was seen, by brute force. */
function reachable(program: Program, toy = new Toy(program), known = new Set<string>()) {
  let seen = 0;
  const visit = (): void => {
    const key = `${toy.hashLow} ${toy.hashHigh}`;
    if (known.has(key)) return;
    known.add(key);
    seen |= toy.seen();
    for (const move of [...toy.moves()]) {
      toy.take(move);
      visit();
      toy.undo();
    }
  };
  visit();
  return { states: known.size, seen };
}

test('stateful: reaches the ends that the plain engine reaches, with sleep sets or without', () => {
  let compared = 0;
  let saved = 0;
  for (const { program, plain } of samples({}, false)) {
    const all = exploreStateful(new Toy(program));
    const asleep = exploreStateful(new Toy(program), { sleep: true });
    for (const report of [all, asleep]) {
      expect([program.name, report.verdict, report.seen]).toEqual([
        program.name,
        'holds',
        plain.seen,
      ]);
      expect(ends(report)).toEqual(ends(plain));
      expect([report.exhausted, report.cut]).toEqual([true, 0]);
    }
    expect([program.name, asleep.states]).toEqual([program.name, all.states]);
    expect(asleep.steps).toBeLessThanOrEqual(all.steps);
    saved += all.steps - asleep.steps;
    compared++;
  }
  expect(compared).toBeGreaterThan(SEEDS / 2);
  expect(saved).toBeGreaterThan(0);
});

test('stateful: judges as the plain engine does, and its paths break what they say', () => {
  const verdicts = { holds: 0, violated: 0 };
  for (const { program, plain } of samples({}, true)) {
    for (const sleep of [false, true]) {
      const report = exploreStateful(new Toy(program), { sleep });
      expect([program.name, report.verdict]).toEqual([program.name, plain.verdict]);
      if (report.verdict === 'violated') expect(replayed(program, report)).toBe(report.message);
    }
    if (plain.verdict !== 'unfinished') verdicts[plain.verdict]++;
  }
  expect(Math.min(verdicts.holds, verdicts.violated)).toBeGreaterThan(SEEDS / 10);
});

const bounds: readonly Bounds[] = [
  { preemptions: 0 },
  { preemptions: 1 },
  { preemptions: 2 },
  { depth: 4 },
  { depth: 7 },
  { preemptions: 1, depth: 6 },
  { preemptions: 2, depth: 8 },
];

/** Samples whose bounded ends differ from the plain engine's. */
function differing(bound: Bounds, weaken?: 'last-task' | 'least-spent'): number {
  let differ = 0;
  for (const { program, plain } of samples(bound, false)) {
    const options = weaken === undefined ? bound : { ...bound, weaken };
    const report = exploreStateful(new Toy(program), options);
    const same =
      String(ends(report)) === String(ends(plain)) &&
      report.verdict === plain.verdict &&
      report.seen === plain.seen &&
      (plain.cut > 0 || report.cut === 0);
    if (!same) differ++;
  }
  return differ;
}

test.each(bounds)('stateful: bounded by %o it reaches what the plain engine does', (bound) => {
  expect(differing(bound)).toBe(0);
});

test.each([
  ['last-task', { preemptions: 1 }],
  ['last-task', { preemptions: 2 }],
  ['last-task', { preemptions: 1, depth: 7 }],
  ['least-spent', { preemptions: 2 }],
  ['least-spent', { depth: 7 }],
  ['least-spent', { preemptions: 1, depth: 7 }],
] as const)('stateful: the comparison notices a key without %s, bounded by %o', (weaken, bound) => {
  expect(differing(bound, weaken)).toBeGreaterThan(0);
});

test('stateful: bounded verdicts are those of the plain engine', () => {
  for (const bound of bounds) {
    for (const { program, plain } of samples(bound, true)) {
      const report = exploreStateful(new Toy(program), bound);
      expect([program.name, bound, report.verdict]).toEqual([program.name, bound, plain.verdict]);
    }
  }
});

test('stateful: sleep sets lose no state where tasks go round in circles', () => {
  let lost = 0;
  const drawn = Array.from({ length: deep ? 10_000 : 500 }, (_, seed) => seed);
  for (const seed of [...bitingLoops, ...drawn]) {
    const program = randomLoops(seed);
    const all = exploreStateful(new Toy(program), { steps: 5000 });
    if (!all.exhausted) continue;
    if (all.states < 200) expect(all).toMatchObject(reachable(program));
    const asleep = exploreStateful(new Toy(program), { sleep: true });
    expect([seed, asleep.states, asleep.seen]).toEqual([seed, all.states, all.seen]);
    expect(ends(asleep)).toEqual(ends(all));
    const weak = exploreStateful(new Toy(program), { sleep: true, weaken: 'stored-sleep' });
    if (weak.states < all.states) lost++;
  }
  // What sleeps is to be kept with a state: without, states are lost on circles, now and then.
  expect(lost).toBeGreaterThan(0);
}, 300_000);

/** Says that moves touch nothing. */
class Blind extends Toy {
  override get footprint(): Footprint {
    return { length: 0, wordAt: () => 0, wroteAt: () => false };
  }
}

test('stateful: footprints that are not whole are noticed, or lose ends', () => {
  const program = unjudged(flush(1, false));
  const whole = exploreStateful(new Toy(program), { sleep: true });
  const blind = exploreStateful(new Blind(program), { sleep: true });
  expect(blind.terminals.size).toBeLessThan(whole.terminals.size);
  const waiting = () => exploreStateful(new Blind(counters(2, 'blocks')), { sleep: true });
  expect(waiting).toThrow('a footprint is not whole');
});

test('stateful: pinned counts, and the system is left where it was', () => {
  const toy: Explored = new Toy(unjudged(philosophers(4)));
  const before = [toy.hashLow, toy.hashHigh, toy.depth];
  const round = new Toy(randomLoops(63));
  const counts = [
    exploreStateful(toy),
    exploreStateful(toy, { sleep: true }),
    exploreStateful(round),
    exploreStateful(round, { sleep: true }),
  ].map(({ states, steps, terminals, longest }) => [states, steps, terminals.size, longest]);
  expect(counts).toEqual([
    [321, 708, 2, 16],
    [321, 404, 2, 16],
    [864, 3888, 0, 448],
    [864, 3071, 0, 225],
  ]);
  expect([toy.hashLow, toy.hashHigh, toy.depth]).toEqual(before);
  expect(exploreStateful(toy).collision).toBeLessThan(2 ** -40);
});

test('stateful: bounds end the search, unwanted promises do not', () => {
  const toy = new Toy(readers(4));
  expect(exploreStateful(toy, { steps: 20 })).toMatchObject({
    verdict: 'unfinished',
    exhausted: false,
    steps: 20,
  });
  expect(exploreStateful(toy, { isOver: () => true }).steps).toBe(0);
  expect(() => exploreStateful(toy, { sleep: true, preemptions: 1 })).toThrow('sleep sets lose');
  const hungry = new Toy(philosophers(3));
  expect(exploreStateful(hungry).message).toContain('deadlock');
  expect(exploreStateful(hungry, { isWanted: () => false }).verdict).toBe('holds');
});
