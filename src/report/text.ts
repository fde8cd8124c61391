/** Runs and comparisons as plain text for a terminal of 120 columns. */

import type { Summary } from '../measure/histogram.ts';
import type { Compare, Conditions, Run } from '../measure/result.ts';
import { bytes, duration, factor, percent, rough, several, short, whole } from './number.ts';
import {
  type Group,
  gettingCycles,
  groupsOf,
  largestGroup,
  lockWait,
  perOperation,
  type Row,
  reasonsOf,
  secondsOf,
  shareOf,
  worstLock,
} from './reading.ts';
import {
  hasPrices,
  type PriceRow,
  ratioRows,
  runRows,
  SEARCH_LIMITS,
  span,
  tellRanking,
} from './sensitivity.ts';
import { type Column, printable, TERMINAL_WIDTH, table, wrap } from './table.ts';

const REASON_COLUMNS = 5;
const HEADER_WIDTH = 16;

/** Everything a run tells, in the order in which one asks. */
export function renderRun(run: Run): string {
  const parts = [
    heading(run),
    counted(run),
    exitTable(run),
    lockTable(run),
    latencyTable(run),
    `Memory: tables ${bytes(run.memory.tableBytes)}, books ${bytes(run.memory.bookBytes)}`,
    runPrices(run),
    closing(run),
  ];
  return `${parts.filter((part) => part !== '').join('\n\n')}\n`;
}

function heading(run: Run): string {
  const where = `${several(run.vcpus, 'vCPU')} on ${several(run.cpus, 'CPU')}`;
  const pace = `${whole(run.operationsPerSecond)} operations per second`;
  return [
    printable(`${run.design}: ${run.title}`),
    printable(`${run.workload} on ${run.machine}, ${where}, seed ${run.seed}`),
    '',
    `${several(run.operations, 'operation')} in ${duration(run.seconds)} of simulated time ` +
      `(${whole(run.cycles)} cycles): ${pace}`,
  ].join('\n');
}

function counted(run: Run): string {
  const { counts } = run;
  const rows: [string, number][] = [
    ['exits into L0', counts.exits],
    ['exits reflected to a level above L0', counts.nested],
    ['hypercalls', counts.hypercalls],
    ['returns to user space', counts.userspace],
    ['interrupts between CPUs', counts.ipis],
    ['TLB invalidations', counts.flushes],
    ['pages zeroed', counts.pagesZeroed],
    ['pages copied', counts.pagesCopied],
    ['bytes copied', counts.copyBytes],
  ];
  const cells = rows.map(([name, n]) => [name, whole(n), rough(perOperation(run, n))]);
  return table([{ title: 'What happened' }, { title: 'count' }, { title: 'per operation' }], cells);
}

function exitTable(run: Run): string {
  if (run.exitsByReason.length === 0) return 'Exits by reason: none';
  const columns = ['Exits by reason', 'count', 'per operation', 'cycles each', 'share of CPU time'];
  const rows = run.exitsByReason.map((exit) => [
    `${exit.reason} from L${exit.level}`,
    whole(exit.count),
    rough(perOperation(run, exit.count)),
    whole(exit.count === 0 ? 0 : exit.cycles / exit.count),
    percent(shareOf(run, exit.cycles)),
  ]);
  return table(columns.map(titled), rows);
}

function lockTable(run: Run): string {
  if (run.locks.length === 0) return 'Locks: none taken';
  const columns = [
    'Locks',
    'taken',
    'had to wait',
    'getting it,\nof CPU time',
    'waited,\ncycles',
    'for its line,\ncycles',
    'longest wait,\ncycles',
    'held,\ncycles',
  ];
  const rows = run.locks.map((lock) => [
    lock.name,
    whole(lock.acquisitions),
    whole(lock.contended),
    percent(shareOf(run, gettingCycles(lock))),
    whole(lock.waitCycles),
    whole(lock.takeCycles),
    whole(lock.maxWaitCycles),
    whole(lock.holdCycles),
  ]);
  return table(columns.map(titled), rows);
}

function latencyTable(run: Run): string {
  const row = (name: string, of: Summary): string[] => {
    const figures = [of.p50, of.p90, of.p99, of.p999, of.max];
    const told = figures.map((cycles) => (of.count === 0 ? '-' : time(run, cycles)));
    return [name, whole(of.count), ...told];
  };
  const columns = ['Latency of accesses', 'samples', 'p50', 'p90', 'p99', 'p99.9', 'longest'];
  return table(columns.map(titled), [
    row('that left the guest', run.latency),
    row('that faulted inside the guest only', run.guestFaultLatency),
  ]);
}

