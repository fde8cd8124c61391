/**
 * What a local state forgets (`Context.rest`, `again`, `conclude`) and words of which only a part
 * is told apart (`Likeness`) decide nothing: explorations that forget less, or nothing at all,
 * break the same promises, perform the same labels and end with the same words; and states that
 * are taken for one go on alike.
 */
import { expect, test } from 'vitest';
import { num, type Routine } from '../../src/runtime/act.ts';
import type { Context } from '../../src/runtime/context.ts';
import type { Likeness } from '../../src/runtime/hart.ts';
import { exploreAll, type Found, type Sample, sceneOf } from './forgetting.ts';
import { type Body, type Little, type LittleOptions, littleOptions } from './little.ts';
import { followMerged } from './merged-walks.ts';

const deep = 'KPOP_DEEP' in process.env;
const STEPS = deep ? 20_000_000 : 400_000;
const WALKS = { seed: 1, runs: deep ? 1000 : 60, depth: 300, ahead: 60, pairs: deep ? 5000 : 60 };

/** Exhausted both ways, in full. */
const WHOLE: readonly Sample[] = [
  ['tdp', 'fault-unmap', 'tso'],
  ['tdp', 'fault-fault', 'sc'],
  ['tdp', 'remove-fault', 'tso'],
  ['tdp', 'remove-write', 'sc'],
  ['kpop', 'map-move', 'tso'],
  ['kpop', 'write-unmap', 'tso'],
  ['tdp', 'fault-unmap', 'sc', ['mmu.seq-recheck', 'stale']],
  ['tdp', 'write-invalidate', 'sc', ['flush.kick', 'drop']],
  ['tdp', 'write-invalidate', 'tso', ['run.in-guest', 'unordered']],
  ['tdp', 'remove-fault', 'sc', ['tdp.map.link', 'blind']],
  ['nested', 'write-unmap', 'sc', ['flush.call', 'drop']],
  ['kpop', 'map-invalidate', 'tso', ['kpop.map.barrier', 'drop']],
  ['kpop', 'unmap-unmap', 'tso', ['kpop.rmap.relock', 'drop']],
];

/** Larger ones, and those of which nothing is forgotten, to one preemption. */
const FEW: readonly Sample[] = [
  ['tdp', 'write-unmap', 'tso'],
  ['tdp', 'write-leave-unmap', 'tso'],
  ['tdp', 'write-teardown', 'tso'],
  ['tdp', 'remove-remove-fault', 'tso'],
  ['nested', 'write-unmap', 'tso'],
  ['tdp', 'write-unmap', 'sc', ['flush.request', 'drop']],
  ['tdp', 'write-unmap', 'tso', ['run.in-guest', 'split']],
  ['nested', 'write-unmap', 'tso', ['nested.fill.lock', 'drop']],
  ['nested', 'write-unmap', 'tso', ['flush.mode', 'stale']],
  ['kpop', 'write-unmap', 'sc', ['kpop.kick.wait', 'drop']],
];

const MORE: readonly Sample[] = [
  ['nested', 'write-invalidate', 'sc'],
  ['nested', 'write-leave-unmap', 'sc'],
  ['tdp', 'write-unmap', 'tso', ['flush.wait', 'drop']],
  ['tdp', 'write-unmap', 'tso'],
  ['tdp', 'write-leave-unmap', 'tso'],
  ['tdp', 'stay-unmap', 'tso'],
  ['tdp', 'remove-teardown', 'tso'],
  ['nested', 'write-unmap', 'tso'],
  ['nested', 'stay-invalidate', 'tso'],
  ['kpop', 'write-invalidate', 'tso'],
  ['kpop', 'write-move', 'tso'],
];

function nameOf([design, litmus, order, weak]: Sample): string {
  return [design, litmus, order, ...(weak ?? [])].join(' ');
}

function found({ broken, seen, ends }: Found): Found {
  return { broken, seen, ends };
}

for (const sample of deep ? [...WHOLE, ...MORE] : WHOLE) {
  test(`what code says it forgets decides nothing: ${nameOf(sample)}`, () => {
    const scene = sceneOf(sample);
    const merged = exploreAll(scene, 'claimed', { steps: STEPS });
    const apart = exploreAll(scene, 'loops', { steps: STEPS });
    expect([merged.exhausted, apart.exhausted]).toEqual([true, true]);
    expect(found(merged)).toEqual(found(apart));
    expect(merged.states).toBeLessThanOrEqual(apart.states);
  });
}

for (const sample of FEW) {
  test(`nor does what loops forget: ${nameOf(sample)}`, () => {
    const scene = sceneOf(sample);
    const bounds = { steps: STEPS, preemptions: deep ? 2 : 1 };
    const merged = exploreAll(scene, 'claimed', bounds);
    const apart = exploreAll(scene, 'nothing', bounds);
    expect([merged.exhausted, apart.exhausted]).toEqual([true, true]);
    expect(found(merged)).toEqual(found(apart));
  });
}

for (const sample of [...WHOLE, ...FEW]) {
  test(`merged states go on alike: ${nameOf(sample)}`, () => {
    const { merged, parted } = followMerged(sceneOf(sample), WALKS);
    expect(parted).toBe('');
    expect(merged).toBeGreaterThan(0);
  });
}

// --- that all this finds wrong claims ------------------------------------------------------------

/** Remembers what it saw and says that it does not. */
function* forgetful(cpu: Context, at: Little): Routine<void> {
  cpu.attempt('test');
  const seen = num(yield cpu.load(at.flag, 'test.look'));
  cpu.conclude('test', 0);
  yield cpu.load(at.data, 'test.more');
  yield cpu.store(at.lock, seen, 'test.store');
}

const raising: Body = function* raise(cpu, at): Routine<void> {
  yield cpu.add(at.flag, 1, 'test.add');
};

function partedIn(bodies: readonly Body[], options: LittleOptions = {}): string[] {
  const scene = littleOptions(bodies, options);
  const merged = found(exploreAll(scene, 'claimed', { steps: STEPS }));
  const apart = found(exploreAll(scene, 'nothing', { steps: STEPS }));
  const isSame = JSON.stringify(merged) === JSON.stringify(apart);
  return [isSame ? 'same' : 'different', followMerged(scene, WALKS).parted];
}

test('a conclusion that leaves out what is used later is found both ways', () => {
  const [ends, parted] = partedIn([forgetful, raising]);
  expect(ends).toBe('different');
  expect(parted).toMatch(/^1 moves on, .* test\.store/);
});

test('a likeness of a counter that is compared is found both ways', () => {
  const asking: Body = function* ask(cpu, at): Routine<void> {
    const isTwo = num(yield cpu.load(at.flag, 'test.look')) === 2;
    yield cpu.store(at.lock, isTwo ? 2 : 1, 'test.store');
  };
  const meaning = ([low = 0]: readonly number[]): number[] => [low & 1];
  const likenesses = ({ flag }: Little): Likeness[] => [
    { halves: [flag / 4, flag / 4 + 1], meaning },
  ];
  /** Twice or not at all, and no longer knows which. */
  const twice: Body = function* raiseTwice(cpu, at): Routine<void> {
    cpu.attempt('test');
    const times = 2 * num(yield cpu.choose(2, 'test.choose'));
    for (let i = 0; i < times; i++) yield cpu.add(at.flag, 1, 'test.add');
    cpu.conclude('test', 0);
    yield cpu.store(at.data, 1, 'test.end');
  };
  const [ends, parted] = partedIn([asking, twice], { likenesses });
  expect([ends, parted]).toEqual(['different', expect.stringContaining('test.store')]);
});
