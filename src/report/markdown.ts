/** A comparison as a table in Markdown that can also be read as it is, for a mail or an issue. */

import type { Compare } from '../measure/result.ts';
import { bytes, factor, percent, rough, whole } from './number.ts';
import { groupsOf, lockWait, perOperation, type Row, shareOf } from './reading.ts';
import { hasPrices, ratioRows, tellRanking } from './sensitivity.ts';
import { readComparison } from './sentence.ts';
import { printable } from './table.ts';
import { conditions, time } from './text.ts';

const HEADERS = [
  'Design',
  'vCPUs',
  'time per operation',
  'at software 0 to 2x',
  'exits',
  'reflected',
  'hypercalls',
  'IPIs',
  'flushes',
  'getting locks',
  'fault p50',
  'fault p99',
  'tables',
  'books',
];

export function renderMarkdown(doc: Compare): string {
  const first = doc.runs[0];
  if (first === undefined) return 'Nothing was compared.\n';
  const cells = groupsOf(doc).flatMap((group) => group.rows.map(cellsOf));
  const widths = HEADERS.map((header, i) =>
    Math.max(3, ...[header, ...cells.map((row) => row[i]!)].map((cell) => cell.length)),
  );
  const line = ([name = '', ...rest]: readonly string[]): string => {
    const padded = rest.map((text, i) => text.padStart(widths[i + 1]!));
    return `| ${[name.padEnd(widths[0]!), ...padded].join(' | ')} |`;
  };
  const dashes = widths.map((width) => '-'.repeat(width + 1));
  const rule = `|${dashes.map((dash, i) => (i === 0 ? `:${dash}` : `${dash}:`)).join('|')}|`;
  const { workload, machine, seed, modelVersion } = first;
  const notes = [
    `${workload} on ${machine}, seed ${seed}, model version ${modelVersion};`,
    'simulated time relative to the first design, counts per operation, getting locks as share of',
    `CPU time. Conditions: ${conditions(first.conditions)}.`,
  ];
  return `${[
    cell(readComparison(doc)),
    '',
    line(HEADERS),
    rule,
    ...cells.map(line),
    '',
    ...notes.map(cell),
    ...prices(doc),
  ].join('\n')}\n`;
}

/** Rankings, and the prices of each design as one line. */
function prices(doc: Compare): string[] {
  if (!hasPrices(doc)) return [];
  const rankings = (doc.rankings ?? []).map((ranking) => `- ${cell(tellRanking(ranking))}`);
  const told = doc.sensitivity.flatMap(({ design, vcpus, prices: effects = [] }) => {
    if (effects.length === 0) return [];
    const each = ratioRows(effects).map(({ price, range, kind, low, high }) => {
      return `${price} (${range}, ${kind}): ${low} to ${high}`;
    });
    return [cell(`- ${design}, ${whole(vcpus)} vCPUs: ${each.join('; ')}`)];
  });
  return ['', ...rankings, '', 'At the low and at the high end of each price:', '', ...told];
}

function cellsOf({ run, sensitivity }: Row): string[] {
  const { counts, latency, memory } = run;
  const { zero, one, two } = sensitivity.ratio;
  const events = [counts.exits, counts.nested, counts.hypercalls, counts.ipis, counts.flushes];
  const faults = [latency.p50, latency.p99];
  return [
    run.design,
    whole(run.vcpus),
    factor(one),
    `${factor(zero)} to ${factor(two)}`,
    ...events.map((n) => rough(perOperation(run, n))),
    percent(shareOf(run, lockWait(run))),
    ...faults.map((cycles) => (latency.count === 0 ? '-' : time(run, cycles))),
    bytes(memory.tableBytes),
    bytes(memory.bookBytes),
  ].map(cell);
}

/** What stands in a cell stays in it. */
function cell(text: string): string {
  return printable(text).replaceAll('|', '\\|').replaceAll('<', '&lt;');
}
