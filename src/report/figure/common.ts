/**
 * What the figures share: a figure is drawn twice, for a wide and for a narrow page, because text
 * in a picture that shrinks with the page cannot be read. No colour carries meaning alone: series
 * have numbers that stand in the legend and in the picture, and every figure has its table.
 */
import { type Markup, markup, nothing } from '../markup.ts';

export const WIDE = 540;
export const NARROW = 340;
/** Colours of the style sheet, `--c1` and so on; further series repeat them. */
export const COLOURS = 8;
const CHARACTER = 6.7; // mean width at the size of figure text
const ROW = 50;
const BAR_TOP = 22;
const BAR = 16;

export interface Picture {
  readonly height: number;
  readonly body: Markup;
}

export interface Figure {
  readonly title: string;
  readonly note: string;
  /** What the picture says, for who does not see it. */
  readonly summary: string;
  readonly draw: (width: number) => Picture;
  readonly legend?: Markup;
  readonly table: Markup;
}

export function figure(of: Figure): Markup {
  const picture = (width: number, kind: string): Markup => {
    const { height, body } = of.draw(width);
    return markup`<svg class="${kind}" role="img" aria-label="${of.summary}" \
viewBox="0 0 ${width} ${height}">${body}</svg>`;
  };
  return markup`<figure class="card">
<figcaption><h3>${of.title}</h3><p>${of.note}</p></figcaption>
${picture(WIDE, 'wide')}
${picture(NARROW, 'narrow')}
${of.legend ?? nothing}
<details><summary>The same as a table</summary>${of.table}</details>
</figure>`;
}

/** A card for a figure that would be empty: it says why. */
export function emptyFigure(title: string, why: string): Markup {
  return markup`<figure class="card"><figcaption><h3>${title}</h3></figcaption>
<p class="none">${why}</p></figure>`;
}

/** One row of a bar chart: name and value above the line that `draw` fills from `top` on. */
export interface BarRow {
  readonly name: string;
  readonly value: string;
  readonly draw: (top: number, height: number) => Markup;
}

export function barRows(rows: readonly BarRow[], width: number): Picture {
  const parts = rows.map((row, i) => {
    const y = i * ROW;
    const room = width - textWidth(row.value) - 16;
    return markup`<text class="name" x="0" y="${y + 14}">${shorten(row.name, room)}\
<title>${row.name}</title></text>
<text class="value" x="${width}" y="${y + 14}" text-anchor="end">${row.value}</text>
${row.draw(y + BAR_TOP, BAR)}`;
  });
  return { height: rows.length * ROW, body: markup`${parts}` };
}

export interface LegendEntry {
  readonly name: string;
  readonly colour: string;
}

/** Numbered swatches, in the order of the series. */
export function legend(entries: readonly LegendEntry[]): Markup {
  const items = entries.map(
    (entry, i) => markup`<li><span class="key ${entry.colour}">${i + 1}</span> ${entry.name}</li>`,
  );
  return markup`<ul class="legend">${items}</ul>`;
}

/** Class of the n-th series, from 0 on. */
export function colour(n: number): string {
  return `c${(n % COLOURS) + 1}`;
}

/** Parts of one bar from left to right, each with its number where there is room for it. */
export interface Segment {
  readonly key: number;
  readonly colour: string;
  readonly size: number;
  readonly title: string;
}

export function stackedBar(
  segments: readonly Segment[],
  scale: number,
  top: number,
  height: number,
): Markup {
  let x = 0;
  const parts = segments.map((segment) => {
    const wide = segment.size * scale;
    const from = x;
    x += wide;
    if (wide <= 0) return nothing;
    const label =
      wide < 14
        ? nothing
        : markup`<text class="in ${segment.colour}" x="${at(from + wide / 2)}" \
y="${top + height - 4}" text-anchor="middle">${segment.key}</text>`;
    return markup`<g><title>${segment.title}</title><rect class="bar ${segment.colour}" \
x="${at(from)}" y="${top}" width="${at(wide)}" height="${height}"/>${label}</g>`;
  });
  return markup`${parts}`;
}

/** A coordinate with as many digits as a picture needs. */
export function at(value: number): string {
  return Number.isFinite(value) ? String(Math.round(value * 10) / 10) : '0';
}

export function textWidth(text: string): number {
  return [...text].length * CHARACTER;
}

export function shorten(text: string, room: number): string {
  const letters = [...text];
  const most = Math.max(4, Math.floor(room / CHARACTER));
  return letters.length <= most ? text : `${letters.slice(0, most - 1).join('')}…`;
}

/** Round steps that cover 0 to `most` in about `wanted` parts; at least one step. */
export function ticks(most: number, wanted: number): readonly number[] {
  if (!(most > 0)) return [0, 1];
  const raw = most / wanted;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((size) => size >= raw * 0.999)!;
  const count = Math.ceil(most / step - 1e-9);
  return Array.from({ length: count + 1 }, (_, i) => Number((i * step).toPrecision(12)));
}

/** A name that may be broken where a reader would: after a colon, a comma or a slash. */
export function breakable(name: string): Markup {
  const parts = name.split(/(?<=[:,/])/);
  return markup`${parts.map((part, i) => (i === 0 ? markup`${part}` : markup`<wbr>${part}`))}`;
}

/** An HTML table that scrolls on its own where the page is too narrow for it. */
export function dataTable(
  caption: string,
  headers: readonly string[],
  rows: readonly (readonly (string | Markup)[])[],
  startsGroup: (row: number) => boolean = () => false,
): Markup {
  const head = headers.map((header) => markup`<th scope="col">${header}</th>`);
  const body = rows.map(([first = '', ...rest], i) => {
    const cells = rest.map((cell) => markup`<td>${cell}</td>`);
    const name = typeof first === 'string' ? breakable(first) : first;
    const kind = startsGroup(i) ? 'gap' : '';
    return markup`<tr class="${kind}"><th scope="row">${name}</th>${cells}</tr>\n`;
  });
  return markup`<p class="caption">${caption}</p>
<div class="scroll" role="region" tabindex="0" aria-label="${caption}">
<table><thead><tr>${head}</tr></thead>
<tbody>${body}</tbody></table></div>`;
}
