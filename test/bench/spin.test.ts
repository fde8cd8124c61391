/**
 * The Promela model of the remote flush says what the code does: it holds, every act that it names
 * is needed, and its labels are the code's.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { check, text } from '../../bench/check.ts';
import { SIZES } from '../../bench/check-row.ts';
import { buildShootdown, GEOMETRY } from '../../bench/shootdown.ts';
import { findTools, readReport, TWINS, verify } from '../../bench/spin/verify.ts';
import { ept } from '../../src/machine/format/ept.ts';
import { Machine } from '../../src/machine/machine.ts';
import { intelCascadeLake } from '../../src/machine/preset/intel-cascade-lake.ts';
import { fanOut } from '../../src/runtime/trace.ts';
import { runTimed } from '../../src/schedule/timed.ts';

const tools = findTools();
const why = typeof tools === 'string' ? ` (skipped: ${tools})` : '';
const withSpin = test.skipIf(typeof tools === 'string');
const MODELS = ['naive', 'expert'] as const;
/** Each costs a run of the compiler. */
const QUICK_TWINS = ['WAIT', 'KICK', 'REQUEST', 'RECHECK'] as const;
const root = join(import.meta.dirname, '../..');

const smallest = { size: SIZES[0]!, reduced: true, optimise: '-O0', limit: 60 } as const;

withSpin.each(MODELS)(`spin: the %s model of the remote flush holds${why}`, (model) => {
  if (typeof tools === 'string') return;
  for (const reduced of [true, false]) {
    const found = verify({ ...smallest, model, reduced }, tools);
    expect(found).toMatchObject({ verdict: 'holds', message: '' });
    expect(found.states).toBeGreaterThan(100);
  }
});

withSpin.each(MODELS)(`spin: twins of the %s model break its promise${why}`, (model) => {
  if (typeof tools === 'string') return;
  for (const drop of 'KPOP_DEEP' in process.env ? TWINS : QUICK_TWINS) {
    const { verdict, message } = verify({ ...smallest, model, drop }, tools);
    const isStuck = drop === 'KICK' || drop === 'ANSWER';
    const expected = isStuck ? /^invalid end state/ : /^assertion violated/;
    expect([drop, verdict]).toEqual([drop, 'violated']);
    expect(message).toMatch(expected);
  }
});

/** Labels of acts: `run.in-guest`. */
function labelsIn(text: string, quote: RegExp): string[] {
  return [...text.matchAll(quote)].map((match) => match[1]!);
}

test('spin: the naive model names every act of the flush and of the run loop, and no other', () => {
  const read = (path: string): string => readFileSync(join(root, path), 'utf8');
  const folders = ['', '/virt', '/flush', '/mmu/tdp'].map((name) => `src/hypervisor${name}`);
  const code = folders.flatMap((folder) => {
    return readdirSync(join(root, folder))
      .filter((name) => name.endsWith('.ts'))
      .map((name) => read(join(folder, name)));
  });
  const labels = /'((?:run|flush|call|retire|tdp)\.[a-z.-]+)'/g;
  const known = new Set(labelsIn(code.join('\n'), labels));
  const protocol = ['src/hypervisor/run-loop.ts', 'src/hypervisor/flush/request-kick.ts'];
  // What is attempted or concluded is no act: it only says what code forgets.
  const acts = protocol
    .map(read)
    .join('\n')
    .replaceAll(/cpu\.(attempt|again|conclude)\(.*/g, '');
  const wanted = new Set(labelsIn(acts, labels));
  const model = read('bench/spin/naive.pml');
  const named = new Set(labelsIn(model, /\b((?:run|flush|call|retire|tdp)\.[a-z.-]+[a-z])/g));
  expect([...named].filter((label) => !known.has(label))).toEqual([]);
  expect([...wanted].filter((label) => !named.has(label))).toEqual([]);
});

test('spin: a report of pan is read, finished or not', () => {
  const holds = 'State-vector 28 byte, depth reached 29, errors: 0\n      342 states, stored\n';
  expect(readReport(`${holds}      611 transitions (= stored+matched)\n`)).toEqual({
    verdict: 'holds',
    message: '',
    states: 342,
    transitions: 611,
  });
  const cut = 'Warning: Search not completed\nerrors: 0\n 1.24e+08 states, stored\n';
  expect(readReport(cut)).toMatchObject({ verdict: 'unfinished', states: 1.24e8 });
  expect(() => readReport('Segmentation fault')).toThrow('pan wrote no report');
});

test('bench:check: without sizes there is still a sentence about Spin', () => {
  const report = check([], 1);
  expect(report.rows).toEqual([]);
  expect(text(report)).toMatch(typeof tools === 'string' ? /nothing to compare/ : /Spin Version/);
});

test('shootdown: the scene runs on the timed scheduler, and leaves nothing mapped', () => {
  const size = { unmappers: 2, vcpus: 2, rounds: 3 };
  const format = ept(GEOMETRY, { accessDirty: false });
  const machine = new Machine({
    preset: intelCascadeLake,
    cpus: size.unmappers + size.vcpus,
    trace: fanOut([]),
    secondStage: format,
  });
  const { frames, freedAt, entry } = buildShootdown(machine, size);
  expect(runTimed(machine).stuck).toEqual([]);
  const { words } = machine.memory;
  const at = machine.memory.indexOf(entry);
  expect(format.decode({ lo: words[at]!, hi: words[at + 1]! }, 0).kind).toBe('empty');
  const isFreed = Array.from({ length: frames.count }, (_, i) => {
    return machine.memory.read(freedAt(frames.first + i)) === 1;
  });
  expect(isFreed).toContain(true);
});
