/** Simulated time relative to the first design, with its range over the price of software work. */

import { type Markup, markup, nothing } from '../markup.ts';
import { factor, several } from '../number.ts';
import type { Group, Row } from '../reading.ts';
import { list } from '../sentence.ts';
import { at, barRows, dataTable, emptyFigure, figure, type Picture, ticks } from './common.ts';

const TITLE = 'Simulated time for the same work';
const EDGE = 10; // half a mark, so that none is cut off
const AXIS = 24;

export function timeFigure(group: Group): Markup {
  const rows = group.rows.filter((row) => row.sensitivity.ratio.one > 0);
  const first = rows[0];
  if (first === undefined) return emptyFigure(TITLE, 'No design performed an operation.');
  const ratios = rows.map((row) => row.sensitivity.ratio);
  const size = several(group.vcpus, 'vCPU');
  const steps = ticks(Math.max(...ratios.flatMap(({ zero, one, two }) => [zero, one, two])), 4);
  return figure({
    title: TITLE,
    note: `Time per operation with ${size}; ${first.run.design} = 1, less is faster.`,
    summary: `Relative time: ${list(rows.map((row) => `${row.run.design} ${told(row)}`))}`,
    draw: (width) => draw(rows, steps, width),
    legend: markup`<ul class="legend"><li><span class="mark dot"></span> software work at its \
price</li><li><span class="mark ring"></span> at price 0</li><li><span class="mark box"></span> at \
twice its price</li></ul>`,
    table: dataTable(
      'Time per operation relative to the first design',
      ['Design', 'at its price', 'software work at 0', 'software work at 2x'],
      rows.map(({ run, sensitivity: { ratio } }) => [
        run.design,
        ...[ratio.one, ratio.zero, ratio.two].map(factor),
      ]),
    ),
  });
}

function told({ sensitivity: { ratio } }: Row): string {
  const values = [ratio.zero, ratio.one, ratio.two];
  const [from, to] = [Math.min(...values), Math.max(...values)];
  const range = from === to ? '' : ` (${factor(from)} to ${factor(to)})`;
  return factor(ratio.one) + range;
}

function draw(rows: readonly Row[], steps: readonly number[], width: number): Picture {
  const most = steps.at(-1)!;
  const x = (ratio: number): number => EDGE + (ratio / most) * (width - 2 * EDGE);
  const chart = barRows(
    rows.map((row) => ({
      name: row.run.design,
      value: told(row),
      draw: (top, height) => marks(row, x, top + height / 2),
    })),
    width,
  );
  const lines = steps.map((step) => {
    const anchor = step === 0 ? 'start' : step === most ? 'end' : 'middle';
    const label = markup`<text class="tick" x="${at(x(step) + shift(anchor))}" \
y="${chart.height + 18}" text-anchor="${anchor}">${String(step)}x</text>`;
    return markup`<line class="grid" x1="${at(x(step))}" x2="${at(x(step))}" y1="20" \
y2="${chart.height}"/>${label}`;
  });
  const one = markup`<line class="reference" x1="${at(x(1))}" x2="${at(x(1))}" y1="20" \
y2="${chart.height}"/>`;
  return { height: chart.height + AXIS, body: markup`${lines}${one}${chart.body}` };
}

function shift(anchor: string): number {
  if (anchor === 'start') return -EDGE;
  return anchor === 'end' ? EDGE : 0;
}

function marks(row: Row, x: (ratio: number) => number, y: number): Markup {
  const { zero, one, two } = row.sensitivity.ratio;
  const [from, to] = [Math.min(zero, one, two), Math.max(zero, one, two)];
  const known = zero > 0 && two > 0;
  const span = known
    ? markup`<line class="span" x1="${at(x(from))}" x2="${at(x(to))}" y1="${y}" y2="${y}"/>
<circle class="ring" cx="${at(x(zero))}" cy="${y}" r="5"/>
<rect class="box" x="${at(x(two) - 4.5)}" y="${y - 4.5}" width="9" height="9"/>`
    : nothing;
  return markup`<g><title>${row.run.design}: ${factor(one)}, ${factor(zero)} with software work at \
0, ${factor(two)} at twice its price</title>${span}<circle class="dot" cx="${at(x(one))}" \
cy="${y}" r="6.5"/></g>`;
}
