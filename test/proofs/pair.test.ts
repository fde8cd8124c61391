/**
 * Proof a: one real pair, fault against unmap with flush, run unchanged by the timed scheduler and
 * by the naive explorer; proof c: the guest-entry handshake under a store buffer. Counts are
 * pinned: a silent change of meaning becomes a red number.
 */
import { expect, test } from 'vitest';
import { MANUAL_4 } from '../../src/machine/format/format.ts';
import { intelCascadeLake } from '../../src/machine/preset/intel-cascade-lake.ts';
import { runTimed } from '../../src/schedule/timed.ts';
import type { Weakening } from './explored-machine.ts';
import { buildPair, MINI } from './pair.ts';
import { strayMapping } from './promises.ts';
import { reclaimForLong, STOP_PAGE, touchForLong } from './reclaim.ts';
import {
  explore,
  faulting,
  type SceneOptions,
  simplest,
  touching,
  touchLeaveTouch,
  unmapping,
} from './scenes.ts';

const mapped = { first: 0, end: 1 };
/** A fault in the host against an unmap; one page. */
const FAULT: SceneOptions = {
  guests: [],
  owners: [faulting([0]), unmapping(0, 1)],
  mapped,
  tries: 3,
};
/** A guest that enters twice against an unmap with its flush; a fault ends the execution. */
const ENTRY: SceneOptions = {
  guests: [touchLeaveTouch],
  owners: [unmapping(0, 1)],
  mapped,
  entries: 2,
  tries: 0,
};
/** The whole: guest, run loop, fault, unmap, flush. */
const PAIR: SceneOptions = { guests: [touchLeaveTouch], owners: [unmapping(0, 1)], mapped };
const COLD: SceneOptions = { guests: [touching([0])], owners: [unmapping(0, 1)] };
const TWO_PAGES: SceneOptions = {
  guests: [touching([0, 1])],
  owners: [unmapping(0, 2)],
  mapped: { first: 0, end: 2 },
};

function runTimedPair(geometry: typeof MINI): { cycles: number; steps: number; freed: number } {
  const tally = { freed: 0, overwritten: 0 };
  const pair = buildPair({
    preset: intelCascadeLake,
    geometry,
    pool: 2048,
    mapped: { first: STOP_PAGE, end: STOP_PAGE + 1 },
    guests: Array.from({ length: 4 }, () => touchForLong(2)),
    owners: [reclaimForLong(2, 300, tally)],
  });
  const { stuck, steps, cycles } = runTimed(pair.machine);
  expect(stuck).toEqual([]);
  expect(tally).toEqual({ freed: 300, overwritten: 0 });
  expect(strayMapping(pair)).toBeUndefined();
  return { cycles, steps, freed: tally.freed };
}

test.each([
  ['mini', MINI],
  ['manual', MANUAL_4],
])('pair: timed, %s geometry: nothing stale, and the same run twice', (_name, geometry) => {
  const first = runTimedPair(geometry);
  expect(runTimedPair(geometry)).toEqual(first);
  expect(first.cycles).toBeGreaterThan(0);
});

test('pair: fault against unmap holds, exhausted with three tries (2 CPUs, 1 page)', () => {
  const report = explore(FAULT);
  expect(report).toMatchObject({ verdict: 'holds', message: '' });
  expect([report.states, report.terminals.size]).toEqual([28248, 902]);
});

test('pair: guest entry against flush holds, exhausted with two entries, SC and TSO', () => {
  const sc = explore(ENTRY);
  const tso = explore({ ...ENTRY, order: 'tso' });
  expect([sc.verdict, sc.states, sc.terminals.size]).toEqual(['holds', 9474, 6]);
  expect([tso.verdict, tso.states, tso.terminals.size]).toEqual(['holds', 9824, 6]);
});

test('pair: the whole holds up to two preemptions, one page and two', () => {
  for (const scene of [PAIR, { ...COLD, order: 'tso' } as const, TWO_PAGES]) {
    const report = explore(scene, { preemptions: 2 });
    expect([report.verdict, report.message]).toEqual(['holds', '']);
    expect(report.complete).toBeGreaterThan(100);
  }
});

const deep = test.skipIf(!('KPOP_DEEP' in process.env));

deep(
  'pair: the whole holds up to three preemptions, one page and two',
  () => {
    for (const scene of [PAIR, { ...COLD, order: 'tso' } as const, TWO_PAGES]) {
      const report = explore(scene, { preemptions: 3 });
      expect([report.verdict, report.message]).toEqual(['holds', '']);
    }
  },
  600_000,
);

