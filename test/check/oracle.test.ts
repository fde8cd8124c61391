/**
 * Oracles: the code of KPOP's L0 and of the TDP MMU does what the specifications say, under all
 * interleavings of small scenes; weakened code does not; and wrong specifications are refuted.
 */
import { describe, expect, test } from 'vitest';
import { KpopSpecification, type KpopState } from '../../src/check/oracle/kpop.ts';
import type { Call, Specification, Step } from '../../src/check/oracle/specification.ts';
import type { Way } from '../../src/check/oracle/watch.ts';
import { parseDesign } from '../../src/design/index.ts';
import { Overseen, type OverseeOptions } from '../../src/experiment/check/oversee.ts';
import { buildScene, type Scene } from '../../src/experiment/check/scene.ts';
import { host, type Litmus, read, write } from '../../src/litmus/litmus.ts';
import type { How } from '../../src/machine/explored/weakening.ts';
import { explorePlain } from '../../src/schedule/explore/plain.ts';
import { walkAtRandom } from '../../src/schedule/explore/random.ts';
import { exploreReduced } from '../../src/schedule/explore/reduced.ts';
import { exploreStateful } from '../../src/schedule/explore/stateful.ts';
import { isExplained, operationsOf } from './wing-gong.ts';

const deep = 'KPOP_DEEP' in process.env;

const nobody = { id: 'x', title: '', source: '', pages: 4, guests: [], hosts: [] };
const mapped = { first: 0, end: 1 };

const scenes = {
  fault: { ...nobody, hosts: [[host('fault', 0)], [host('fault', 0)]] },
  faultUnmap: { ...nobody, mapped, hosts: [[host('fault', 0)], [host('unmap', 0)]] },
  faultRemove: { ...nobody, mapped, hosts: [[host('fault', 1)], [host('remove-tables', 0, 2)]] },
  map: { ...nobody, hosts: [[host('map', 0)], [host('unmap', 0)]] },
  move: { ...nobody, hosts: [[host('map', 0)], [host('move', 0)]] },
  unmap: { ...nobody, mapped, hosts: [[host('unmap', 0)], [host('unmap', 0)]] },
  unmapFirst: { ...nobody, mapped, hosts: [[host('unmap', 0), host('map', 0)]] },
  neighbour: { ...nobody, mapped, hosts: [[host('unmap', 0), host('map', 1)]] },
  fill: { ...nobody, mapped, hosts: [[host('fill', 0)], [host('invalidate', 0)]] },
  take: { ...nobody, mapped, hosts: [[host('unmap', 0)], [host('invalidate', 0)]] },
  guest: { ...nobody, mapped, guests: [[write(0)]], hosts: [[host('unmap', 0)]] },
  reader: { ...nobody, mapped, guests: [[read(0)]], hosts: [[host('unmap', 0)]] },
  three: {
    ...nobody,
    mapped,
    guests: [[write(0)]],
    hosts: [[host('unmap', 0)], [host('invalidate', 0)]],
  },
} satisfies Record<string, Litmus>;

type SceneName = keyof typeof scenes;

function sceneOf(design: string, name: SceneName, weak?: readonly [string, How]): Scene {
  const weaken = weak === undefined ? [] : [{ label: weak[0], how: weak[1] }];
  const choice = parseDesign(design);
  return buildScene({ choice, litmus: scenes[name], order: 'sc', weaken });
}

describe('the code does what its specification says', () => {
  test.each<[string, SceneName]>([
    ['tdp', 'fault'],
    ['tdp', 'faultUnmap'],
    ['tdp', 'faultRemove'],
    ['kpop', 'map'],
    ['kpop', 'unmap'],
    ['kpop', 'take'],
    ['kpop', 'fill'],
    ['kpop:lock=vm', 'map'],
  ])('%s: %s, exhausted', (design, name) => {
    const report = exploreStateful(new Overseen(sceneOf(design, name)));
    expect([report.message, report.verdict]).toEqual(['', 'holds']);
    expect(report.states).toBeGreaterThan(100);
  });

  test.each<[string, SceneName]>([
    ['kpop', 'move'],
    ['kpop', 'guest'],
    ['kpop:lock=global', 'unmap'],
    ['tdp', 'guest'],
    ['tdp:lock=write', 'faultUnmap'],
  ])('%s: %s, with one preemption', (design, name) => {
    const overseen = new Overseen(sceneOf(design, name));
    const report = exploreStateful(overseen, { preemptions: deep ? 4 : 1 });
    expect([report.message, report.verdict]).toEqual(['', 'holds']);
  });

  test.each(['kpop', 'kpop:lock=vm', 'tdp'])('%s: random walks of three CPUs', (design) => {
    const runs = deep ? 2000 : 50;
    const report = walkAtRandom(new Overseen(sceneOf(design, 'three')), { seed: 7, runs });
    expect([report.message, report.executions]).toEqual(['', runs]);
  });
});

