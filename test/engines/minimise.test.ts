/** Minimal paths, confirmed by the plain engine; and shortened ones where the budget is small. */
import { expect, test } from 'vitest';
import { minimise } from '../../src/schedule/explore/minimise.ts';
import { explorePlain } from '../../src/schedule/explore/plain.ts';
import { walkAtRandom } from '../../src/schedule/explore/random.ts';
import { exploreStateful } from '../../src/schedule/explore/stateful.ts';
import type { Move } from '../../src/schedule/explore/system.ts';
import { Toy } from './toy.ts';
import { flush, philosophers } from './toy-known.ts';
import type { Program } from './toy-program.ts';
import { randomProgram } from './toy-random.ts';

const deep = 'KPOP_DEEP' in process.env;
const SEEDS = deep ? 3000 : 200;

const smallest = (program: Program, path: readonly Move[], message: string, steps: number) =>
  minimise({
    fresh: () => new Toy(program),
    path,
    isSame: (other) => other === message,
    steps,
  });

/** A violation as a random walk meets it: with needless switches. */
const wild = (program: Program, seed: number) =>
  walkAtRandom(new Toy(program), { seed, runs: 300, depth: 100 });

/** Random programs, with the first violation that a walk finds. */
function* violations(): Generator<{ program: Program; found: ReturnType<typeof wild> }> {
  for (let seed = 0; seed < SEEDS; seed++) {
    const order = seed % 2 === 0 ? 'sc' : 'tso';
    const program = randomProgram(seed, { tasks: 2 + (seed % 2), statements: 3, words: 3, order });
    const found = wild(program, seed);
    if (found.verdict === 'violated') yield { program, found };
  }
}

test('minimise: what it calls minimal is, by the plain engine', () => {
  const count = { confirmed: 0, shorter: 0, fewer: 0 };
  for (const { program, found } of violations()) {
    const least = smallest(program, found.path, found.message, 1_000_000);
    expect([program.name, least.how]).toEqual([program.name, 'minimal']);
    expect(least.says).toMatch(/^minimal \(\d+ preemptions?, \d+ moves?\)/);
    const isWanted = (message: string): boolean => message === found.message;
    const { preemptions, moves } = least;
    // Nothing with fewer preemptions, and nothing with as many and fewer moves …
    for (const bounds of [{ preemptions: preemptions - 1 }, { preemptions, depth: moves - 1 }]) {
      if (Math.min(bounds.preemptions, moves - 1) < 0) continue;
      const report = explorePlain(new Toy(program), { ...bounds, isWanted, steps: 300_000 });
      if (report.verdict === 'unfinished') continue;
      expect([program.name, bounds, report.verdict]).toEqual([program.name, bounds, 'holds']);
      count.confirmed++;
    }
    // … but this.
    const bounds = { preemptions, depth: moves };
    expect(exploreStateful(new Toy(program), { ...bounds, isWanted }).verdict).toBe('violated');
    expect([least.path.length, least.message]).toEqual([moves, found.message]);
    if (moves < found.path.length) count.shorter++;
    if (preemptions < preemptionsOf(program, found.path)) count.fewer++;
  }
  expect(count.confirmed).toBeGreaterThan(SEEDS / 2);
  expect(Math.min(count.shorter, count.fewer)).toBeGreaterThan(SEEDS / 40);
});

const preemptionsOf = (program: Program, path: readonly Move[]): number =>
  smallest(program, path, messageOf(program, path), 0).preemptions;

function messageOf(program: Program, path: readonly Move[]): string {
  const toy = new Toy(program);
  for (const move of path) toy.take(move);
  return toy.always() ?? toy.atEnd()!;
}

test('minimise: with a small budget it shortens, claims no more, and never makes it worse', () => {
  const hows = { minimal: 0, shortened: 0, given: 0 };
  for (const { program, found } of violations()) {
    const least = smallest(program, found.path, found.message, 1_000_000);
    for (const steps of [200, 800, 3000]) {
      const quick = smallest(program, found.path, found.message, steps);
      hows[quick.how]++;
      expect(messageOf(program, quick.path)).toBe(found.message);
      expect(quick.preemptions).toBeGreaterThanOrEqual(least.preemptions);
      if (quick.preemptions === least.preemptions) {
        expect(quick.moves).toBeGreaterThanOrEqual(least.moves);
      }
      if (quick.how === 'minimal') expect(quick.says).toBe(least.says);
      if (quick.how === 'given') expect(quick.path).toEqual(found.path);
      if (quick.how !== 'minimal') expect(quick.says).toContain('not known to be minimal');
      expect(quick.steps).toBeLessThan(steps + 2 * found.path.length);
    }
  }
  expect(Math.min(hows.minimal, hows.shortened, hows.given)).toBeGreaterThan(0);
});

test('minimise: a shootdown that does not wait, with growing budgets', () => {
  const program = flush(3, false, 'tso');
  const found = wild(program, 4);
  const said = [0, 2000, 8000, 100_000].map((steps) => {
    const { says, switches } = smallest(program, found.path, found.message, steps);
    return `${switches} switches, ${says}`;
  });
  const shown =
    'not known to be minimal; it is not broken with 0 preemptions and fewer than 9 moves';
  expect(said).toEqual([
    '14 switches, as it was found (6 preemptions, 18 moves), not known to be minimal',
    `6 switches, shortened (2 preemptions, 13 moves), ${shown}`,
    `2 switches, shortened (1 preemption, 10 moves), ${shown}`,
    '2 switches, minimal (1 preemption, 10 moves): ' +
      'it is not broken with fewer preemptions, nor with as many and fewer moves',
  ]);
});

test('minimise: fewer moves than were searched with fewer preemptions are not minimal', () => {
  const program = philosophers(6); // a deadlock takes one preemption
  const found = wild(program, 2);
  const isSame = (message: string): boolean => message.startsWith('deadlock');
  const options = { fresh: () => new Toy(program), path: found.path, isSame };
  for (const steps of [0, 100, 300, 1000, 1_000_000]) {
    const { how, preemptions, moves } = minimise({ ...options, steps });
    if (how === 'minimal') expect([steps, preemptions, moves]).toEqual([steps, 1, 6]);
  }
  expect(minimise({ ...options, steps: 1_000_000 }).how).toBe('minimal');
});

test('minimise: a path that breaks nothing is refused', () => {
  const isSame = () => true;
  const options = { fresh: () => new Toy(flush(1, true)), path: [0], isSame, steps: 100 };
  expect(() => minimise(options)).toThrow('the given path does not break the promise');
});
