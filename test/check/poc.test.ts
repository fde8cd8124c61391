/**
 * KPOP's proof of concept: what the host takes stays mapped in L2 as the code was, and does not
 * once its taking reaches L2's roots; and what each guard of that repair and of the three
 * hypercalls is there for. The product's code, with one labelled act weakened, breaks a promise.
 */
import { describe, expect, test } from 'vitest';
import { parseDesign } from '../../src/design/index.ts';
import { findLitmus } from '../../src/experiment/check/pieces.ts';
import { buildScene } from '../../src/experiment/check/scene.ts';
import type { How } from '../../src/machine/explored/weakening.ts';
import { exploreStateful } from '../../src/schedule/explore/stateful.ts';

const REPAIRED = 'kpop-poc:invalidate=all';

function look(design: string, program: string, weak?: readonly [string, How]): string {
  const weaken = weak === undefined ? [] : [{ label: weak[0], how: weak[1] }];
  const litmus = findLitmus(program);
  const { harts } = buildScene({ choice: parseDesign(design), litmus, order: 'sc', weaken });
  const { verdict, message } = exploreStateful(harts, { preemptions: 2, steps: 200_000 });
  return verdict === 'violated' ? message.slice(0, message.indexOf(':')) : verdict;
}

describe('the host takes a page of L1 that L2 uses', () => {
  test('invalidate=l1: L2 stays mapped to a frame that backs nothing', () => {
    expect(look('kpop-poc', 'unmap-invalidate-pair')).toBe('poc.backing');
    expect(look('kpop-poc', 'map-invalidate')).toBe('poc.backing');
  });

  test('invalidate=all: it does not', () => {
    expect(look(REPAIRED, 'unmap-invalidate-pair')).toBe('holds');
    expect(look(REPAIRED, 'map-invalidate')).toBe('holds');
  });
});

test.each<[string, How, string, string]>([
  ['poc.take.clear', 'drop', 'map-invalidate', 'poc.backing'],
  ['poc.take.lock', 'drop', 'map-invalidate', 'poc.backing'],
  ['poc.map.lock', 'drop', 'map-invalidate', 'poc.backing'],
  ['mmu.in-progress', 'drop', 'map-invalidate', 'poc.backing'],
  ['tdp.zap.clear', 'drop', 'unmap-unmap', 'poc.backing'],
  ['flush.wait', 'drop', 'stay-unmap', 'tlb.stale'],
  ['flush.wait', 'drop', 'stay-invalidate', 'tlb.stale'],
])('%s (%s) under %s: without it %s breaks', (label, how, program, promise) => {
  expect(look(REPAIRED, program, [label, how])).toBe(promise);
});
