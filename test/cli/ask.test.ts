/**
 * `kpop ask` end to end, and that answers follow the evidence: what a check or a price leaves open
 * is undecided, and no experiment says more.
 */
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { answerOf, type Experiment, type Wanted } from '../../src/experiment/ask/experiment.ts';
import { experiments, findExperiment } from '../../src/experiment/ask/index.ts';
import { findLitmus } from '../../src/experiment/check/pieces.ts';
import type { Answer, Evidence } from '../../src/measure/answer.ts';
import type { CheckResult } from '../../src/measure/check.ts';
import type { Compare, Run } from '../../src/measure/result.ts';
import type { Ranking } from '../../src/measure/sensitivity.ts';
import { renderAnswer } from '../../src/report/answer.ts';
import { answerSchemaOf } from '../../src/report/answer-schema.ts';
import { compareSchema } from '../../src/report/schema.ts';
import { builtMain, ending, start } from './built.ts';

const folder = mkdtempSync(join(tmpdir(), 'kpop-ask-'));
const deep = test.skipIf(!('KPOP_DEEP' in process.env));
const schema = answerSchemaOf(compareSchema);

/** Invented evidence: every check as it should be, every run alike, every order decided. */
function invent(wanted: Wanted, change: Partial<CheckResult>, decided: boolean): Evidence {
  const { name } = wanted;
  const command = 'kpop';
  if (wanted.kind === 'check') {
    const guard = wanted.weaken?.label ?? '';
    const verdict = guard === '' ? 'holds' : 'violated';
    const schedule = guard === '' ? '' : 'kpop1!';
    const told = { guard, verdict, schedule, promise: 'p', length: 7, limits: [] };
    const result = { ...told, ...change } as unknown as CheckResult;
    return { kind: 'check', name, command, result };
  }
  const { designs, vcpus } = wanted;
  const runs = vcpus.flatMap((size) => designs.map((design) => inventRun(design, size)));
  const rankings = vcpus.flatMap((size) =>
    designs.flatMap((one, i) =>
      designs.slice(i + 1).map((other): Ranking => {
        const turn = { prices: [{ name: 'llcHit', value: 112 }], ratio: 0.8 };
        const ratio = { value: 2, low: 1.5, high: 3 };
        return { vcpus: size, one, other, ratio, decided, turnedBy: decided ? [] : [turn] };
      }),
    ),
  );
  const compare = { schema: 'kpop.compare/1', runs, sensitivity: [], rankings } as Compare;
  return { kind: 'compare', name, command, compare };
}

function inventRun(design: string, vcpus: number): Run {
  const counts = { exits: 30, pagesZeroed: 9, flushes: 5, ipis: 4, hypercalls: 3 };
  const memory = { tableBytes: 4096, bookBytes: 0 };
  const switches = { vmx: 20, nest: 10 };
  const exitsByReason = [{ reason: 'CPUID', level: 2, count: 1, cycles: 1 }];
  const told = { design, vcpus, operations: 10, operationsPerSecond: 1e6 * vcpus, counts };
  return {
    ...told,
    ...{ switches, exitsByReason, memory, locks: [], limits: ['l'] },
    ...{ cycles: 100, seconds: 1, latency: { p50: 1, p99: 2 } },
  } as unknown as Run;
}

const LLC = {
  name: 'llcHit',
  unit: 'cycles',
  value: 56,
  low: 28,
  high: 112,
  kind: 'k',
  source: 's',
};

function answered(
  experiment: Experiment,
  change: Partial<CheckResult> = {},
  decided = true,
): Answer {
  const evidence = experiment.wanted(true).map((each) => invent(each, change, decided));
  return answerOf(experiment, evidence, true, [LLC]);
}

describe.each(experiments.map((each) => [each.id, each] as const))('%s', (_, experiment) => {
  test('what it wants exists, under names of its own, and no design is left out by --quick', () => {
    const [full, quick] = [experiment.wanted(false), experiment.wanted(true)];
    expect(new Set(full.map(({ name }) => name)).size).toBe(full.length);
    const designs = (wanted: readonly Wanted[]): string[] =>
      wanted.map((each) => (each.kind === 'check' ? each.design : each.designs.join(' ')));
    expect(designs(quick)).toEqual(designs(full));
    expect(quick.some(({ kind }) => kind === 'check')).toBe(true);
    for (const each of full) if (each.kind === 'check') findLitmus(each.litmus);
    expect(experiment.leavesOut.length).toBeGreaterThan(2);
  });

  test('all as it should be: decided, and printed with every command', () => {
    const answer = answered(experiment);
    expect(answer.decided).toBe(true);
    expect(answer.answer).toMatch(/\.$/);
    const text = renderAnswer(answer);
    expect(text).toContain('Decided (--quick');
    for (const { name } of answer.evidence) expect(text.replace(/\n\s+/g, ' ')).toContain(name);
  });

  test('a promise that breaks without any label weakened leaves it undecided', () => {
    expect(answered(experiment, { guard: '', verdict: 'violated' }).decided).toBe(false);
    expect(answered(experiment, { verdict: 'unfinished' }).decided).toBe(false);
  });
});

test('an order that a price turns leaves it undecided, and the price is named', () => {
  const answer = answered(findExperiment('fault-scaling'), {}, false);
  expect(answer.decided).toBe(false);
  expect(answer.answer).toContain('hangs on llcHit');
  expect(answer.sensitivity[0]).toMatchObject({
    name: 'llcHit',
    at: 112,
    together: [],
    source: 's',
  });
  expect(renderAnswer(answer)).toContain('Undecided');
});

test('experiments are found by number and name; others are one sentence', () => {
  expect(findExperiment('t1-5')).toBe(findExperiment('no-explicit-flush'));
  expect(() => findExperiment('T1-55')).toThrow(/no experiment is called T1-55.*T1-5/);
});

describe('end to end', () => {
  let main = '';
  beforeAll(async () => {
    main = await builtMain();
  }, 60_000);

  async function ask(id: string): Promise<Answer> {
    const { status, stdout, stderr } = await ending(
      start(main, ['ask', id, '--quick', '--json'], folder),
    );
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    return schema.parse(JSON.parse(stdout));
  }

  test('T1-3: which lock is needed', { timeout: 120_000 }, async () => {
    const answer = await ask('T1-3');
    expect(answer.decided).toBe(true);
    expect(answer.answer).toMatch(/neither a lock per VM nor a global one/);
    const broken = answer.evidence.filter(({ name }) => / without /.test(name));
    expect(broken).toHaveLength(5);
    for (const { command } of broken) expect(command).toMatch(/^kpop replay 'kpop1!/);
  });

  deep('T1-8: less than one percent', { timeout: 300_000 }, async () => {
    const answer = await ask('T1-8');
    expect(answer.decided).toBe(true);
    expect(answer.answer).toMatch(/spares 1 of 4 exits of a first touch/);
    expect(answer.answer).toMatch(/3 of 3 kinds of work .* have no such touch/);
    expect(answer.answer).toMatch(/kpop-poc spares 1 % from [\d,]+ \(/);
  });

  deep('T1-5: no explicit flush', { timeout: 300_000 }, async () => {
    const answer = await ask('no-explicit-flush');
    expect(answer.decided).toBe(true);
    expect(answer.answer).toMatch(/kpop asks for none where nested asks for 0.25 per range/);
  });
});
