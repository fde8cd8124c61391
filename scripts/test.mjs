/**
 * `npm test`: every check of the project in order, one line each; stops at the first that fails
 * and prints what it said (`--keep-going` runs the others all the same). `--lint` leaves out the
 * tests, `--deep` runs only them, in depth.
 * Further arguments go to vitest (`npm test -- src/machine`).
 */

import { spawn } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join, relative } from 'node:path';
import { ensureInstalled, giveUp, root } from './tools.mjs';

const given = process.argv.slice(2);
const deep = given.includes('--deep');
const lintOnly = given.includes('--lint');
const keepGoing = given.includes('--keep-going');
const passedOn = given.filter((arg) => !['--deep', '--lint', '--keep-going'].includes(arg));

const inModules = (...path) => join(root, 'node_modules', ...path);
const resultFile = inModules('.cache', 'kpop', 'vitest.json');
const runner = join(root, 'scripts', 'run.mjs');
const script = (name) => [runner, join(root, 'scripts', `${name}.ts`)];

const lintStages = [
  ['types', [inModules('typescript', 'lib', 'tsc.js'), '-p', 'tsconfig.check.json']],
  [
    'format and lint',
    [inModules('@biomejs', 'biome', 'bin', 'biome'), 'check', '--error-on-warnings', '.'],
  ],
  ['import law', script('imports')],
  ['tidy', script('tidy')],
  ['steps', script('steps')],
];
const testStage = [
  'tests',
  [
    inModules('vitest', 'vitest.mjs'),
    'run',
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${resultFile}`,
    ...passedOn,
  ],
];

/** Runs one stage; resolves to its status and everything it printed. */
function runStage(args) {
  const plain = process.stdout.isTTY ? {} : { NO_COLOR: '1' };
  const env = { ...process.env, ...plain, ...(deep ? { KPOP_DEEP: '1' } : {}) };
  return new Promise((resolve) => {
    const child = spawn(process.execPath, args, { cwd: root, env });
    let output = '';
    const collect = (chunk) => {
      output += chunk;
    };
    child.stdout.setEncoding('utf8').on('data', collect);
    child.stderr.setEncoding('utf8').on('data', collect);
    child.on('close', (code) => resolve({ status: code ?? 1, output }));
  });
}

/** The slowest test files, so that the time budget of the whole is spent knowingly. */
function printSlowest(results) {
  const slowest = results
    .map((file) => ({ name: relative(root, file.name), ms: file.endTime - file.startTime }))
    .sort((a, b) => b.ms - a.ms)
    .slice(0, 3)
    .map((file) => `${file.name} ${(file.ms / 1000).toFixed(1)} s`);
  if (slowest.length > 0) console.log(`slowest: ${slowest.join(', ')}`);
}

/** A test file that failed before its first test could: it counts as one failed test. */
const isBroken = (file) =>
  file.status === 'failed' && file.assertionResults.every(({ status }) => status !== 'failed');

/** The closing lines: `N passed, N failed` stands alone on the last one. */
function printCounts() {
  if (!existsSync(resultFile)) return;
  const result = JSON.parse(readFileSync(resultFile, 'utf8'));
  printSlowest(result.testResults);
  const skipped = result.numPendingTests + result.numTodoTests;
  if (skipped > 0) console.log(`${skipped} skipped`);
  const failed = result.numFailedTests + result.testResults.filter(isBroken).length;
  console.log(`${result.numPassedTests} passed, ${failed} failed`);
}

ensureInstalled();
rmSync(resultFile, { force: true });
const stages = [...(deep ? [] : lintStages), ...(lintOnly ? [] : [testStage])];
const failed = [];
for (const [name, args] of stages) {
  const started = performance.now();
  const { status, output } = await runStage(args);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(`${status === 0 ? 'ok  ' : 'FAIL'} ${name.padEnd(16)} ${seconds.padStart(6)} s`);
  if (status === 0) continue;
  console.log(output.trimEnd());
  failed.push(name);
  if (!keepGoing) break;
}
printCounts();
if (failed.length > 0) giveUp(`failed: ${failed.join(', ')}`);
