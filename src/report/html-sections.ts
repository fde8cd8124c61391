/** The written parts of the HTML report: conditions, prices, what is assumed and left out. */

import type { Compare, Run } from '../measure/result.ts';
import { nextCommands, type Suggestion } from './commands.ts';
import { dataTable } from './figure/common.ts';
import { type Markup, markup, nothing } from './markup.ts';
import { exact, rough, several } from './number.ts';
import { designsOf, saidOf } from './reading.ts';
import { hasPrices, ratioRows, SEARCH_LIMITS, tellRanking } from './sensitivity.ts';

export interface PriceNote {
  readonly value: number;
  readonly unit: string;
  readonly low: number;
  readonly high: number;
  readonly kind: string;
  readonly source: string;
}

/** What a machine preset tells about itself; a preset can be handed in as it is. */
export interface MachineNote {
  readonly id: string;
  readonly title: string;
  /** Cycles per second of the clock that all prices count. */
  readonly hertz: number;
  readonly leavesOut: string;
  readonly prices: Readonly<Record<string, PriceNote>>;
}

/** What a report may say beyond its document. */
export interface HtmlExtras {
  readonly machine?: MachineNote;
  /** What the trace behind the workload was recorded from, and what it stands in for. */
  readonly traceStandsFor?: string;
  /** Commands to try next, instead of those that follow from the document. */
  readonly commands?: readonly Suggestion[];
}

export function conditionSection(doc: Compare): Markup {
  const told = Object.entries(doc.runs[0]?.conditions ?? {});
  if (told.length === 0) return nothing;
  const facts = told.map(([name, value]) => markup`<div><dt>${name}</dt><dd>${value}</dd></div>`);
  return section('Counting conditions', markup`<dl class="facts">${facts}</dl>`);
}

export function machineSection(machine: MachineNote | undefined): Markup {
  if (machine === undefined) return nothing;
  const entries = Object.entries(machine.prices);
  const kinds = new Map<string, number>();
  for (const [, { kind }] of entries) kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
  const counted = [...kinds].map(([kind, n]) => `${n} ${kind}`).join(', ');
  const rows = entries.map(([act, price]) => [
    act,
    `${exact(price.value)} ${price.unit}`,
    `${rough((price.value / machine.hertz) * 1e9)} ns`,
    `${exact(price.low)} to ${exact(price.high)}`,
    price.kind,
    price.source,
  ]);
  const headers = ['Act', 'price', 'time', 'range', 'kind', 'source'];
  return section(
    'The machine and its prices',
    markup`<p>${machine.title} (<code>${machine.id}</code>). One price per act for all designs: \
${counted}.</p><p class="quiet">Left out: ${machine.leavesOut}.</p>
<details><summary>All prices with their sources</summary><div class="left">\
${dataTable('Prices', headers, rows)}</div></details>`,
  );
}

/** On which prices the order of designs hangs; nothing if that was not asked. */
export function priceSection(doc: Compare): Markup {
  if (!hasPrices(doc)) return nothing;
  const verdict = doc.decided === true ? 'decided' : 'undecided';
  const rankings = (doc.rankings ?? []).map((one) => markup`<li>${tellRanking(one)}</li>\n`);
  const headers = ['Price', 'range', 'kind', 'elasticity', 'at low', 'at high', 'source'];
  const tables = doc.sensitivity.map(({ design, vcpus, prices = [] }) => {
    const rows = ratioRows(prices).map((row) => [
      row.price,
      row.range,
      row.kind,
      row.elasticity,
      row.low,
      row.high,
      row.source,
    ]);
    const figure = prices[0]?.ratio === undefined ? 'cycles per operation' : 'time to the first';
    const caption = `${design}, ${several(vcpus, 'vCPU')}: ${figure}`;
    if (rows.length === 0) return nothing;
    return markup`<details><summary>${caption}</summary><div class="left">\
${dataTable(caption, headers, rows)}</div></details>\n`;
  });
  return section(
    'What it hangs on',
    markup`<p>Within the intervals of prices the order of designs is ${verdict}.</p>
<ul class="plain">${rankings}</ul>
${tables}<p class="quiet">${SEARCH_LIMITS}</p>`,
  );
}

export function traceSection(standsFor: string | undefined): Markup {
  if (standsFor === undefined) return nothing;
  return section('What the trace stands in for', markup`<p>${standsFor}</p>`);
}

/** Assumptions, unmodelled locks and limits, each sentence once with the designs it is about. */
export function limitSection(doc: Compare): Markup {
  const part = (title: string, pick: (run: Run) => readonly string[]): Markup => {
    const said = saidOf(doc.runs, pick);
    const all = designsOf(doc.runs).length;
    const items = said.map(({ text, designs }) => {
      const of = designs.length === all ? 'all designs' : designs.join(', ');
      return markup`<li>${text} <span class="of">(${of})</span></li>\n`;
    });
    const body = said.length === 0 ? markup`<p class="none">None stated.</p>` : nothing;
    return markup`<div class="card"><h3>${title}</h3>${body}
<ul class="plain">${items}</ul></div>\n`;
  };
  return section(
    'What this comparison does not know',
    markup`<div class="columns">
${part('Limits: what the models leave out', (run) => run.limits)}
${part('Assumed by the designs', (run) => run.assumes)}
${part('Locks of the real systems that are not modelled', (run) => run.locksNotModelled)}
</div>`,
  );
}

export function commandSection(doc: Compare, given: readonly Suggestion[] | undefined): Markup {
  const items = (given ?? nextCommands(doc)).map(
    ({ command, why }) => markup`<li><code tabindex="0">${command}</code>\
<span class="quiet">${why}</span></li>\n`,
  );
  return items.length === 0 ? nothing : section('Try next', markup`<ul class="try">${items}</ul>`);
}

export function section(title: string, body: Markup): Markup {
  return markup`<section>\n<h2>${title}</h2>\n${body}\n</section>\n`;
}
