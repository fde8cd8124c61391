/** Random walks and PCT: what they find, how often, and that a seed says all. */
import { expect, test } from 'vitest';
import { exploreByPriorities, walkAtRandom } from '../../src/schedule/explore/random.ts';
import { Toy } from './toy.ts';
import { counters } from './toy-known.ts';
import type { Instruction, Program } from './toy-program.ts';

const runs = 'KPOP_DEEP' in process.env ? 40_000 : 4000;

const pause = (moves: number, word: number): Instruction[] =>
  Array.from({ length: moves }, () => ({ op: 'store', word, from: 1 }));

/** Adds 1 to word 0 without a lock, with moves of no importance around. */
const addition = (own: number): Instruction[] => [
  ...pause(3, own),
  { op: 'load', word: 0, into: 0 },
  ...pause(2, own),
  { op: 'compute', into: 0, from: { reg: 0 }, plus: 1 },
  { op: 'store', word: 0, from: { reg: 0 } },
  ...pause(3, own),
];

/** Two orderings lose an addition: the other's load and store, both between one's own. */
const lostAddition: Program = {
  name: 'lost addition',
  words: [0, 0, 0],
  order: 'sc',
  tasks: [addition(1), addition(2)],
  final: [{ word: 0, equals: 2 }],
};

/** Three orderings: the first load after the first store, the second store between the loads. */
const glimpse: Program = {
  name: 'glimpse',
  words: [0, 0],
  order: 'sc',
  tasks: [
    [{ op: 'store', word: 0, from: 1 }, ...pause(2, 1), { op: 'store', word: 0, from: 0 }],
    [
      { op: 'load', word: 0, into: 0 },
      { op: 'branch', register: 0, equals: 0, by: 4 },
      { op: 'load', word: 0, into: 1 },
      { op: 'compute', into: 1, from: { reg: 1 }, plus: 7 },
      { op: 'assert', register: 1, differs: 7 },
    ],
  ],
};

const broken = (program: Program, bugDepth: number) =>
  exploreByPriorities(new Toy(program), { seed: 1, runs, bugDepth, countAll: true });

test('random: PCT finds a bug of depth 2 as often as it promises, and not with depth 1', () => {
  expect(broken(lostAddition, 1)).toMatchObject({ violations: 0, perRun: 1 / 2 });
  const report = broken(lostAddition, 2);
  expect(report).toMatchObject({ actors: 2, length: 20, bugDepth: 2, isWithinLength: true });
  expect(report.perRun).toBe(1 / 40);
  expect(report.overall).toBeGreaterThan(1 - 1e-9);
  expect(report.violations).toBeGreaterThan(0.9 * runs * report.perRun);
  expect(report.message).toBe('the final condition does not hold');
});

test('random: PCT finds a bug of depth 3 with depth 3, not with 2', () => {
  expect(broken(glimpse, 2).violations).toBe(0);
  const report = broken(glimpse, 3);
  expect(report.perRun).toBe(1 / (2 * report.length ** 2));
  expect(report.violations).toBeGreaterThan(0.9 * runs * report.perRun);
});

test('random: walks find what is frequent, and a path is one that breaks the promise', () => {
  const toy = new Toy(lostAddition);
  const report = walkAtRandom(toy, { seed: 5, runs: 200 });
  expect(report).toMatchObject({ verdict: 'violated', violations: 1, loop: -1, cut: 0 });
  expect(report.executions).toBeLessThan(20);
  for (const move of report.path) toy.take(move);
  expect([toy.moves().length, toy.atEnd()]).toEqual([0, report.message]);
});

test('random: nothing found is nothing proven', () => {
  const report = walkAtRandom(new Toy(counters(2, 'blocks')), { seed: 5, runs: 100 });
  expect(report).toMatchObject({ verdict: 'unfinished', exhausted: false, executions: 100 });
  const isOver = () => true;
  expect(walkAtRandom(new Toy(lostAddition), { seed: 5, runs: 9, isOver }).executions).toBe(0);
});

test('random: a seed decides everything', () => {
  const once = (seed: number) => walkAtRandom(new Toy(lostAddition), { seed, runs: 50 });
  expect(once(3)).toEqual(once(3));
  expect(once(3).path).not.toEqual(once(4).path);
  expect(broken(glimpse, 3)).toEqual(broken(glimpse, 3));
});

test('random: who spins does not hold up PCT; what never ends is cut', () => {
  const spin: Instruction[] = [
    { op: 'load', word: 0, into: 0 },
    { op: 'branch', register: 0, equals: 0, by: -1 },
  ];
  const spins: Program = { name: 'spins', words: [0], order: 'sc', tasks: [spin, addition(0)] };
  const options = { seed: 1, runs: 50, bugDepth: 1, length: 200, depth: 200 };
  expect(exploreByPriorities(new Toy(spins), options)).toMatchObject({ cut: 0 });
  const alone: Program = { ...spins, tasks: [spin] };
  expect(exploreByPriorities(new Toy(alone), options)).toMatchObject({
    cut: 50,
    longest: 200,
    isWithinLength: true,
  });
  // Past k moves the bound says nothing.
  const short = exploreByPriorities(new Toy(alone), { ...options, length: 100 });
  expect(short).toMatchObject({ cut: 50, isWithinLength: false });
});

test('random: all answers to a choice are given', () => {
  const choice: Instruction = { op: 'choose', among: 5, into: 0 };
  const program: Program = { name: 'choice', words: [], order: 'sc', tasks: [[choice]] };
  const options = { seed: 1, runs: 100, bugDepth: 1 };
  expect(walkAtRandom(new Toy(program), options).terminals.size).toBe(5);
  expect(exploreByPriorities(new Toy(program), options).terminals.size).toBe(5);
});