deep(
  'pair: fault against unmap holds, exhausted with three tries (2 CPUs, 2 pages)',
  () => {
    const owners = [faulting([0, 1]), unmapping(0, 2)];
    const report = explore({ ...FAULT, owners, mapped: { first: 0, end: 2 } });
    expect([report.verdict, report.message]).toEqual(['holds', '']);
    expect([report.states, report.terminals.size]).toEqual([157240, 2154]);
  },
  600_000,
);

deep(
  'pair: one touch against an unmap, exhausted with two entries',
  () => {
    const report = explore({ ...PAIR, guests: [touching([0])], entries: 2 });
    expect(report.verdict).toBe('holds');
  },
  600_000,
);

test('pair: whoever loses the race for a page looks again', () => {
  const report = explore(
    { guests: [], owners: [faulting([0]), faulting([0]), unmapping(0, 1)], tries: 2 },
    { preemptions: 2 },
  );
  expect([report.verdict, report.message]).toEqual(['holds', '']);
});

test('explorer: merging states loses no terminal state', () => {
  const tiny: SceneOptions = { ...FAULT, tries: 1 };
  const merged = explore(tiny, { preemptions: 2 });
  const plain = explore(tiny, { preemptions: 2, merge: 'nothing' });
  expect(plain.terminals).toEqual(merged.terminals);
  expect(plain.executions).toBeGreaterThanOrEqual(merged.executions);
  const all = explore(tiny);
  for (const terminal of merged.terminals) expect(all.terminals.has(terminal)).toBe(true);
});

function weakened(scene: SceneOptions, ...weaken: Weakening[]): SceneOptions {
  return { ...scene, weaken };
}

const drop = (label: string): Weakening => ({ label, how: 'drop' });

/** Guards by label: the scene in which the weakened primitive is missed, and the broken promise. */
const GUARDS: readonly [string, SceneOptions, RegExp][] = [
  ['flush.wait dropped', weakened(PAIR, drop('flush.wait')), /guest mode may use/],
  ['flush.kick dropped', weakened(PAIR, drop('flush.kick')), /wait for ever/],
  ['flush.request dropped', weakened(PAIR, drop('flush.request')), /guest mode may use/],
  ['call.answer dropped', weakened(PAIR, drop('call.answer')), /wait for ever/],
  ['run.recheck dropped', weakened(PAIR, drop('run.recheck')), /guest mode may use/],
  ['run.flush dropped', weakened(PAIR, drop('run.flush')), /guest mode may use/],
  ['run.in-guest dropped', weakened(PAIR, drop('run.in-guest')), /guest mode may use/],
  ['mmu.invalidate-begin dropped', weakened(COLD, drop('mmu.invalidate-begin')), /is mapped to/],
  ['mmu.invalidate-end dropped', weakened(COLD, drop('mmu.invalidate-end')), /guest mode may use/],
  [
    'mmu.seq-recheck as last seen',
    weakened(COLD, { label: 'mmu.seq-recheck', how: 'last-seen' }),
    /guest mode may use/,
  ],
  [
    'tdp.unmap.lock dropped',
    weakened(COLD, drop('tdp.unmap.lock'), drop('tdp.unmap.unlock')),
    /guest mode may use/,
  ],
  ['tdp.zap.clear dropped', weakened(PAIR, drop('tdp.zap.clear')), /guest mode may use/],
];

test.each(GUARDS)('guard: %s is caught', (_name, scene, promise) => {
  const report = simplest(scene, 2);
  expect(report.verdict).toBe('violated');
  expect(report.message).toMatch(promise);
  expect(report.schedule.length).toBeGreaterThan(0);
});

/** Weakened only in its ordering: harmless without store buffers, fatal with them. */
const BARRIERS: readonly [string, SceneOptions][] = [
  ['run.in-guest', ENTRY],
  ['flush.request', ENTRY],
];

test.each(BARRIERS)(
  'barrier: %s as load and store holds under SC, breaks under TSO',
  (label, scene) => {
    const weak = weakened(scene, { label, how: 'plain' });
    expect(explore(weak, { preemptions: 3 }).verdict).toBe('holds');
    const report = simplest({ ...weak, order: 'tso' }, 3);
    expect(report.verdict).toBe('violated');
    expect(report.schedule.some((step) => step.includes(label))).toBe(true);
  },
);
