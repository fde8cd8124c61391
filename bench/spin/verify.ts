/**
 * Runs Spin on a size of the scene: `spin -a` writes a verifier in C, the compiler makes `pan` of
 * it, and pan explores. Each is timed.
 */
import { spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Size } from '../check-row.ts';

/** Acts that a twin may leave out: `-DDROP_<act>`. */
export const TWINS = [
  'CLEAR',
  'REQUEST',
  'KICK',
  'WAIT',
  'IN_GUEST',
  'RECHECK',
  'FLUSH',
  'ANSWER',
] as const;

export interface Verification {
  readonly size: Size;
  readonly model: 'naive' | 'expert';
  /** Partial-order reduction, which Spin does unless told otherwise. */
  readonly reduced: boolean;
  readonly drop?: (typeof TWINS)[number];
  /** `-O2` unless given: what runs for a moment is compiled longer than it runs. */
  readonly optimise?: '-O0' | '-O2';
  /** Seconds after which pan is interrupted. */
  readonly limit: number;
}

export interface Verified {
  readonly verdict: 'holds' | 'violated' | 'unfinished';
  /** What pan says of the first error; '' if there is none. */
  readonly message: string;
  readonly states: number | undefined;
  readonly transitions: number | undefined;
  /** Of pan. */
  readonly seconds: number;
  /** Of Spin and the compiler. */
  readonly buildSeconds: number;
}

export interface Tools {
  /** Spin's own name and version. */
  readonly version: string;
  readonly compiler: string;
}

/** From dist-bench/bench/spin, and from bench/spin. */
const MODELS = ['../../../bench/spin/shootdown.pml', 'shootdown.pml'];
const MEGABYTES = 6000;
/** Bits of pan's first hash table, which grows: a larger one costs a small run its zeroing. */
const HASH_BITS = 20;
const DEPTH = 100_000;

/** What is needed and there, or a sentence that says what is missing. */
export function findTools(): Tools | string {
  const spin = spawnSync('spin', ['-V'], { encoding: 'utf8' });
  if (spin.error !== undefined) return 'no program named spin is installed';
  const compiler = ['gcc', 'clang', 'cc'].find((name) => {
    return spawnSync(name, ['--version']).error === undefined;
  });
  if (compiler === undefined) return 'no C compiler is installed, which Spin needs';
  return { version: spin.stdout.trim(), compiler };
}

export function verify(what: Verification, { compiler }: Tools): Verified {
  const folder = mkdtempSync(join(tmpdir(), 'kpop-spin-'));
  try {
    const begin = performance.now();
    run('spin', ['-a', ...parametersOf(what), modelPath()], folder);
    run(compiler, compilerFlags(what), folder);
    const built = performance.now();
    const output = explore(what.limit, folder);
    const end = performance.now();
    return {
      ...readReport(output),
      seconds: (end - built) / 1000,
      buildSeconds: (built - begin) / 1000,
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function modelPath(): string {
  const isCompiled = import.meta.url.includes('/dist-bench/');
  return fileURLToPath(new URL(MODELS[isCompiled ? 0 : 1]!, import.meta.url));
}

function parametersOf({ size, model, drop }: Verification): string[] {
  return [
    `-DU=${size.unmappers}`,
    `-DA=${size.vcpus}`,
    `-DR=${size.rounds}`,
    ...(model === 'expert' ? ['-DEXPERT'] : []),
    ...(drop === undefined ? [] : [`-DDROP_${drop}`]),
  ];
}

function compilerFlags({ reduced, optimise }: Verification): string[] {
  const reduction = reduced ? [] : ['-DNOREDUCE'];
  const limits = ['-DSAFETY', `-DMEMLIM=${MEGABYTES}`];
  return [optimise ?? '-O2', '-w', ...limits, ...reduction, '-o', 'pan', 'pan.c'];
}

/** Spin reports errors of the model on its standard output. */
function run(program: string, args: readonly string[], cwd: string): void {
  const { error, status, stdout, stderr } = spawnSync(program, args, { cwd, encoding: 'utf8' });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`${program} failed: ${stdout}${stderr}`);
}

/**
 * Pan reports what it has seen when it is interrupted; into a file, because the pipe of a process
 * that is out of time is closed before it can write.
 */
function explore(limit: number, cwd: string): string {
  const report = join(cwd, 'report.txt');
  const file = openSync(report, 'w');
  const { error } = spawnSync('./pan', [`-m${DEPTH}`, `-w${HASH_BITS}`], {
    cwd,
    timeout: limit * 1000,
    killSignal: 'SIGINT',
    stdio: ['ignore', file, file],
  });
  closeSync(file);
  const isInterrupted = (error as NodeJS.ErrnoException | undefined)?.code === 'ETIMEDOUT';
  if (error !== undefined && !isInterrupted) throw error;
  return readFileSync(report, 'utf8');
}

/** Reads pan's report; exported for the test of what it looks like. */
export function readReport(
  output: string,
): Pick<Verified, 'verdict' | 'message' | 'states' | 'transitions'> {
  const errors = figureIn(output, /errors: (\d+)/);
  if (errors === undefined) throw new Error(`pan wrote no report: ${output.slice(-300)}`);
  const isPartial = output.includes('Search not completed') || output.includes('too small');
  const exhausted = isPartial ? 'unfinished' : 'holds';
  return {
    verdict: errors > 0 ? 'violated' : exhausted,
    message: /^pan:\d+: (.*) \(at depth \d+\)/m.exec(output)?.[1] ?? '',
    states: figureIn(output, /([\d.e+]+) states, stored/),
    transitions: figureIn(output, /([\d.e+]+) transitions/),
  };
}

function figureIn(output: string, pattern: RegExp): number | undefined {
  const found = pattern.exec(output)?.[1];
  return found === undefined ? undefined : Number(found);
}
