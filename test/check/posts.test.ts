/**
 * Virtual interrupts posted for a vCPU that runs, leaves, enters or waits in HLT: none is lost in
 * any interleaving, and each guard of the handshake is needed where the manual says so.
 */
import { describe, expect, test } from 'vitest';
import { chooseAxes } from '../../src/design/index.ts';
import { tdp } from '../../src/design/tdp.ts';
import { findLitmus } from '../../src/experiment/check/pieces.ts';
import { buildScene } from '../../src/experiment/check/scene.ts';
import type { MemoryOrder } from '../../src/machine/explored/acts.ts';
import type { How, Weakening } from '../../src/machine/explored/weakening.ts';
import { exploreStateful } from '../../src/schedule/explore/stateful.ts';

type Report = ReturnType<typeof exploreStateful>;

function explored(litmus: string, order: MemoryOrder, weaken: readonly Weakening[] = []): Report {
  const choice = chooseAxes(tdp, undefined);
  return exploreStateful(
    buildScene({ choice, litmus: findLitmus(litmus), order, weaken }).harts,
    {},
  );
}

describe('a posted interrupt is taken', () => {
  test.each(['post-run', 'post-leave', 'post-halt'])('%s: in every interleaving', (litmus) => {
    const report = explored(litmus, 'tso');
    expect([report.message, report.verdict]).toEqual(['', 'holds']);
    expect(report.exhausted).toBe(true);
  });

  const lost = /progress\.deadlock: .*guest\.0 at guest\.interrupted wait for ever/;

  test.each([
    ['post.vector', 'drop', 'sc'],
    ['post.kick', 'drop', 'sc'],
    ['accept.vectors', 'drop', 'sc'],
    ['run.recheck', 'stale', 'sc'],
    ['post.request', 'split', 'tso'],
    ['run.in-guest', 'split', 'tso'],
  ] as const)('%s weakened (%s) loses it under %s', (label, how, order) => {
    expect(explored('post-run', order, [{ label, how: how as How }]).message).toMatch(lost);
  });

  test.each(['post.request', 'run.in-guest'])(
    '%s: without store buffers the halves do',
    (label) => {
      expect(explored('post-run', 'sc', [{ label, how: 'split' }]).message).toBe('');
    },
  );

  test.each(['post.vector', 'post.request', 'accept.vectors'])('post-halt: %s dropped', (label) => {
    const { message } = explored('post-halt', 'sc', [{ label, how: 'drop' }]);
    expect(message).toMatch(/progress\.deadlock: .*at halt\.wait wait for ever/);
  });
});
