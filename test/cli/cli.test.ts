/** The command line as a user has it: verbs, documents, exit status, determinism, interruption. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { designs } from '../../src/design/index.ts';
import type { Compare, List, Run } from '../../src/measure/result.ts';
import { compareSchema, listSchema, runSchema } from '../../src/report/schema.ts';
import { builtMain, type Ended, ending, start } from './built.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'kpop-cli-'));
let main = '';

const kpop = (...args: string[]): Promise<Ended> => ending(start(main, args, folder));

async function document<T>(...args: string[]): Promise<T> {
  const { status, stdout, stderr } = await kpop(...args, '--json');
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  return JSON.parse(stdout) as T;
}

beforeAll(async () => {
  main = await builtMain();
});

afterAll(() => rmSync(folder, { recursive: true }));

describe('run', () => {
  test('prints one document of the published schema', async () => {
    const run = await document<Run>('run', 'tdp', '--workload', 'touch:pages=8', '--vcpus', '2');
    expect(runSchema.safeParse(run).error).toBeUndefined();
    expect(run).toMatchObject({
      schema: 'kpop.run/1',
      design: 'tdp',
      workload: 'touch:pages=8',
      machine: 'intel-cascade-lake',
      vcpus: 2,
      cpus: 2,
      seed: 1,
      operations: 16,
      conditions: { pages: '4k', l1: 'warm', 'fault-around': 1, tick: 'none', apicv: 'on' },
    });
    expect(run.counts.exits).toBe(16);
    expect(run.limits.length).toBeGreaterThan(3);
  });

  test('reads as text', async () => {
    const { status, stdout } = await kpop('run', 'tdp:lock=write', '-w', 'cpuid:count=5');
    expect(status).toBe(0);
    expect(stdout).toContain('cpuid:count=5 on intel-cascade-lake, 1 vCPU on 1 CPU, seed 1');
    expect(stdout).toContain('Assumes:');
  });

  test('states the conditions that were asked for', async () => {
    const args = ['--conditions', 'apicv=off', '--l1', 'cold', '--upper', 'absent'];
    const run = await document<Run>('run', 'tdp', '-w', 'touch', ...args);
    expect(run.conditions).toMatchObject({ apicv: 'off', l1: 'cold', upper: 'absent' });
    expect(run.workload).toBe('touch:stride=512g');
  });

  test('a thread of the host gets a CPU of its own', async () => {
    const run = await document<Run>('run', 'tdp', '-w', 'refault:pages=8', '--vcpus', '2');
    expect(run).toMatchObject({ vcpus: 2, cpus: 3, operations: 16 });
  });

  test('replays a bundled trace: a second run on reclaimed frames faults as often', async () => {
    const file = join(ROOT, 'data/traces/gzip.kpt.gz');
    const once = await document<Run>('run', 'tdp', '-w', `trace:${file},filter=64`);
    const twice = await document<Run>('run', 'tdp', '-w', `trace:${file},filter=64,times=2`);
    expect(once.operations).toBe(519_035);
    expect(twice.operations).toBe(2 * once.operations);
    expect(twice.latency.count).toBeGreaterThan(1.9 * once.latency.count);
    const kept = `trace:${file},filter=64,times=2,reclaim=0`;
    const warm = await document<Run>('run', 'tdp', '-w', kept);
    expect(warm.latency.count).toBe(once.latency.count);
  });
});

describe('the same input gives the same bytes', () => {
  test.each(['tdp', 'nested', 'kpop'])('%s in two processes', async (design) => {
    const args = ['run', design, '-w', 'munmap:rounds=6', '--vcpus', '3', '--seed', '7', '--json'];
    const [one, two] = await Promise.all([kpop(...args), kpop(...args)]);
    expect(one.status).toBe(0);
    expect(two.stdout).toBe(one.stdout);
    expect((JSON.parse(one.stdout) as Run).digest).toMatch(/^[0-9a-f]{16}$/);
  });

  test('another seed gives another order of events', async () => {
    const digest = async (seed: string): Promise<string> =>
      (await document<Run>('run', 'tdp', '-w', 'touch:pages=8', '--vcpus', '4', '--seed', seed))
        .digest;
    expect(await digest('1')).not.toBe(await digest('2'));
  });
});

describe('compare', () => {
  test('gives ratios at software work 0, 1 and 2, and a report', async () => {
    const args = ['tdp', 'tdp:lock=write', '-w', 'touch:pages=8', '--vcpus', '1,2'];
    const doc = await document<Compare>('compare', ...args, '--html', 'report.html');
    expect(compareSchema.safeParse(doc).error).toBeUndefined();
    expect(doc.runs.map(({ design, vcpus }) => `${design} ${vcpus}`)).toEqual([
      'tdp 1',
      'tdp:lock=write 1',
      'tdp 2',
      'tdp:lock=write 2',
    ]);
    expect(doc.sensitivity[0]!.ratio).toEqual({ zero: 1, one: 1, two: 1 });
    const { zero, one, two } = doc.sensitivity[3]!.cyclesPerOperation;
    expect(zero < one && one < two).toBe(true);
    expect(readFileSync(join(folder, 'report.html'), 'utf8')).toContain('<!doctype html>');
    expect(readdirSync(folder).filter((name) => name.endsWith('.part'))).toEqual([]);
  });

  test('Ctrl-C: status 130, and no report of what was not compared', async () => {
    const args = ['compare', 'nested', '-w', 'touch:pages=65536', '--vcpus', '8'];
    const child = start(main, [...args, '--html', 'never.html'], folder);
    const ended = ending(child);
    setTimeout(() => child.kill('SIGINT'), 2500);
    const { status, stdout, stderr } = await ended;
    expect(status).toBe(130);
    expect(stdout).toBe('');
    expect(stderr).toContain('interrupted; 0 of 1 runs are complete');
    expect(existsSync(join(folder, 'never.html'))).toBe(false);
  });
});

describe('a design file of one’s own', () => {
  test('the example runs, beside a built-in design', async () => {
    const file = join(ROOT, 'examples/my-design.ts');
    const args = ['tdp', `${file}:around=16`, '-w', 'touch:pages=64'];
    const doc = await document<Compare>('compare', ...args);
    const [tdp, own] = doc.runs;
    expect(own!.design).toBe('around:around=16');
    expect(tdp!.counts.exits).toBe(64);
    expect(own!.counts.exits).toBe(4); // aligned blocks of 16 pages
  });
});

describe('walk and import', () => {
  test('walk answers the probes of a dump', async () => {
    const file = join(ROOT, 'test/fixtures/walks/ept-4level.json.gz');
    const walk = await document<{ schema: string; probes: unknown[] }>('walk', '--memory', file);
    expect(walk.schema).toBe('kpop.walk/1');
    expect(walk.probes.length).toBeGreaterThan(0);
  });

  test('import makes a trace that run replays', async () => {
    const lines = Array.from(
      { length: 40 },
      (_, i) => ` S 0${(0x10000000 + i * 4096).toString(16)},8`,
    );
    writeFileSync(join(folder, 'own.lackey'), `==1== Lackey\n${lines.join('\n')}\n`);
    await document('import', 'own.lackey', '--out', 'own.kpt.gz');
    const run = await document<Run>('run', 'tdp', '-w', 'trace:own.kpt.gz', '--vcpus', '2');
    expect(run.operations).toBe(80);
    expect(run.latency.count).toBeGreaterThanOrEqual(80);
  });
});

describe('list, schema, start', () => {
  test('--sensitivity: documents of the schemas, with the prices and a verdict', async () => {
    const work = ['--workload', 'refault:pages=4', '--sensitivity'];
    const run = await document<Run>('run', 'kpop', ...work);
    expect(runSchema.safeParse(run).error).toBeUndefined();
    expect(run.sensitivity!.prices.map(({ name }) => name)).toContain('exitDispatch');
    const doc = await document<Compare>('compare', 'tdp', 'nested', ...work);
    expect(compareSchema.safeParse(doc).error).toBeUndefined();
    expect(doc.decided).toBe(true);
    expect(doc.rankings).toHaveLength(1);
  });

  test('list names everything, and one kind alone', async () => {
    const list = await document<List>('list');
    expect(listSchema.safeParse(list).error).toBeUndefined();
    expect(list.designs.map(({ id }) => id)).toEqual(designs.map(({ id }) => id));
    const only = await document<List>('list', 'machines');
    expect(only.designs).toEqual([]);
    expect(only.machines.map(({ id }) => id)).toContain('intel-cascade-lake');
    const { stdout } = await kpop('list', 'workloads');
    expect(stdout).toContain('trace:<file>');
  });

  test('schema prints what the package publishes', async () => {
    const { stdout } = await kpop('schema', 'kpop.run/1');
    expect(stdout).toBe(readFileSync(join(ROOT, 'schema/kpop.run-1.json'), 'utf8'));
  });

  test('start --quick: table, sentence, report, three commands', async () => {
    const { status, stdout, stderr } = await kpop('start', '--quick');
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toContain('Report: out/report.html');
    expect(stdout).toMatch(/On programs:runs=2,server=no with 8 vCPUs of intel-cascade-lake/);
    expect(stdout.split('Try next:')[1]!.match(/compare|run/g)!.length).toBeGreaterThanOrEqual(3);
    expect(readdirSync(join(folder, 'out'))).toEqual(['report.html']);
  });

  test('help goes to stdout with status 0', async () => {
    const { status, stdout, stderr } = await kpop('compare', '--help');
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toContain('--vcpus <list>');
  });
});