function closing(run: Run): string {
  return [
    ...wrapped('Conditions', conditions(run.conditions)),
    ...bulleted('Assumes', run.assumes),
    ...bulleted('Locks of the real system that are not modelled', run.locksNotModelled),
    ...bulleted('Limits', run.limits),
    `Digest ${run.digest}, model version ${run.modelVersion}`,
  ].join('\n');
}

export function conditions(of: Conditions): string {
  const parts = Object.entries(of).map(([name, value]) => `${name}=${value}`);
  return parts.length === 0 ? 'none stated' : parts.join(', ');
}

function wrapped(name: string, text: string): string[] {
  const [first = '', ...rest] = wrap(printable(`${name}: ${text}`), TERMINAL_WIDTH);
  return [first, ...rest.map((line) => `  ${line}`)];
}

function bulleted(name: string, texts: readonly string[]): string[] {
  if (texts.length === 0) return [`${name}: none`];
  const lines = texts.flatMap((text) => {
    const [first = '', ...rest] = wrap(printable(text), TERMINAL_WIDTH - 4);
    return [`  - ${first}`, ...rest.map((line) => `    ${line}`)];
  });
  return [`${name}:`, ...lines];
}

/** The tables of a comparison: events, time, latency and memory, exits by reason. */
export function renderCompare(doc: Compare): string {
  const groups = groupsOf(doc);
  const first = doc.runs[0];
  if (first === undefined) return 'Nothing was compared.\n';
  const parts = [
    printable(`${first.workload} on ${first.machine}, seed ${first.seed}`),
    wrapped('Conditions', conditions(first.conditions)).join('\n'),
    eventTable(groups),
    timeTable(groups),
    latencyAndMemory(groups),
    ...reasonTables(largestGroup(doc)),
    ...comparedPrices(doc),
  ];
  return `${parts.join('\n\n')}\n`;
}

const designColumns: readonly Column[] = [{ title: 'Design' }, { title: 'vCPUs' }];

/** A row per design, and a gap between numbers of vCPUs where each has several designs. */
function rowsOf(
  groups: readonly Group[],
  cells: (row: Row) => readonly string[],
): readonly (readonly string[])[] {
  const gap = groups.some((group) => group.rows.length > 1);
  return groups.flatMap((group, i) => {
    const rows = group.rows.map(cells);
    return gap && i > 0 ? [[], ...rows] : rows;
  });
}

function designCells({ run }: Row): string[] {
  return [run.design, whole(run.vcpus)];
}

function eventTable(groups: readonly Group[]): string {
  const counts = [
    'exits\ninto L0',
    'reflected to\na level above L0',
    'hypercalls',
    'interrupts\nbetween CPUs',
    'TLB invalidations',
  ];
  const cells = rowsOf(groups, (row) => {
    const { exits, nested, hypercalls, ipis, flushes } = row.run.counts;
    const both = (n: number): string => `${whole(n)} (${rough(perOperation(row.run, n))})`;
    return [...designCells(row), ...[exits, nested, hypercalls, ipis, flushes].map(both)];
  });
  const heading = 'Events, in brackets per operation';
  return `${heading}\n\n${table([...designColumns, ...counts.map(titled)], cells)}`;
}

function timeTable(groups: readonly Group[]): string {
  const columns = [
    'simulated\ntime',
    'operations\nper second',
    'relative\nto first',
    'software\nwork at 0',
    'software\nwork at 2x',
    'getting locks,\nof CPU time',
    'worst lock',
  ];
  const cells = rowsOf(groups, (row) => {
    const { run } = row;
    const { ratio } = row.sensitivity;
    const worst = worstLock(run);
    return [
      ...designCells(row),
      duration(run.seconds),
      short(run.operationsPerSecond),
      ...[ratio.one, ratio.zero, ratio.two].map(factor),
      percent(shareOf(run, lockWait(run))),
      worst?.name ?? '-',
    ];
  });
  const heading = 'Simulated time for the same work, and how much of it went into getting locks';
  return `${heading}\n\n${table([...designColumns, ...columns.map(titled)], cells)}`;
}

