/**
 * Designs on real worker threads over shared memory: a stress run proves nothing by itself, so the
 * weakened twins say what it catches. Weakened runs are given a few tries: the hardware decides.
 */
import { build } from 'esbuild';
import { expect, test } from 'vitest';
import { Random } from '../../src/base/random.ts';
import {
  type StressOptions,
  type StressReport,
  stress,
} from '../../src/experiment/check/stress.ts';
import { litmusPrograms } from '../../src/litmus/index.ts';
import { modified } from '../../src/machine/explored/weakening.ts';
import { Op } from '../../src/runtime/act.ts';
import { AtomicWords } from '../../src/schedule/threads/words.ts';

type Weaken = NonNullable<StressOptions['weaken']>[number];

let bundled: Promise<string> | undefined;

async function bundle(): Promise<string> {
  const entry = new URL('../../src/experiment/check/stress-worker.ts', import.meta.url).pathname;
  const built = await build({
    entryPoints: [entry],
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node20',
    write: false,
    logLevel: 'error',
  });
  return built.outputFiles[0]!.text;
}

async function run(
  design: string,
  id: string,
  options: Pick<StressOptions, 'rounds' | 'turns'> & Partial<StressOptions>,
): Promise<StressReport> {
  bundled ??= bundle();
  const litmus = litmusPrograms.find((each) => each.id === id)!;
  return stress({ design, litmus, seed: 1, ...options }, await bundled);
}

/** What the first of five runs that sees anything says. */
async function caught(design: string, id: string, turns: number, weaken: Weaken): Promise<string> {
  for (let seed = 1; seed <= 5; seed++) {
    const { message } = await run(design, id, { rounds: 40, turns, seed, weaken: [weaken] });
    if (message !== '') return message;
  }
  return '';
}

test.each([
  ['tdp', 'fault-unmap', 4, 100],
  ['tdp', 'write-write-unmap', 4, 100],
  ['tdp', 'write-remove-unmap', 4, 50],
  ['tdp', 'write-teardown', 25, 1],
  ['kpop', 'map-unmap', 20, 5],
  ['kpop', 'write-unmap-invalidate', 20, 10],
  ['kpop:lock=vm', 'write-move', 20, 5],
] as const)('threads: %s %s holds', async (design, id, rounds, turns) => {
  const report = await run(design, id, { rounds, turns });
  expect([report.verdict, report.message, report.rounds]).toEqual(['holds', '', rounds]);
  expect(report.acts).toBeGreaterThan(10 * rounds);
});

test('threads: guests are interrupted, and frames are given back', async () => {
  let interrupts = 0;
  let freed = 0;
  for (let seed = 1; seed <= 5 && interrupts === 0; seed++) {
    const report = await run('tdp', 'write-unmap', { rounds: 10, turns: 200, seed });
    expect([report.verdict, report.message]).toEqual(['holds', '']);
    interrupts += report.interrupts;
    freed += report.freed;
  }
  expect(interrupts).toBeGreaterThan(0);
  expect(freed).toBeGreaterThan(10);
});

const TAKEN = /^(tlb\.stale|frame\.free): /;
const LOST = /^tdp\.dirty: at rest/;

test.each([
  ['tdp', 'write-unmap', 'flush.wait', 200, TAKEN],
  ['tdp', 'write-unmap', 'tdp.zap.clear', 200, TAKEN],
  ['tdp', 'write-invalidate', 'backing.dirty', 50, LOST],
  ['kpop', 'write-unmap-invalidate', 'kpop.kick.wait', 5, TAKEN],
] as const)('threads: %s %s without %s is caught', async (design, id, label, turns, says) => {
  expect(await caught(design, id, turns, [label, 'drop'])).toMatch(says);
});

test('threads: flush.kick dropped never ends, and it is said where', async () => {
  const weaken: Weaken[] = [['flush.kick', 'drop']];
  const limits = { rounds: 100, turns: 1000, milliseconds: 1500, weaken };
  const report = await run('tdp', 'write-unmap', limits);
  expect([report.verdict, report.message]).toEqual([
    'stuck',
    expect.stringContaining('cpu1 at flush.wait'),
  ]);
});

test('threads: atomic words do what acts say', () => {
  const words = new AtomicWords(new SharedArrayBuffer(64));
  const random = new Random(7, 0);
  const half = (): number => (random.below(4) === 0 ? -1 : random.below(2 ** 32) | 0);
  const word = { lo: 0, hi: 0, ok: true };
  const act = { op: Op.load as number, lo: 0, hi: 0, seenLo: 0, seenHi: 0 };
  const offer = (fields: Partial<typeof act>): void => {
    Object.assign(act, fields);
  };
  const locked = [Op.cas, Op.exchange, Op.add, Op.or, Op.and];
  for (let i = 0; i < 2000; i++) {
    const held = { lo: words.halves[2]!, hi: words.halves[3]! };
    const seen = { seenLo: random.below(2) === 0 ? held.lo : half(), seenHi: held.hi };
    offer({ op: locked[random.below(5)]!, lo: half(), hi: half(), ...seen });
    words.perform(act, 2, word);
    const next = modified(act, held);
    expect(word).toEqual({ ...held, ok: next !== undefined });
    expect({ lo: words.halves[2], hi: words.halves[3] }).toEqual(next ?? held);
  }
  const before = words.halves[3]!;
  offer({ op: Op.storeLow, lo: 5, hi: 9 });
  words.perform(act, 2, word);
  expect([words.halves[2], words.halves[3]]).toEqual([5, before]);
  offer({ op: Op.store, lo: -1, hi: 9 });
  words.perform(act, 2, word);
  expect([word.lo, words.value(2)]).toEqual([0, 9 * 2 ** 32 + 0xffffffff]);
  offer({ op: Op.load });
  words.perform(act, 2, word);
  expect(word).toEqual({ lo: -1, hi: 9, ok: true });
});
