/** `kpop check` and `kpop replay` as programs: documents, statuses, planted bugs, bad designs. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Check, CheckResult, GuardResult, Replay } from '../../src/measure/check.ts';
import { checkSchema, replaySchema } from '../../src/report/check-schema.ts';
import { builtMain, type Ended, ending, start } from './built.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'kpop-check-'));
const PLANTED = join(ROOT, 'examples/planted');
let main = '';

/** A design of one's own whose `unmap` is this code. */
function withUnmap(id: string, code: string): string {
  return (
    "import { tdp, tdpUnmap } from 'kpop';\nlet shared = 0;\n" +
    `export const x = { ...tdp, id: '${id}', axes: {}, build(m, d, _x, c) {\n` +
    "  const system = tdp.build(m, d, { lock: 'read' }, c);\n" +
    '  const { operations } = system.checked;\n  let count = 0;\n' +
    `  function* unmap(cpu, range) { ${code} yield* operations.invalidate(cpu, range); }\n` +
    '  const changed = { ...operations, unmap };\n' +
    '  return { ...system, checked: { ...system.checked, operations: changed } };\n' +
    '} };\n'
  );
}

const FILES: Readonly<Record<string, string>> = {
  'never.ts': withUnmap('never', 'for (;;) count++;'),
  'clock.ts': withUnmap('clock', 'if (Date.now() % 2 === 0) return;'),
  'chance.ts': withUnmap('chance', 'if (Math.random() < 0.5) return;'),
  'shared.ts': withUnmap('shared', 'count++; if (count > 1) return;'),
  'module.ts': withUnmap('module', 'shared++; if (shared % 3 === 0) return;'),
  'throws.ts': withUnmap('throws', 'null.x;'),
  'builds.ts':
    "import { tdp } from 'kpop';\n" +
    "export const x = { ...tdp, id: 'builds', build() { for (;;); } };\n",
  'unchecked.ts':
    "import { tdp } from 'kpop';\nexport const x = { ...tdp, id: 'unchecked', " +
    'build: (...all) => ({ ...tdp.build(...all), checked: undefined }) };\n',
};

beforeAll(async () => {
  process.env.KPOP_CACHE = join(folder, 'cache');
  main = await builtMain();
  for (const [name, text] of Object.entries(FILES)) writeFileSync(join(folder, name), text);
});

afterAll(() => {
  delete process.env.KPOP_CACHE;
  rmSync(folder, { recursive: true });
});

function kpop(...args: string[]): Promise<Ended> {
  return ending(start(main, args, folder));
}

async function check(...args: string[]): Promise<{ status: number | null; check: Check }> {
  const { status, stdout, stderr } = await kpop('check', ...args, '--json');
  expect(stderr).toBe('');
  return { status, check: checkSchema.parse(JSON.parse(stdout)) };
}

describe('check', () => {
  test('what holds: everything is looked at, and looked up the second time', async () => {
    const args = ['tdp', '--litmus', 'remove-unmap,fault-fault', '--memory', 'tso'];
    const first = await check(...args);
    expect(first.status).toBe(0);
    const { results, ended } = first.check;
    expect(ended).toBe('complete');
    expect(results.map(({ design, litmus }) => `${design} ${litmus}`).sort()).toEqual([
      'tdp fault-fault',
      'tdp remove-unmap',
      'tdp-npt fault-fault',
      'tdp-npt remove-unmap',
      'tdp-npt:flush=broadcast fault-fault',
      'tdp-npt:flush=broadcast remove-unmap',
      'tdp:lock=write fault-fault',
      'tdp:lock=write remove-unmap',
    ]);
    for (const result of results) {
      expect(result).toMatchObject({ verdict: 'holds', asExpected: true, exhausted: true });
      expect(result).toMatchObject({ memory: 'tso', guard: '', schedule: '', cached: false });
      expect(result.limits[0]).toBe('exhausted: every interleaving');
      expect(result.limits).toContain('no livelock under weak fairness');
    }
    const second = await check(...args);
    expect(second.check.results.every(({ cached }) => cached)).toBe(true);
    expect(second.check.results.map(counts)).toEqual(results.map(counts));
  });

  test('a budget that ends before an answer: status 3, what was done stays', async () => {
    const args = ['tdp:lock=read', '--litmus', 'write-unmap', '--memory', 'sc'];
    const { status, check: document } = await check(...args, '--budget', '3000steps');
    expect(status).toBe(3);
    const [result] = document.results;
    expect(result).toMatchObject({ verdict: 'unfinished', exhausted: false, asExpected: false });
    expect(result!.preemptions).toBeGreaterThanOrEqual(0);
    expect(result!.limits.join('; ')).toMatch(/with no preemption.*random executions/);
    const seconds = await check(...args, '--budget', '0.5s');
    expect(seconds.status).toBe(3);
    expect(seconds.check.ended).toBe('budget');
  });

  test('Ctrl-C: status 130, and what was done by then', async () => {
    const child = start(main, ['check', 'kpop', '--json'], folder);
    const ended = ending(child);
    setTimeout(() => child.kill('SIGINT'), 4000);
    const { status, stdout } = await ended;
    expect(status).toBe(130);
    const { ended: how, results } = checkSchema.parse(JSON.parse(stdout));
    expect(how).toBe('interrupted');
    expect(results.every(({ verdict }) => verdict === 'holds')).toBe(true);
  });

  test('--guards: what breaks without each, and the schedule that shows it', async () => {
    const args = ['tdp', '--litmus', 'remove-teardown', '--guards', '--memory', 'sc'];
    const { check: document } = await check(...args);
    const of = (label: string): GuardResult => {
      return document.guards.find((guard) => guard.label === label)!;
    };
    const unlink = of('tdp.teardown.unlink');
    expect(unlink).toMatchObject({ design: 'tdp', verdict: 'necessary', argued: '' });
    expect(unlink.result).toMatchObject({ guard: 'tdp.teardown.unlink', asExpected: true });
    const { status, stdout } = await kpop('replay', unlink.result!.schedule, '--json');
    expect(status).toBe(1);
    expect(replaySchema.parse(JSON.parse(stdout)).promise).toBe(unlink.result!.promise);
    expect(of('rcu.wait')).toMatchObject({ verdict: 'not reached' });
    expect(of('rcu.wait').argued).toMatch(/512 frames/);
  });

  test('text: a table, and what it took', async () => {
    const { status, stdout } = await kpop('check', 'tdp', '--litmus', 'remove-remove');
    expect(status).toBe(0);
    expect(stdout).toMatch(/(\d) pieces: \1 hold, 0 are broken, 0 are unfinished; \1 exhausted/);
  });
});

