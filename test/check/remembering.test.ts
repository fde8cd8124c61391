/**
 * Promises are asked again only when something that they read has changed (`Judge`): explorations
 * that ask in every state find the same, whether something is broken or not.
 */
import { expect, test } from 'vitest';
import { exploreAll, type Sample, sceneOf } from './forgetting.ts';

const SAMPLES: readonly Sample[] = [
  ['tdp', 'fault-unmap', 'tso'],
  ['tdp', 'write-teardown', 'sc'],
  ['kpop', 'unmap-unmap', 'tso'],
  ['tdp', 'write-invalidate', 'sc', ['flush.kick', 'drop']],
  ['tdp', 'remove-fault', 'sc', ['tdp.map.link', 'blind']],
  ['nested', 'write-unmap', 'sc', ['flush.call', 'drop']],
  ['nested', 'write-unmap', 'tso', ['nested.fill.lock', 'drop']],
  ['kpop', 'unmap-unmap', 'tso', ['kpop.rmap.relock', 'drop']],
];

for (const sample of SAMPLES) {
  const [design, litmus, memory, weak] = sample;
  test(`promises: ${[design, litmus, memory, ...(weak ?? [])].join(' ')}`, () => {
    const scene = sceneOf(sample);
    const bounds = { steps: 400_000, preemptions: 2 };
    const remembered = exploreAll(scene, 'claimed', bounds);
    const asked = exploreAll({ ...scene, remembers: false }, 'claimed', bounds);
    expect(asked.exhausted).toBe(true);
    expect(remembered).toEqual(asked);
  });
}
