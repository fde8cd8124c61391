/**
 * The lazy adversary against the eager one, which caches one walkable entry after the other as
 * moves of their own: the same verdicts, the same final words, and fewer states.
 */
import { expect, test } from 'vitest';
import { parseDesign } from '../../src/design/index.ts';
import { buildScene, type SceneOptions } from '../../src/experiment/check/scene.ts';
import { litmusPrograms } from '../../src/litmus/index.ts';
import { exploreStateful } from '../../src/schedule/explore/stateful.ts';

interface Found {
  readonly verdict: string;
  readonly promise: string;
  readonly ends: ReadonlySet<number>;
  readonly states: number;
}

function explore(options: Omit<SceneOptions, 'choice'>, design: string): Found {
  const { harts } = buildScene({ ...options, choice: parseDesign(design) });
  const ends = new Set<number>();
  const atEnd = harts.atEnd.bind(harts);
  harts.atEnd = () => {
    ends.add(harts.wordsHash);
    return atEnd();
  };
  const { verdict, message, states } = exploreStateful(harts, { steps: 1_500_000 });
  return { verdict, promise: message.slice(0, message.indexOf(':')), ends, states };
}

function both(design: string, litmus: string, drop: string): { lazy: Found; eager: Found } {
  const program = litmusPrograms.find(({ id }) => id === litmus)!;
  const weaken = drop === '' ? [] : [{ label: drop, how: 'drop' as const }];
  const options = { litmus: program, order: 'sc', weaken, entries: 2 } as const;
  return {
    lazy: explore(options, design),
    eager: explore({ ...options, hardware: 'eager' }, design),
  };
}

test.each([
  ['tdp', 'write-unmap'],
  ['tdp', 'remove-write'],
  ['kpop', 'write-unmap'],
])('hostile: %s %s ends in the same words, whoever caches', (design, litmus) => {
  const { lazy, eager } = both(design, litmus, '');
  expect([lazy.verdict, eager.verdict]).toEqual(['holds', 'holds']);
  expect([...lazy.ends].sort()).toEqual([...eager.ends].sort());
  expect(lazy.states).toBeLessThan(eager.states);
});

test.each([
  ['tdp', 'write-unmap', 'flush.wait'],
  ['tdp', 'stay-unmap', 'flush.wait'],
  ['tdp', 'write-leave-unmap', 'run.flush'],
  ['kpop', 'write-unmap', 'kpop.kick.wait'],
  ['kpop', 'write-leave-unmap', 'kpop.enter.flush'],
])('hostile: %s %s without %s breaks, whoever caches', (design, litmus, drop) => {
  const { lazy, eager } = both(design, litmus, drop);
  expect([lazy.verdict, eager.verdict]).toEqual(['violated', 'violated']);
});
