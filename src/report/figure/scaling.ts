/** Operations per simulated second over the number of vCPUs: one line per design. */

import type { Compare } from '../../measure/result.ts';
import { type Markup, markup } from '../markup.ts';
import { several, short, whole } from '../number.ts';
import { designsOf, type Group, groupsOf } from '../reading.ts';
import { list } from '../sentence.ts';
import { at, colour, dataTable, figure, legend, type Picture, ticks } from './common.ts';

const HEIGHT = 250;
const LEFT = 52;
const RIGHT = 34;
const TOP = 12;
const BOTTOM = 44;
const LABEL = 15; // between two labels at the ends of lines

interface Line {
  readonly design: string;
  /** Operations per second by group; undefined where the design did not run. */
  readonly values: readonly (number | undefined)[];
}

export function scalingFigure(doc: Compare): Markup {
  const groups = groupsOf(doc);
  const lines = designsOf(doc.runs).map((design): Line => {
    const values = groups.map((group) => {
      return group.rows.find((row) => row.run.design === design)?.run.operationsPerSecond;
    });
    return { design, values };
  });
  const last = (line: Line): number => line.values.findLast((value) => value !== undefined) ?? 0;
  return figure({
    title: 'Throughput over vCPUs',
    note: 'Operations per simulated second, all vCPUs together.',
    summary: `Operations per second at the most vCPUs: ${list(
      lines.map((line) => `${line.design} ${short(last(line))}`),
    )}`,
    draw: (width) => draw(groups, lines, width),
    legend: legend(lines.map((line, i) => ({ name: line.design, colour: colour(i) }))),
    table: dataTable(
      'Operations per simulated second',
      ['Design', ...groups.map((group) => several(group.vcpus, 'vCPU'))],
      lines.map((line) => [
        line.design,
        ...line.values.map((value) => (value === undefined ? '-' : whole(value))),
      ]),
    ),
  });
}

function draw(groups: readonly Group[], lines: readonly Line[], width: number): Picture {
  const steps = ticks(Math.max(0, ...lines.flatMap(({ values }) => values.map((v) => v ?? 0))), 4);
  const most = steps.at(-1)!;
  const x = (i: number): number =>
    LEFT + (groups.length < 2 ? 0 : (i / (groups.length - 1)) * (width - LEFT - RIGHT));
  const y = (value: number): number => TOP + (1 - value / most) * (HEIGHT - TOP - BOTTOM);
  const grid = steps.map(
    (step) => markup`<line class="grid" x1="${LEFT}" x2="${width - RIGHT}" y1="${at(y(step))}" \
y2="${at(y(step))}"/><text class="tick" x="${LEFT - 8}" y="${at(y(step) + 4)}" \
text-anchor="end">${short(step)}</text>`,
  );
  const sizes = groups.map(
    (group, i) => markup`<text class="tick" x="${at(x(i))}" y="${HEIGHT - BOTTOM + 20}" \
text-anchor="middle">${whole(group.vcpus)}</text>`,
  );
  const ends = spread(lines.map((line) => y(line.values.at(-1) ?? 0)));
  const drawn = lines.map((line, n) => {
    const points = line.values.flatMap((value, i) =>
      value === undefined ? [] : [{ x: x(i), y: y(value), value, vcpus: groups[i]!.vcpus }],
    );
    const path = points.map((point) => `${at(point.x)},${at(point.y)}`).join(' ');
    const dots = points.map(
      (point) => markup`<circle class="point ${colour(n)}" cx="${at(point.x)}" cy="${at(point.y)}" \
r="4.5"><title>${line.design}, ${several(point.vcpus, 'vCPU')}: ${short(point.value)} operations \
per second</title></circle>`,
    );
    return markup`<polyline class="line ${colour(n)}" points="${path}"/>${dots}\
<text class="end" x="${width - RIGHT + 12}" y="${at(ends[n]! + 4)}">${n + 1}</text>`;
  });
  const axis = markup`<text class="tick" x="${at((LEFT + width - RIGHT) / 2)}" y="${HEIGHT - 6}" \
text-anchor="middle">vCPUs</text>`;
  return { height: HEIGHT, body: markup`${grid}${sizes}${axis}${drawn}` };
}

/** Moves labels apart where lines end close together; their order stays. */
function spread(wanted: readonly number[]): readonly number[] {
  const placed = [...wanted];
  const order = wanted.map((_, i) => i).sort((a, b) => wanted[a]! - wanted[b]! || a - b);
  let above = Number.NEGATIVE_INFINITY;
  for (const i of order) {
    placed[i] = Math.max(placed[i]!, above + LABEL);
    above = placed[i]!;
  }
  const over = above - (HEIGHT - BOTTOM);
  return over > 0 ? placed.map((value) => value - over) : placed;
}
