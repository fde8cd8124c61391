/**
 * Tables out of step (`nested:unsync=on`): what each guard is there for. The product's code, with
 * one labelled act weakened, must break a promise; with none it holds.
 */
import { describe, expect, test } from 'vitest';
import { chooseAxes } from '../../src/design/index.ts';
import { nested } from '../../src/design/nested.ts';
import { findLitmus } from '../../src/experiment/check/pieces.ts';
import { buildScene } from '../../src/experiment/check/scene.ts';
import type { Weakening } from '../../src/machine/explored/weakening.ts';
import { exploreStateful } from '../../src/schedule/explore/stateful.ts';

const choice = chooseAxes(nested, 'unsync=on');

/** L1 clears an entry on one CPU; on another L1 flushes, and L2 goes on. */
function look(weaken: readonly Weakening[]): string {
  const litmus = findLitmus('clear-flush-one');
  const { harts } = buildScene({ choice, litmus, order: 'sc', weaken, entries: 3 });
  return exploreStateful(harts, {}).verdict;
}

describe('nested, unsync=on', () => {
  test.each([
    ['shadow.unsync.parents', 'a mark that nobody finds: the sync is skipped'],
    ['protect.clear-write', 'an entry is read while its table can still be written to'],
    ['flush.request', 'the table is protected, and a CPU may still write to it'],
  ])('without %s: %s', (label) => {
    expect(look([{ label, how: 'drop' }])).toBe('violated');
  });

  test('with all of them every interleaving holds', () => {
    expect(look([])).toBe('holds');
  });
});
