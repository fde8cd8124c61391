/**
 * The VM of a guest hypervisor is torn down while its guests and the host go on: it holds, and
 * each label that it rests on is missed when the machine weakens it.
 */
import { expect, test } from 'vitest';
import { lookAt } from '../../src/experiment/check/look.ts';
import { buildScene } from '../../src/experiment/check/scene.ts';
import { type Sample, sceneOf } from './forgetting.ts';

function found(sample: Sample, goal: number | 'all'): string {
  const { harts } = buildScene(sceneOf(sample));
  const bounds = { steps: 1_000_000, goal, entries: 3, seed: 1 };
  const hunts = sample[3] !== undefined;
  const { verdict, message } = lookAt(harts, { bounds, hunts, isOver: () => false });
  return verdict === 'violated' ? message : verdict;
}

for (const [litmus, goal] of [
  ['fill-teardown', 'all'],
  ['invalidate-teardown', 'all'],
  ['remove-l1-teardown', 'all'],
  ['teardown-teardown', 'all'],
  ['clear-teardown', 1],
] as const) {
  test(`nested: ${litmus} holds`, () => {
    expect(found(['nested', litmus, 'tso'], goal)).toBe('holds');
  });
}

for (const [litmus, label, message] of [
  ['teardown-teardown', 'nested.teardown.begin', /frames\.owned: at rest, frame .* owned by/],
  ['invalidate-teardown', 'nested.teardown.lock', /frame\.free: .* which is free/],
  ['write-teardown', 'stop.wait', /tlb\.stale: .* walk the table in frame .* free/],
  ['fill-teardown', 'stop.wait', /nested\.torn: the VM is gone, and its vCPU 0 goes on/],
  ['clear-teardown', 'stop.wait', /nested\.torn: the VM is gone, and its vCPU 1 goes on/],
] as const) {
  test(`nested: ${litmus} without ${label} is caught`, () => {
    expect(found(['nested', litmus, 'sc', [label, 'drop']], 1)).toMatch(message);
  });
}