function counts({ states, steps, executions, collision }: CheckResult): number[] {
  return [states, steps, executions, collision];
}

/** File, litmus, promise, and what its sentence says. */
const planted = [
  ['flush-early', 'write-unmap', 'tlb.stale', /may use page 0x0 in frame/],
  ['not-awaited', 'write-unmap', 'tlb.stale', /may use page 0x0 in frame/],
  ['lock-order', 'unmap-invalidate-pair', 'lock.order', /wants l1.book while it holds l0.mmu/],
] as const;

describe('a user’s design with a planted bug', () => {
  test.each(planted)('%s is caught and replays', async (name, litmus, promise, says) => {
    const file = relative(folder, join(PLANTED, `${name}.ts`));
    const { status, check: document } = await check(file, '--litmus', litmus, '--memory', 'sc');
    expect(status).toBe(1);
    const [result] = document.results;
    expect(result).toMatchObject({ design: name, promise, expected: 'holds', asExpected: false });
    expect(result!.message).toMatch(says);
    expect(result!.length).toBeLessThanOrEqual(30);
    expect(result!.minimal).toMatch(/^minimal/);
    expect(result!.interleaving).toHaveLength(result!.length);

    const again = await kpop('replay', result!.schedule, '--json');
    expect(again).toMatchObject({ status: 1, stderr: '' });
    const replayed: Replay = replaySchema.parse(JSON.parse(again.stdout));
    expect(replayed).toMatchObject({ promise, message: result!.message, parting: '', remark: '' });
    expect(replayed.interleaving).toEqual(result!.interleaving);
  });

  test('a schedule in a file is followed as far as it fits the code', async () => {
    const moves = 'cpu0:run.requests#0,run.load-vmcs#0,run.gone#0,run.in-guest#0';
    const schedule = `kpop1!design=tdp,litmus=write-unmap,memory=sc,code=0!${moves}`;
    writeFileSync(join(folder, 'some.txt'), `kpop replay\n${schedule}\n`);
    const { status, stdout } = await kpop('replay', 'some.txt');
    expect(status).toBe(0);
    expect(stdout).toMatch(/leaves the schedule: move 3 of the schedule, cpu0:run.gone#0/);
    expect(stdout).toContain('the code has changed since this schedule was written');
    expect(stdout).toContain('no promise is broken after 2 moves');
  });
});

const SMALL = ['--litmus', 'unmap-unmap', '--memory', 'sc'];

/** Arguments, and what the sentence must contain. */
const bad: readonly (readonly [readonly string[], RegExp])[] = [
  [
    ['check', './never.ts', ...SMALL],
    /never.ts: on cpu\d .*its code ran for 5 s and never yielded/,
  ],
  [['check', './builds.ts', ...SMALL], /builds.ts: while it builds its system: .*never yielded/],
  [['check', './clock.ts', ...SMALL], /clock.ts:7:\d+: uses the clock \(Date.now\)/],
  [['check', './chance.ts', ...SMALL], /chance.ts:7:\d+: uses chance \(Math.random\)/],
  [['check', './shared.ts', ...SMALL], /shared.ts: cpu\d .*they share state that is not in words/],
  [['check', './module.ts', ...SMALL], /module.ts: .*state that is not in words/],
  [['check', './throws.ts', ...SMALL], /throws.ts:7:\d+: TypeError: Cannot read properties/],
  [['check', './unchecked.ts'], /unchecked.ts offers nothing to check/],
  [['check', 'tpd'], /unknown design tpd; did you mean tdp\?/],
  [['check', 'tdp', 'tdp'], /design tdp is named twice/],
  [['check', 'tdp', '--litmus', 'fault-unmop'], /unknown litmus fault-unmop; did you mean/],
  [['check', 'tdp', '--litmus', 'map-move'], /no such design runs map-move/],
  [['check', 'tdp', '--memory', 'arm'], /--memory: arm is not in this version/],
  [['check', 'tdp', '--budget', '30'], /--budget: 30 is not like 30s or 100000steps/],
  [['replay', 'kpop7!design=tdp!cpu0:a#0'], /a schedule of version kpop7! cannot be read here/],
  [['replay', 'nowhere'], /'nowhere' is neither a schedule \(kpop1!…\) nor a file/],
  [['replay', 'kpop1!design=tdp,memory=sc!a#0'], /a schedule names its litmus: litmus=…/],
  [['replay', 'kpop1!speed=9!a#0'], /a schedule has no speed/],
];

describe('bad input: one sentence, status 2', () => {
  test.concurrent.each(bad.map(([args, says]) => [args.join(' '), args, says] as const))(
    'kpop %s',
    async (_, args, says) => {
      const { status, stdout, stderr } = await kpop(...args);
      expect(stderr).toMatch(says);
      expect(stderr).toMatch(/^kpop( \w+)?: [^\n]+\n$/);
      expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    },
  );
});
