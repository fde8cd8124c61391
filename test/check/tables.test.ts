/**
 * KPOP's L0 on tables of three levels: an UNMAP of four aligned pages unlinks a table page that
 * links others, which the smallest tables of `kpop check` do not have.
 */
import { describe, expect, test } from 'vitest';
import { chooseAxes } from '../../src/design/index.ts';
import { kpop } from '../../src/design/kpop.ts';
import { buildScene, type Scene } from '../../src/experiment/check/scene.ts';
import { type HostStep, host, type Litmus } from '../../src/litmus/litmus.ts';
import type { MemoryOrder } from '../../src/machine/explored/acts.ts';
import type { Weakening } from '../../src/machine/explored/weakening.ts';
import { exploreStateful } from '../../src/schedule/explore/stateful.ts';

const deeper = { ...kpop, explored: { secondStage: { levels: 3, indexBits: 1 } } };
/** All that one entry of the root serves: two leaf tables and the one above them. */
const subtree = host('remove-tables', 0, 4);

function against(
  steps: readonly HostStep[],
  mapped: Litmus['mapped'] = { first: 0, end: 3 },
): Litmus {
  return {
    id: 'x',
    title: '',
    source: '',
    pages: 8,
    mapped,
    guests: [],
    hosts: [[subtree], steps],
  };
}

const litmus = {
  map: against([host('map', 3)]),
  move: against([host('move', 0)]),
  fill: against([host('fill', 0)]),
  invalidate: against([host('invalidate', 2)]),
  half: against([host('remove-tables', 2, 4)]),
  whole: against([subtree]),
  teardown: against([host('teardown', 0, 8)]),
};
type Name = keyof typeof litmus;

function sceneOf(
  name: Name,
  order: MemoryOrder,
  weaken: readonly Weakening[] = [],
  axes?: string,
): Scene {
  return buildScene({ choice: chooseAxes(deeper, axes), litmus: litmus[name], order, weaken });
}

describe('a table page that links others is removed', () => {
  const names = Object.keys(litmus) as Name[];
  test.each(names)('against %s: holds', { timeout: 60_000 }, (name) => {
    const preemptions = name === 'move' ? { preemptions: 2 } : {};
    const report = exploreStateful(sceneOf(name, 'tso').harts, preemptions);
    expect([report.message, report.verdict]).toEqual(['', 'holds']);
    expect(report.exhausted).toBe(true);
  });

  test('under one lock for all entries: nobody takes it twice', { timeout: 60_000 }, () => {
    const { message, exhausted } = exploreStateful(sceneOf('map', 'tso', [], 'lock=vm').harts, {});
    expect([message, exhausted]).toEqual(['', true]);
  });

  test.each<[string, Weakening['how'], Name, string]>([
    ['kpop.entry.locked', 'drop', 'map', 'kpop.composed'],
    ['kpop.remove.unlink', 'drop', 'whole', 'kpop.composed'],
  ])('without %s (%s), against %s: breaks %s', (label, how, name, promise) => {
    const { harts } = sceneOf(name, 'sc', [{ label, how }]);
    const { message } = exploreStateful(harts, { steps: 400_000 });
    expect(message.slice(0, promise.length + 1)).toBe(`${promise}:`);
  });
});
