/** Latency of accesses that left the guest: the median on the way to the 99th percentile. */

import { type Markup, markup, nothing } from '../markup.ts';
import { several, whole } from '../number.ts';
import type { Group, Row } from '../reading.ts';
import { list } from '../sentence.ts';
import { time } from '../text.ts';
import { at, barRows, dataTable, emptyFigure, figure } from './common.ts';

const TITLE = 'Latency of accesses that left the guest';

export function latencyFigure(group: Group): Markup {
  const rows = group.rows;
  if (rows.every(({ run }) => run.latency.count === 0)) {
    return emptyFigure(TITLE, 'No access left the guest.');
  }
  const most = Math.max(1, ...rows.map(({ run }) => run.latency.p99));
  return figure({
    title: TITLE,
    note: `From the first try to completion, with ${several(group.vcpus, 'vCPU')}.`,
    summary: `Latency: ${list(rows.map((row) => `${row.run.design} ${told(row)}`))}`,
    draw: (width) =>
      barRows(
        rows.map((row) => ({
          name: row.run.design,
          value: told(row),
          draw: (top, height) => bars(row, width / most, top, height),
        })),
        width,
      ),
    legend: markup`<ul class="legend"><li><span class="key p50"></span> half are done by here \
(p50)</li><li><span class="key p99"></span> 99 in 100 are done by here (p99)</li></ul>`,
    table: dataTable(
      'Latency of accesses that left the guest',
      ['Design', 'samples', 'p50', 'p90', 'p99', 'p99.9', 'longest'],
      rows.map(({ run }) => {
        const { count, p50, p90, p99, p999, max } = run.latency;
        const figures = [p50, p90, p99, p999, max];
        return [
          run.design,
          whole(count),
          ...figures.map((cycles) => (count === 0 ? '-' : time(run, cycles))),
        ];
      }),
    ),
  });
}

function told({ run }: Row): string {
  const { count, p50, p99 } = run.latency;
  return count === 0 ? 'no samples' : `p50 ${time(run, p50)}, p99 ${time(run, p99)}`;
}

function bars(row: Row, scale: number, top: number, height: number): Markup {
  const { count, p50, p99 } = row.run.latency;
  if (count === 0) return nothing;
  return markup`<g><title>${row.run.design}: ${told(row)}, ${several(count, 'sample')}</title>
<rect class="p99" x="0" y="${top}" width="${at(p99 * scale)}" height="${height}"/>
<rect class="p50" x="0" y="${top}" width="${at(p50 * scale)}" height="${height}"/></g>`;
}
