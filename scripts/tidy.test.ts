/** The rules of form, on small made-up files. */

import { expect, test } from 'vitest';
import { checkDead, checkTidy } from './tidy.ts';

const header = '/** What this file is. */\n';

/** What tidy says about one file; that nobody imports it is left out. */
function tidy(path: string, body: string): string[] {
  const findings = checkTidy([{ path, text: body }]);
  return findings.map(({ line, says }) => `${line} ${says}`).filter((one) => !/dead/.test(one));
}

test('tidy: a clean file passes', () => {
  expect(tidy('src/machine/a.ts', `${header}export const updateCount = 1;\n`)).toEqual([]);
});

test('tidy: a source file says first what it is', () => {
  expect(tidy('src/machine/a.ts', 'export const a = 1;\n')).toHaveLength(1);
  expect(tidy('src/machine/a.ts', '/** A. */\nexport const a = 1;\n')).toHaveLength(1);
});

test('tidy: long files, long functions and long lines are named with their length', () => {
  const long = `${header}${'export {};\n'.repeat(500)}`;
  expect(tidy('src/base/a.ts', long)).toEqual(['501 501 lines; a file has at most 500']);
  const body = `${header}export function f() {\n${'  f();\n'.repeat(69)}}\n`;
  expect(tidy('src/base/a.ts', body)).toEqual(['2 a function of 71 lines; it has at most 70']);
  expect(tidy('src/base/a.ts', `${header}// ${'é'.repeat(97)}\n`)).toEqual([]);
  expect(tidy('src/base/a.ts', `${header}// ${'é'.repeat(98)}\n`)).toHaveLength(1);
});

test('tidy: a group of tests is no function', () => {
  const group = `describe('x', () => {\n${'  test();\n'.repeat(100)}});\n`;
  expect(tidy('src/base/a.test.ts', group)).toEqual([]);
});

test.each([
  ['src/machine/a.ts', 'const t = Date.now();', 'Date.now'],
  ['src/check/a.ts', 'const t = new Date();', 'Date in simulated code'],
  ['src/guest/kernel/a.ts', 'const t = Math.random();', 'Math.random'],
  ['src/schedule/timed.ts', 'const t = performance.now();', 'performance.now'],
  ['src/litmus/a.ts', 'console.log(1);', 'console.log'],
  ['src/machine/a.ts', 'const t = process.env;', 'process.env'],
  ['src/machine/a.ts', 'const t = 1n;', 'BigInt'],
  ['src/sync/a.ts', 'let t: bigint;', 'BigInt'],
  ['src/runtime/a.ts', 'const t = new BigUint64Array(1);', 'BigInt'],
  ['src/cli/a.ts', '// a hypervizor', 'say hypervisor'],
  ['src/cli/a.ts', `// ${'TO'}${'DO'} later`, 'decide'],
])('tidy: %s may not hold %s', (path, line, words) => {
  expect(tidy(path, `${header}${line}\n`).join()).toContain(words);
});

test('tidy: clocks are fine where time is real', () => {
  expect(tidy('src/schedule/threads-host.ts', `${header}performance.now();\n`)).toEqual([]);
  expect(tidy('src/cli/main.ts', `${header}new Date(1n);\n`)).toEqual([]);
  expect(tidy('src/machine/a.ts', `${header}// Date.now is forbidden here\n`)).toEqual([]);
});

test('tidy: a file nobody imports is dead, unless it is an entry', () => {
  const sources = [
    { path: 'src/cli/main.ts', text: "import './used.ts';" },
    { path: 'src/cli/used.ts', text: "new URL('./worker.js', import.meta.url);" },
    { path: 'src/cli/worker.ts', text: '' },
    { path: 'src/cli/dead.ts', text: '' },
  ];
  expect(checkDead(sources).map(({ path }) => path)).toEqual(['src/cli/dead.ts']);
});
