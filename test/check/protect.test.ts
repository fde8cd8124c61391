/**
 * KPOP's PROTECT: what each of its guards is there for, and that its oracle knows the difference.
 * That the code as it is holds is what `kpop check kpop` shows.
 */
import { expect, test } from 'vitest';
import { parseDesign } from '../../src/design/index.ts';
import { Overseen } from '../../src/experiment/check/oversee.ts';
import { findLitmus } from '../../src/experiment/check/pieces.ts';
import { buildScene, type Scene } from '../../src/experiment/check/scene.ts';
import type { MemoryOrder } from '../../src/machine/explored/acts.ts';
import type { How } from '../../src/machine/explored/weakening.ts';
import { exploreStateful } from '../../src/schedule/explore/stateful.ts';

function sceneOf(program: string, order: MemoryOrder, weak?: readonly [string, How]): Scene {
  const weaken = weak === undefined ? [] : [{ label: weak[0], how: weak[1] }];
  return buildScene({ choice: parseDesign('kpop'), litmus: findLitmus(program), order, weaken });
}

test.each<[string, How, string, MemoryOrder, string]>([
  ['kpop.protect.narrow', 'drop', 'protect-allow', 'sc', 'kpop.composed'],
  ['kpop.protect.fence', 'drop', 'protect-allow', 'sc', 'kpop.withdrawn'],
  ['kpop.protect.epoch', 'drop', 'protect-allow', 'sc', 'kpop.withdrawn'],
  ['kpop.protect.label', 'drop', 'write-protect-protect', 'sc', 'tlb.stale'],
  ['kpop.protect.relabel', 'drop', 'write-protect-protect', 'sc', 'tlb.stale'],
])('%s (%s), %s under %s: breaks %s', (label, how, program, order, promise) => {
  const { harts } = sceneOf(program, order, [label, how]);
  const { message } = exploreStateful(harts, { preemptions: 2, steps: 200_000 });
  expect(message.slice(0, promise.length + 1)).toBe(`${promise}:`);
});

test.each(['protect-allow', 'protect-map', 'protect-fill', 'allow-fill'])(
  'the oracle explains every execution of %s',
  (program) => {
    const report = exploreStateful(new Overseen(sceneOf(program, 'sc')), { preemptions: 2 });
    expect([report.message, report.verdict]).toEqual(['', 'holds']);
  },
);

test.each<[string, string, How]>([
  ['protect-allow', 'kpop.protect.fence', 'drop'],
  ['protect-fill', 'kpop.protect.narrow', 'drop'],
  ['write-protect', 'kpop.kick.wait', 'drop'],
])('%s without %s (%s) is explained by no order', (program, label, how) => {
  const scene = sceneOf(program, 'sc', [label, how]);
  const overseen = new Overseen(scene, { alone: true, ways: ['linearisable', 'release'] });
  const { message } = exploreStateful(overseen, { preemptions: 2, steps: 60_000 });
  expect(message).toMatch(/^oracle\./);
});
