/**
 * `npm run bench:check`: the remote flush exhausted by kpop's engines and, as a Promela model
 * (bench/spin), by Spin, in one run on one machine. `--json` prints one object; `--quick` takes the
 * smallest sizes only; `--seconds n` is what one run of Spin may take.
 *
 * States of different engines are not the same thing: Spin's models hold what their author put
 * into a state, kpop's engines what the product's own code and memory are made of.
 */
import { kpopRows } from './check-kpop.ts';
import { nameOf, type Row, SIZES, type Size } from './check-row.ts';
import { findTools, type Tools, type Verification, verify } from './spin/verify.ts';

const QUICK_SIZES = 2;
const LIMIT = 30;

export interface CheckReport {
  readonly node: string;
  /** Spin's version, or why its rows are missing. */
  readonly spin: string;
  readonly rows: readonly Row[];
}

type Way = Pick<Verification, 'model' | 'reduced'>;

/** The author's choice of model, and the reduction on or off. */
const WAYS: readonly Way[] = [
  { model: 'expert', reduced: true },
  { model: 'expert', reduced: false },
  { model: 'naive', reduced: true },
  { model: 'naive', reduced: false },
];

export function spinRows(sizes: readonly Size[], limit: number, tools: Tools): Row[] {
  return sizes.flatMap((size) => WAYS.map((way) => spinRow({ size, ...way, limit }, tools)));
}

function spinRow(what: Verification, tools: Tools): Row {
  const found = verify(what, tools);
  return {
    size: nameOf(what.size),
    engine: `spin, ${what.model} model, ${what.reduced ? 'reduced' : 'not reduced'}`,
    verdict: found.verdict,
    executions: undefined,
    states: found.states,
    transitions: found.transitions,
    seconds: found.seconds,
    totalSeconds: found.seconds + found.buildSeconds,
  };
}

export function check(sizes: readonly Size[], limit: number): CheckReport {
  const tools = findTools();
  const own = kpopRows(sizes, limit);
  const isThere = typeof tools !== 'string';
  const rows = isThere ? [...own, ...spinRows(sizes, limit, tools)] : own;
  const order = new Map(sizes.map((size, i) => [nameOf(size), i]));
  rows.sort((a, b) => order.get(a.size)! - order.get(b.size)!);
  const spin = isThere ? tools.version : `nothing to compare with: ${tools}`;
  return { node: process.version, spin, rows };
}

const HEADER = ['size', 'engine', 'verdict', 'executions', 'states', 'moves', 'alone', 'in all'];
const TEXT_COLUMNS = 3;

export function text({ node, spin, rows }: CheckReport): string {
  const table = [HEADER, ...rows.map(cells)];
  const widths = HEADER.map((_, i) => Math.max(...table.map((row) => row[i]!.length)));
  const lines = table.map((row) => {
    const padded = row.map((cell, i) => {
      return i < TEXT_COLUMNS ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!);
    });
    return padded.join('  ').trimEnd();
  });
  return [
    `node ${node}; ${spin}`,
    'alone: the exploration; in all: with compilation, or the start of the process',
    ...(rows.length === 0 ? [] : lines),
  ].join('\n');
}

function cells(row: Row): string[] {
  return [
    row.size,
    row.engine,
    row.verdict,
    figure(row.executions),
    figure(row.states),
    figure(row.transitions),
    `${row.seconds.toFixed(2)} s`,
    `${row.totalSeconds.toFixed(2)} s`,
  ];
}

function figure(value: number | undefined): string {
  if (value === undefined) return '-';
  if (value >= 1e6) return `${(value / 1e6).toFixed(2)} M`;
  return value >= 1e4 ? `${(value / 1e3).toFixed(1)} k` : String(value);
}

/** The value of `--seconds`, or a sentence on the standard error and exit status 2. */
function limitIn(args: readonly string[]): number {
  const at = args.indexOf('--seconds');
  if (at < 0) return LIMIT;
  const limit = Number(args[at + 1]);
  if (limit > 0 && limit < 1e6) return limit;
  process.stderr.write('bench:check: --seconds wants a number of seconds above 0\n');
  process.exit(2);
}

if (process.env['VITEST'] === undefined) {
  const args = process.argv.slice(2);
  const sizes = args.includes('--quick') ? SIZES.slice(0, QUICK_SIZES) : SIZES;
  const report = check(sizes, limitIn(args));
  const isJson = args.includes('--json');
  process.stdout.write(`${isJson ? JSON.stringify(report, null, 2) : text(report)}\n`);
}
