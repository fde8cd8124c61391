/**
 * KPOP's POLICY: what each guard of publishing, answering and posting is there for. The product's
 * code, with one labelled act weakened, breaks a promise; that it holds without is what
 * `kpop check kpop` shows.
 */
import { describe, expect, test } from 'vitest';
import { explorable, parseDesign } from '../../src/design/index.ts';
import { findLitmus } from '../../src/experiment/check/pieces.ts';
import { watchRaces } from '../../src/experiment/check/races.ts';
import { buildScene, type Scene } from '../../src/experiment/check/scene.ts';
import type { How } from '../../src/machine/explored/weakening.ts';
import { exploreStateful } from '../../src/schedule/explore/stateful.ts';

function sceneOf(program: string, weak?: readonly [string, How]): Scene {
  return buildScene({
    choice: parseDesign('kpop-policy', explorable),
    litmus: findLitmus(program),
    order: 'sc',
    weaken: weak === undefined ? [] : [{ label: weak[0], how: weak[1] }],
  });
}

function promiseIn(message: string): string {
  return message.slice(0, Math.max(0, message.indexOf(':')));
}

test.each<[string, How, string, string]>([
  ['policy.publish', 'drop', 'policy-answer', 'kpop.policy'],
  ['policy.post.vector', 'drop', 'post-run', 'progress.deadlock'],
  ['policy.post.request', 'drop', 'post-run', 'progress.deadlock'],
  ['policy.post.kick', 'drop', 'post-run', 'progress.deadlock'],
  ['policy.take', 'drop', 'post-run', 'progress.deadlock'],
  ['run.recheck', 'stale', 'post-run', 'progress.deadlock'],
])('%s (%s) under %s: without it %s breaks', (label, how, program, promise) => {
  const { harts } = sceneOf(program, [label, how]);
  expect(promiseIn(exploreStateful(harts, { preemptions: 2, steps: 100_000 }).message)).toBe(
    promise,
  );
});

describe('a table is plain words: who may be reading it while it is written', () => {
  const look = (program: string, weak?: readonly [string, How]): string => {
    const watched = watchRaces(sceneOf(program, weak), 'words');
    return promiseIn(exploreStateful(watched, { preemptions: 3, steps: 200_000 }).message);
  };

  test('nobody', () => {
    expect(look('policy-answer')).toBe('');
    expect(look('policy-replace')).toBe('');
  });

  test.each<[string, How, string]>([
    ['policy.publish', 'relaxed', 'policy-answer'],
    ['policy.look', 'relaxed', 'policy-answer'],
    ['rcu.check', 'drop', 'policy-replace'],
    ['rcu.snapshot', 'drop', 'policy-replace'],
  ])('%s (%s): a race', (label, how, program) => {
    expect(look(program, [label, how])).toBe('memory.race');
  });
});
