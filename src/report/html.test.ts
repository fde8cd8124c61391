/** The HTML report: it stands alone, escapes what it is given, and has no hole where zero is. */

import { expect, test } from 'vitest';
import {
  emptyCompare,
  sampleCompare,
  samplePair,
  sampleScaling,
} from '../../test/report/sample.ts';
import type { Compare, Run } from '../measure/result.ts';
import { renderHtml } from './html.ts';
import type { MachineNote } from './html-sections.ts';
import { renderMarkdown } from './markdown.ts';
import { markup } from './markup.ts';
import { renderCompare, renderRun } from './text.ts';

const VOID = new Set(['meta', 'link', 'wbr']);

/** Every element that opens closes in order; attributes are quoted. */
function expectWellFormed(html: string): void {
  const open: string[] = [];
  const body = html.replace(/<style>.*?<\/style>/s, '');
  for (const [tag, slash, name] of body.matchAll(
    /<(\/?)([a-z0-9]+)(?:\s[\w-]+="[^"<]*")*\s*\/?>/g,
  )) {
    if (slash === '/') expect(open.pop()).toBe(name);
    else if (!tag.endsWith('/>') && !VOID.has(name!)) open.push(name!);
  }
  expect(open).toEqual([]);
  expect(
    body.replace(/<!doctype html>|<\/?[a-z0-9]+(?:\s[\w-]+="[^"<]*")*\s*\/?>/g, ''),
  ).not.toMatch(/</);
}

const nasty = `<script>alert("1" & '2')</script>`;

/** Every text of a run replaced by one that would break a page. */
function spoilt(run: Run): Run {
  return {
    ...run,
    design: nasty + run.design,
    title: nasty,
    workload: nasty,
    machine: nasty,
    conditions: { [nasty]: nasty },
    digest: nasty,
    limits: [nasty],
    assumes: [nasty],
    locksNotModelled: [nasty],
    exitsByReason: run.exitsByReason.map((exit) => ({ ...exit, reason: nasty })),
    locks: run.locks.map((lock) => ({ ...lock, name: nasty })),
  };
}

const machine: MachineNote = {
  id: nasty,
  title: nasty,
  hertz: 1e9,
  leavesOut: nasty,
  prices: { [nasty]: { value: 1, unit: nasty, low: 1, high: 4, kind: nasty, source: nasty } },
};

test('html: well formed, for one size, several sizes, and nothing at all', () => {
  for (const doc of [sampleCompare, samplePair, sampleScaling, emptyCompare]) {
    expectWellFormed(renderHtml(doc));
  }
  expectWellFormed(renderHtml({ schema: 'kpop.compare/1', runs: [], sensitivity: [] }));
});

test('html: every text is escaped', () => {
  const doc: Compare = { ...sampleScaling, runs: sampleScaling.runs.map(spoilt) };
  const commands = [{ command: nasty, why: nasty }];
  const html = renderHtml(doc, { machine, traceStandsFor: nasty, commands });
  expect(html).not.toContain('<script');
  expect(html).toContain('&lt;script&gt;alert(&quot;1&quot; &amp; &#39;2&#39;)');
  expectWellFormed(html);
});

test('html: one file that loads nothing and runs nothing', () => {
  const html = renderHtml(sampleScaling);
  expect(html).not.toMatch(/<script|\bon\w+=|src=|@import|url\(|https?:/);
  expect([...html.matchAll(/href="([^"]*)"/g)].map(([, to]) => to)).toEqual(['data:,']);
});

test('html: every figure has words for who does not see it, and a table', () => {
  const html = renderHtml(sampleScaling);
  const figures = html.match(/<figure[\s\S]*?<\/figure>/g)!;
  expect(figures).toHaveLength(5);
  for (const figure of figures) {
    expect(figure).toMatch(/role="img" aria-label="[^"]{20,}"/);
    expect(figure).toMatch(/<details><summary>The same as a table<\/summary>[\s\S]*<tbody>/);
  }
});

test('html: one size has no scaling chart; no waits and no faults are said in words', () => {
  expect(renderHtml(sampleCompare)).not.toContain('Throughput over vCPUs');
  const html = renderHtml(emptyCompare);
  expect(html).toMatch(/No design took a lock with \d+ vCPU/);
  expect(html).toContain('No design left its guest.');
  expect(html).toContain('No access left the guest.');
  expect(html).toContain('No design performed an operation.');
});

test('html: all limits stand in it, with the designs they are about', () => {
  const html = renderHtml(sampleCompare);
  expect(html).toContain('no SMT: every vCPU has a core of its own <span class="of">(all designs)');
  expect(html).toContain('what only evmcs leaves out <span class="of">(evmcs)');
});

test('reports: zero never becomes NaN, Infinity or undefined', () => {
  const run = emptyCompare.runs[0]!;
  const outputs = [
    renderHtml(emptyCompare),
    renderCompare(emptyCompare),
    renderMarkdown(emptyCompare),
    renderRun(run),
  ];
  for (const output of outputs) expect(output).not.toMatch(/NaN|Infinity|undefined/);
});

test('reports: a document without ratios still prints', () => {
  const doc: Compare = { ...sampleCompare, sensitivity: [] };
  for (const output of [renderHtml(doc), renderCompare(doc), renderMarkdown(doc)]) {
    expect(output).not.toMatch(/NaN|Infinity|undefined/);
  }
});

test('markup: values are escaped, markup and lists of it are not', () => {
  const inner = markup`<b>${'<i>'}</b>`;
  expect(markup`<p title="${'"'}">${[inner, 'a&b', 1]}</p>`.text).toBe(
    '<p title="&quot;"><b>&lt;i&gt;</b>a&amp;b1</p>',
  );
});
