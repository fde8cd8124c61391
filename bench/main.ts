/**
 * `npm run bench`: what the simulator does per second of one core, beside plain loops timed in the
 * same run, so that figures of different machines can be compared by their ratios. `--json` prints
 * one object; `--quick` only shows that everything runs. docs/bench.md explains the figures.
 */
import { fileURLToPath } from 'node:url';
import { benchFloor } from './floor.ts';
import { benchIdiom } from './idiom.ts';
import {
  type BenchResult,
  benchFaults,
  benchMemory,
  benchPrivate,
  benchTlb,
  benchTraces,
  type Size,
} from './simulated.ts';
import { benchTrace } from './trace.ts';
import { benchWalk } from './walk.ts';

const WORDS = 1 << 12;
const READS = { full: 1 << 26, quick: 1 << 16 } as const;
const VCPUS = { full: 512, quick: 8 } as const;
/** From dist-bench/bench, and from bench. */
const TRACES = ['../../data/traces', '../data/traces'];

export interface Report {
  readonly node: string;
  readonly results: readonly BenchResult[];
  readonly memory: { readonly vcpus: number; readonly megabytes: number };
}

/** Reads and writes of a typed array in cache: the most that any simulated act could cost. */
function plainLoop(size: Size): BenchResult {
  const words = new Int32Array(WORDS);
  const begin = performance.now();
  for (let i = 0; i < READS[size]; i++) {
    const at = (i * 7) & (WORDS - 1);
    words[at] = words[at]! + i;
  }
  const seconds = (performance.now() - begin) / 1000;
  return {
    name: 'reference: typed-array loop',
    perSecond: READS[size] / seconds,
    unit: 'accesses',
  };
}

/** A generator of depth 1: the most that an act which is yielded could cost. */
function generatorLoop(size: Size): BenchResult {
  const yields = READS[size] >> 3;
  const routine = count(yields);
  const begin = performance.now();
  while (routine.next().done !== true);
  const seconds = (performance.now() - begin) / 1000;
  return { name: 'reference: generator loop', perSecond: yields / seconds, unit: 'yields' };
}

function* count(limit: number): Generator<number, void, void> {
  for (let i = 0; i < limit; i++) yield i;
}

export async function measure(size: Size, traces: string): Promise<Report> {
  const results = [plainLoop(size), generatorLoop(size), ...benchTlb(size), ...benchPrivate(size)];
  const vcpus = VCPUS[size];
  const memory = { vcpus, megabytes: benchMemory(vcpus) };
  results.push(...benchTraces(size, traces), ...benchFaults(size), ...benchFloor(size));
  if (size === 'full') {
    results.push(...benchWalk(), ...(await benchIdiom()));
    for (const each of await benchTrace()) results.push({ ...each, name: `import: ${each.name}` });
  }
  return { node: process.version, results, memory };
}

function text({ node, results, memory }: Report): string {
  const reference = results[0]!.perSecond;
  const rows = results.map(({ name, perSecond, unit }) => {
    const row = `${name.padEnd(54)}${figure(perSecond).padStart(10)} ${unit.padEnd(14)}`;
    return isRate(name) ? `${row}${part(perSecond / reference)}` : row;
  });
  const { vcpus, megabytes } = memory;
  const last = `memory of kpop touch, ${vcpus} vCPUs`.padEnd(54);
  return [
    `node ${node}; per second, and as a part of the reference loop`,
    ...rows,
    `${last}${megabytes.toFixed(0).padStart(10)} MB`,
  ].join('\n');
}

/** The readers of text report millions, and a ratio of their own. */
function isRate(name: string): boolean {
  return !name.startsWith('import: ');
}

function part(ratio: number): string {
  return ratio >= 0.1 ? ratio.toFixed(2) : `1/${Math.round(1 / ratio)}`;
}

function figure(value: number): string {
  if (value >= 1e6) return `${(value / 1e6).toFixed(2)} M`;
  return value >= 1e3 ? `${(value / 1e3).toFixed(1)} k` : value.toFixed(1);
}

/** The folder of the bundled traces, from wherever this file was compiled to. */
function tracesFolder(): string {
  const isCompiled = import.meta.url.includes('/dist-bench/');
  return fileURLToPath(new URL(TRACES[isCompiled ? 0 : 1]!, import.meta.url));
}

if (process.env['VITEST'] === undefined) {
  const size = process.argv.includes('--quick') ? 'quick' : 'full';
  const report = await measure(size, tracesFolder());
  const isJson = process.argv.includes('--json');
  process.stdout.write(`${isJson ? JSON.stringify(report, null, 2) : text(report)}\n`);
}