/** What is alone in a scene of weakened code, with the given ways. */
function broken(
  design: string,
  name: SceneName,
  weak: readonly [string, How],
  options: OverseeOptions,
): string {
  const overseen = new Overseen(sceneOf(design, name, weak), { alone: true, ...options });
  return exploreStateful(overseen, { preemptions: 2, steps: 60_000 }).message;
}

describe('what is weakened is seen by oracles alone', () => {
  const byResults = 'oracle.linearisable: no order of the operations explains their results';
  const atRest = 'oracle.linearisable: no order of the operations ends with what the words say';
  const byChange = /^oracle.release: .* no operation does that here/;
  test.each<[string, SceneName, string, How, Way, string | RegExp]>([
    ['kpop', 'unmapFirst', 'kpop.unmap.fence', 'drop', 'linearisable', byResults],
    ['kpop', 'unmapFirst', 'kpop.unmap.fence', 'drop', 'release', byChange],
    ['kpop', 'move', 'kpop.map.fence', 'drop', 'linearisable', byResults],
    ['kpop', 'move', 'kpop.map.fence', 'drop', 'release', byChange],
    ['kpop', 'move', 'kpop.entry.locked', 'blind', 'linearisable', atRest],
    ['kpop', 'move', 'kpop.entry.locked', 'split', 'release', byChange],
    ['kpop', 'unmap', 'kpop.entry.clear', 'drop', 'release', byChange],
    ['kpop', 'guest', 'kpop.kick.wait', 'drop', 'linearisable', byResults],
    ['kpop', 'guest', 'kpop.enter.flush', 'drop', 'linearisable', byResults],
    ['tdp', 'fault', 'tdp.map.commit', 'blind', 'linearisable', byResults],
    ['tdp', 'fault', 'tdp.map.commit', 'blind', 'release', 'oracle.release: at no moment'],
    ['tdp', 'fault', 'tdp.map.link', 'blind', 'linearisable', byResults],
    ['tdp', 'faultUnmap', 'tdp.zap.clear', 'drop', 'linearisable', atRest],
    ['tdp', 'reader', 'flush.wait', 'drop', 'linearisable', byResults],
  ])('%s, %s: %s (%s) breaks %s', (design, name, label, how, way, says) => {
    const message = broken(design, name, [label, how], { ways: [way] });
    if (typeof says === 'string') expect(message.slice(0, says.length)).toBe(says);
    else expect(message).toMatch(says);
  });

  test('the history is told in words', () => {
    const weak = ['kpop.unmap.fence', 'drop'] as const;
    expect(broken('kpop', 'unmapFirst', weak, { ways: ['linearisable'] })).toMatch(
      /host\.0 unmap\(pages 0x0 to 0x0, epoch 1\) from move \d+ to \d+ = ok, host\.0 map\(page 0x0/,
    );
  });
});

type KpopSteps = readonly Step<KpopState>[];

/** KPOP's specification, of whose steps some are left out or changed. */
class Changed extends KpopSpecification {
  readonly #change: (steps: KpopSteps, before: KpopState, call: Call) => KpopSteps;

  constructor(change: (steps: KpopSteps, before: KpopState, call: Call) => KpopSteps) {
    super({ fenceOf: () => 0 });
    this.#change = change;
  }

  override steps(state: KpopState, call: Call, at: number): KpopSteps {
    return this.#change(super.steps(state, call, at), state, call);
  }
}

describe('a wrong specification is refuted', () => {
  const without = (result: string): Changed =>
    new Changed((steps) => steps.filter(({ at }) => at !== result));
  const wrong: readonly [string, SceneName, Changed][] = [
    [
      'MAP is refused only after the UNMAP of its own page',
      'neighbour',
      new Changed((steps, { pages }, { args: [page = 0, , , epoch = 0] }) =>
        steps.filter(({ at }) => at !== 'stale' || pages[page]!.epoch > epoch),
      ),
    ],
    [
      'UNMAP leaves the fence as it was',
      'unmapFirst',
      new Changed((steps, { fences }, { operation }) =>
        steps.map(({ state, at }) => {
          if (operation !== 'unmap') return { state, at };
          const pages = state.pages.map((page) => ({ ...page, epoch: 0 }));
          return { state: { ...state, fences, pages }, at };
        }),
      ),
    ],
    ['a fill is never told to try again', 'fill', without('retry')],
    ['MAP replaces what is there', 'move', without('busy')],
    [
      'invalidation takes the intents',
      'fill',
      new Changed((steps, _before, { operation }) =>
        steps.map(({ state, at }) => {
          if (operation !== 'invalidate') return { state, at };
          const pages = state.pages.map((page) => ({ ...page, l1gfn: -1, prot: 0 }));
          return { state: { ...state, pages }, at };
        }),
      ),
    ],
  ];
  test.each(wrong)('%s', (_says, name, specification) => {
    for (const way of ['linearisable', 'release'] as const) {
      const options = { specification: specification as Specification<unknown>, ways: [way] };
      const overseen = new Overseen(sceneOf('kpop', name), options);
      const { message } = exploreStateful(overseen, { preemptions: 2 });
      expect(message.slice(0, 7 + way.length)).toBe(`oracle.${way}`);
    }
  });
});

/** Compares each execution's verdict, broken or complete, with the search on its whole history. */
class Compared extends Overseen {
  readonly #scene: Scene;
  readonly #start: unknown;
  explained = 0;
  unexplained = 0;

  constructor(scene: Scene) {
    super(scene, { ways: ['linearisable'], alone: true });
    this.#scene = scene;
    this.#start = scene.checked.oracle!.abstraction(scene.view, undefined, '');
  }

  override always(): string | undefined {
    const message = super.always();
    if (message !== undefined) this.#expect(false, () => true);
    return message;
  }

  override atEnd(): string | undefined {
    const message = super.atEnd();
    const { specification, abstraction } = this.#scene.checked.oracle!;
    const words = specification.key(abstraction(this.#scene.view, undefined, ''));
    const isThere = (state: unknown): boolean =>
      specification.key(specification.visible(state)) === words;
    this.#expect(message === undefined, isThere);
    return message;
  }

  #expect(verdict: boolean, as: (state: unknown) => boolean): void {
    const { specification } = this.#scene.checked.oracle!;
    const operations = operationsOf(this.said);
    const found = isExplained(specification, this.#start, operations, as);
    expect(found, this.history().join(', ')).toBe(verdict);
    if (found) this.explained++;
    else this.unexplained++;
  }
}

test('what is decided on the way is what the search of Wing and Gong decides at the end', () => {
  const right = [
    new Compared(sceneOf('kpop', 'map')),
    new Compared(sceneOf('kpop', 'unmap')),
    new Compared(sceneOf('tdp', 'faultRemove')),
  ];
  for (const each of right) {
    const report = exploreReduced(each);
    expect([report.verdict, each.explained]).toEqual(['holds', report.complete]);
  }
  const weakened = [
    new Compared(sceneOf('kpop', 'move', ['kpop.entry.locked', 'blind'])),
    new Compared(sceneOf('kpop', 'move', ['kpop.map.fence', 'drop'])),
    new Compared(sceneOf('kpop', 'unmap', ['kpop.unmap.fence', 'drop'])),
    new Compared(sceneOf('tdp', 'fault', ['tdp.map.commit', 'blind'])),
  ];
  for (const each of weakened) {
    const steps = deep ? 400_000 : 10_000;
    explorePlain(each, { preemptions: 2, depth: 150, steps, isWanted: () => false });
    expect(each.unexplained).toBeGreaterThan(0);
  }
});

test('a reduced search sees what a stateful one sees', () => {
  for (const [label, how] of [
    ['kpop.entry.locked', 'blind'],
    ['kpop.map.fence', 'drop'],
  ] as const) {
    for (const way of ['linearisable', 'release'] as const) {
      const scene = sceneOf('kpop', 'move', [label, how]);
      const { message } = exploreReduced(new Overseen(scene, { ways: [way], alone: true }));
      expect(message.slice(0, 7 + way.length)).toBe(`oracle.${way}`);
    }
  }
});