function latencyAndMemory(groups: readonly Group[]): string {
  const columns = [
    'latency\np50',
    'latency\np99',
    'longest',
    'samples',
    'memory in\ntables',
    'memory in\nbooks',
  ];
  const cells = rowsOf(groups, (row) => {
    const { run } = row;
    const of = run.latency;
    const told = [of.p50, of.p99, of.max].map((cycles) =>
      of.count === 0 ? '-' : time(run, cycles),
    );
    const { tableBytes, bookBytes } = run.memory;
    return [...designCells(row), ...told, whole(of.count), bytes(tableBytes), bytes(bookBytes)];
  });
  const heading = 'Latency of accesses that left the guest, and memory';
  return `${heading}\n\n${table([...designColumns, ...columns.map(titled)], cells)}`;
}

/** Exits per operation by reason, a column per design, as many designs as a line holds. */
function reasonTables(group: Group): string[] {
  const reasons = reasonsOf(group);
  if (reasons.length === 0) return ['Exits by reason: none'];
  const tables: string[] = [];
  for (let from = 0; from < group.rows.length; from += REASON_COLUMNS) {
    const rows = group.rows.slice(from, from + REASON_COLUMNS);
    const title = `Exits per operation by reason\n(${several(group.vcpus, 'vCPU')})`;
    const columns = [titled(title), ...rows.map(designHeader)];
    const cells = reasons.map(({ name, perOperation: values }) => [
      name,
      ...rows.map((_, i) => rough(values[from + i] ?? 0)),
    ]);
    tables.push(table(columns, cells));
  }
  return tables;
}

function runPrices(run: Run): string {
  const { sensitivity } = run;
  if (sensitivity === undefined) return '';
  const { value, low, high } = sensitivity.cyclesPerOperation;
  const heading =
    `What it hangs on: ${rough(value)} cycles per operation, ${rough(low)} to ${rough(high)} ` +
    `while prices go through their intervals`;
  const rows = runRows(run);
  const limits = wrap(SEARCH_LIMITS, TERMINAL_WIDTH).join('\n');
  return `${heading}\n\n${priceTable(rows, 'cycles per operation')}\n\n${limits}`;
}

/** Rankings first: they are what a comparison is for. */
function comparedPrices(doc: Compare): string[] {
  if (!hasPrices(doc)) return [];
  const rankings = (doc.rankings ?? []).flatMap((ranking) => {
    const [first = '', ...rest] = wrap(printable(tellRanking(ranking)), TERMINAL_WIDTH - 4);
    return [`  - ${first}`, ...rest.map((line) => `    ${line}`)];
  });
  const verdict = doc.decided === true ? 'decided' : 'undecided';
  const tables = doc.sensitivity
    .filter(({ prices = [] }) => prices.length > 0)
    .map(({ design, vcpus, prices = [], interval }) => {
      const isFirst = prices[0]?.ratio === undefined;
      const figure = isFirst ? 'cycles per operation' : `relative to the first`;
      const all = isFirst || interval === undefined ? '' : `: ${span(interval)}`;
      const title = printable(`${design} with ${several(vcpus, 'vCPU')}, ${figure}${all}`);
      return `${title}\n\n${priceTable(ratioRows(prices), figure)}`;
    });
  const heading = `Within the intervals of prices the order of designs is ${verdict}`;
  const limits = wrap(SEARCH_LIMITS, TERMINAL_WIDTH).join('\n');
  return [`${heading}\n${rankings.join('\n')}`, ...tables, limits];
}

function priceTable(rows: readonly PriceRow[], figure: string): string {
  if (rows.length === 0) return `No price moves it by more than 1 %.`;
  const columns = ['Price', 'low to high', 'kind', 'elasticity', `at low,\n${figure}`, 'at high'];
  const cells = rows.map(({ price, range, kind, elasticity, low, high }) => {
    return [price, range, kind, elasticity, low, high];
  });
  return table(columns.map(titled), cells);
}

function designHeader({ run }: Row): Column {
  return { title: wrap(printable(run.design), HEADER_WIDTH).join('\n') };
}

function titled(title: string): Column {
  return { title };
}

/** Cycles as a time where the run tells its clock. */
export function time(run: Run, cycles: number): string {
  const seconds = secondsOf(run, cycles);
  return seconds === undefined ? `${whole(cycles)} cycles` : duration(seconds);
}
