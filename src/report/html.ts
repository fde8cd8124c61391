/**
 * A comparison as one HTML file that needs nothing else: no script, no network, no fonts. It reads
 * from the answer down to its limits: the sentence, the table, the figures, what was assumed.
 */
import type { Compare, Run } from '../measure/result.ts';
import { breakable, dataTable } from './figure/common.ts';
import { exitFigure } from './figure/exits.ts';
import { latencyFigure } from './figure/latency.ts';
import { lockFigure } from './figure/locks.ts';
import { scalingFigure } from './figure/scaling.ts';
import { timeFigure } from './figure/time.ts';
import {
  commandSection,
  conditionSection,
  type HtmlExtras,
  limitSection,
  machineSection,
  priceSection,
  section,
  traceSection,
} from './html-sections.ts';
import { style } from './html-style.ts';
import { Markup, markup, nothing } from './markup.ts';
import { bytes, duration, factor, percent, rough, short, whole } from './number.ts';
import {
  designsOf,
  groupsOf,
  largestGroup,
  lockWait,
  perOperation,
  type Row,
  shareOf,
  worstLock,
} from './reading.ts';
import { list, readComparison } from './sentence.ts';
import { time } from './text.ts';

const POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";

export function renderHtml(doc: Compare, extras: HtmlExtras = {}): string {
  const first = doc.runs[0];
  const title = first === undefined ? 'Nothing was compared' : headline(doc, first);
  const page = markup`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${POLICY}">
<title>${title} · kpop</title>
<link rel="icon" href="data:,">
<style>${new Markup(style)}</style>
</head>
<body>
<header>
<p class="eyebrow">kpop comparison</p>
<h1>${title}</h1>
<p class="lede">${readComparison(doc)}</p>
${first === undefined ? nothing : facts(doc, first)}
</header>
<main>
${first === undefined ? nothing : body(doc, extras)}
</main>
${first === undefined ? nothing : footer(doc, first)}
</body>
</html>
`;
  return page.text;
}

function headline(doc: Compare, first: Run): string {
  return `${list(designsOf(doc.runs))} on ${first.workload}`;
}

function facts(doc: Compare, first: Run): Markup {
  const operations = [...new Set(doc.runs.map((run) => run.operations))].map(whole).join(', ');
  const told: [string, string][] = [
    ['Workload', first.workload],
    ['Machine', first.machine],
    [
      'vCPUs',
      groupsOf(doc)
        .map((group) => whole(group.vcpus))
        .join(', '),
    ],
    ['Operations', operations],
    ['Seed', String(first.seed)],
    ['Model version', String(first.modelVersion)],
  ];
  const items = told.map(([name, value]) => markup`<div><dt>${name}</dt><dd>${value}</dd></div>`);
  return markup`<dl class="facts">${items}</dl>`;
}

function body(doc: Compare, extras: HtmlExtras): Markup {
  const group = largestGroup(doc);
  const scaling = groupsOf(doc).length > 1 ? scalingFigure(doc) : nothing;
  const figures = [timeFigure(group), exitFigure(group), lockFigure(group), latencyFigure(group)];
  return markup`<section aria-label="Figures">
<div class="figures">
${figures}
${scaling}
</div>
</section>
${section('Side by side', comparison(doc))}
${priceSection(doc)}${conditionSection(doc)}
${machineSection(extras.machine)}
${traceSection(extras.traceStandsFor)}
${limitSection(doc)}
${commandSection(doc, extras.commands)}`;
}

const HEADERS = [
  'Design',
  'vCPUs',
  'simulated time',
  'relative to the first; software 0 to 2x',
  'exits into L0',
  'reflected above L0',
  'hyper\u00adcalls',
  'inter\u00adrupts between CPUs',
  'TLB invali\u00addations',
  'getting locks, worst',
  'latency p50, p99',
  'samples',
  'memory in tables, books',
];

function comparison(doc: Compare): Markup {
  const groups = groupsOf(doc);
  const rows = groups.flatMap((group) => group.rows);
  const caption =
    'Counts, and below them the same per operation; getting locks is a share of CPU time';
  const isFirst = (i: number): boolean => i > 0 && rows[i]!.run.vcpus !== rows[i - 1]!.run.vcpus;
  return markup`<div class="card">${dataTable(caption, HEADERS, rows.map(cells), isFirst)}</div>
${designList(doc)}`;
}

function cells({ run, sensitivity }: Row): (string | Markup)[] {
  const { counts, latency, memory } = run;
  const { zero, one, two } = sensitivity.ratio;
  const both = (n: number): Markup => under(whole(n), rough(perOperation(run, n)));
  return [
    run.design,
    whole(run.vcpus),
    under(duration(run.seconds), `${short(run.operationsPerSecond)} op/s`),
    under(factor(one), zero === two ? '' : `${factor(zero)} to ${factor(two)}`),
    ...[counts.exits, counts.nested, counts.hypercalls, counts.ipis, counts.flushes].map(both),
    under(percent(shareOf(run, lockWait(run))), worstLock(run)?.name ?? ''),
    latency.count === 0 ? '-' : under(time(run, latency.p50), time(run, latency.p99)),
    whole(latency.count),
    under(bytes(memory.tableBytes), bytes(memory.bookBytes)),
  ];
}

/** What the names stand for. */
function designList(doc: Compare): Markup {
  const titles = new Map(doc.runs.map((run) => [run.design, run.title]));
  const items = [...titles].map(
    ([design, title]) => markup`<li><b>${breakable(design)}</b>: ${title}</li>\n`,
  );
  return markup`<ul class="plain names">${items}</ul>`;
}

function under(main: string, below: string): Markup {
  return markup`${main}<span class="sub">${below}</span>`;
}

/** The digests: who has the same ones has run the same thing. */
function footer(doc: Compare, first: Run): Markup {
  const digests = doc.runs.map((run) => `${run.design} (${run.vcpus}) ${run.digest}`).join(' · ');
  return markup`<footer><p>All times are simulated; nothing here was measured on a real machine \
running these designs. ${doc.schema}, seed ${first.seed}. Digests: ${digests}.</p></footer>`;
}
