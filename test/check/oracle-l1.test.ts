/**
 * KPOP's L1 over the specification of its L0: faults and invalidations of L1's vCPUs against each
 * other, and what each guard of L1's protocol is there for.
 */
import { describe, expect, test } from 'vitest';
import { chooseAxes } from '../../src/design/index.ts';
import { kpopL1 } from '../../src/design/kpop-l1-checked.ts';
import { lookForRaces } from '../../src/experiment/check/races.ts';
import { buildScene, type Scene } from '../../src/experiment/check/scene.ts';
import { type HostStep, host, type Litmus } from '../../src/litmus/litmus.ts';
import type { How } from '../../src/machine/explored/weakening.ts';
import { exploreStateful } from '../../src/schedule/explore/stateful.ts';

const deep = 'KPOP_DEEP' in process.env;

const touch = (page: number): HostStep => host('touch', page);
const invalidate = (page: number): HostStep => host('drop', page);
const mapped = { first: 0, end: 1 };

function litmus(hosts: Litmus['hosts'], rest: Pick<Litmus, 'mapped'> = {}): Litmus {
  return { id: 'x', title: '', source: '', pages: 4, guests: [], hosts, ...rest };
}

const scenes = {
  touches: litmus([[touch(0)], [touch(0)]]),
  touchInvalidate: litmus([[touch(0)], [invalidate(0)]]),
  neighbour: litmus([[touch(1)], [invalidate(0)]], { mapped }),
  invalidations: litmus([[invalidate(0)], [invalidate(0)]], { mapped }),
  both: litmus(
    [
      [invalidate(0), touch(0)],
      [touch(0), invalidate(0)],
    ],
    { mapped },
  ),
  collects: litmus([[host('collect', 0), touch(0)], [host('collect', 0)]], { mapped }),
  collectDrop: litmus([[host('collect', 0)], [invalidate(0), touch(0)]], { mapped }),
  three: litmus([[touch(0)], [invalidate(0)], [invalidate(0)]], { mapped }),
};

type SceneName = keyof typeof scenes;

function sceneOf(name: SceneName, axes: string, weak?: readonly [string, How]): Scene {
  const weaken = weak === undefined ? [] : [{ label: weak[0], how: weak[1] }];
  const choice = chooseAxes(kpopL1, axes);
  return buildScene({ choice, litmus: scenes[name], order: 'sc', weaken });
}

describe.each(['run=fused', 'run=separate'])('%s', (axes) => {
  test.each<SceneName>(['collects', 'collectDrop'])('%s, exhausted', (name) => {
    const report = exploreStateful(sceneOf(name, axes).harts);
    expect([report.message, report.verdict]).toEqual(['', 'holds']);
  });

  test.each<SceneName>(['touches', 'touchInvalidate', 'neighbour'])('%s, exhausted', (name) => {
    const report = exploreStateful(sceneOf(name, axes).harts);
    expect([report.message, report.verdict]).toEqual(['', 'holds']);
    expect(report.states).toBeGreaterThan(1000);
  });

  test.each<SceneName>(['invalidations', 'both', 'three'])('%s, to some preemptions', (name) => {
    const report = exploreStateful(sceneOf(name, axes).harts, { preemptions: deep ? 4 : 2 });
    expect([report.message, report.verdict]).toEqual(['', 'holds']);
  });
});

describe.each(['rbtree', 'interval', 'flat', 'none'])('book=%s', (book) => {
  const preemptions = deep ? 4 : 1;
  test.each<SceneName>(
    deep ? ['touches', 'touchInvalidate', 'invalidations', 'both', 'three'] : ['both'],
  )('%s, to some preemptions', (name) => {
    for (const axes of deep ? ['', ',batch=2', ',flush=request', ',run=separate'] : ['']) {
      const report = exploreStateful(sceneOf(name, `book=${book}${axes}`).harts, { preemptions });
      expect([report.message, report.verdict]).toEqual(['', 'holds']);
    }
  });
});

test('a flat book whose insertion does not look at what is there loses what was killed', () => {
  const { harts } = sceneOf('both', 'book=flat', ['flat.insert', 'blind']);
  const { message } = exploreStateful(harts, { preemptions: 2, steps: 100_000 });
  expect(message).toMatch(/^l1\.(lost|book|released):/);
});

test.each(['tree.insert.lock', 'l1.scan.take'])(
  'trees without the order of %s: a race',
  (label) => {
    const litmus = scenes.touchInvalidate;
    const options = { choice: chooseAxes(kpopL1, 'book=interval'), litmus, order: 'sc' } as const;
    const scene = buildScene({ ...options, weaken: [{ label, how: 'relaxed' }] });
    const { message } = lookForRaces(scene, { seed: 1, isOver: () => false });
    expect(message).toMatch(/^memory\.race:/);
  },
);

describe('what L1 does without one of its guards', () => {
  test.each<[string, How, SceneName, string]>([
    ['l1.fault.recheck', 'stale', 'touchInvalidate', 'l1.released'],
    ['l1.fault.leaving', 'drop', 'touchInvalidate', 'l1.released'],
    ['l1.invalidate.epoch', 'drop', 'touchInvalidate', 'l1.released'],
    ['l1.invalidate.begin', 'drop', 'touchInvalidate', 'l1.released'],
    ['l1.settle.valid', 'blind', 'touchInvalidate', 'l1.lost'],
    ['l1.invalidate.emptied', 'drop', 'invalidations', 'l1.book'],
    ['l1.narrowed.take', 'drop', 'collects', 'progress.deadlock'],
    ['l1.allow.reserve', 'drop', 'collects', 'l1.writable'],
    ['l1.settle.valid', 'drop', 'collects', 'l1.book'],
  ])('%s (%s), %s: breaks %s', (label, how, name, promise) => {
    const { harts } = sceneOf(name, 'run=fused', [label, how]);
    const { message } = exploreStateful(harts, { steps: 100_000 });
    expect(message.slice(0, promise.length + 1)).toBe(`${promise}:`);
  });
});
