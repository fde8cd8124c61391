/** Text and Markdown reports: their width, and where names cannot break them. */

import { expect, test } from 'vitest';
import { sampleCompare, sampleRun, sampleScaling } from '../../test/report/sample.ts';
import type { Compare } from '../measure/result.ts';
import { nextCommands, quote } from './commands.ts';
import { renderMarkdown } from './markdown.ts';
import { renderCompare, renderRun } from './text.ts';

test('text: readable at 120 columns, without blanks at the ends of lines', () => {
  for (const output of [renderRun(sampleRun), renderCompare(sampleScaling)]) {
    for (const line of output.split('\n')) {
      expect([...line].length).toBeLessThanOrEqual(120);
      expect(line).not.toMatch(/\s$/);
    }
  }
});

test('text: many designs do not make the table of reasons wider than the terminal', () => {
  const runs = Array.from({ length: 12 }, (_, i) => ({
    ...sampleRun,
    design: `design-number-${i}`,
  }));
  const doc: Compare = { schema: 'kpop.compare/1', runs, sensitivity: [] };
  const output = renderCompare(doc);
  expect(Math.max(...output.split('\n').map((line) => line.length))).toBeLessThanOrEqual(120);
  expect(output.match(/Exits per operation by reason/g)).toHaveLength(3);
});

test('text: a run without a clock tells cycles', () => {
  expect(renderRun({ ...sampleRun, seconds: 0 })).toContain('21,000 cycles');
});

test('markdown: a name cannot leave its cell', () => {
  const runs = sampleCompare.runs.map((run) => ({ ...run, design: `a|b<c>${run.design}` }));
  const lines = renderMarkdown({ ...sampleCompare, runs }).split('\n');
  const rows = lines.filter((line) => line.startsWith('|'));
  expect(rows).toHaveLength(5);
  const cells = rows.map((row) => row.split(/(?<!\\)\|/).length);
  expect(new Set(cells).size).toBe(1);
  expect(rows.join('\n')).not.toContain('<c>');
});

test('commands: three to try next, ready for a shell', () => {
  for (const doc of [sampleCompare, sampleScaling]) {
    const commands = nextCommands(doc);
    expect(commands).toHaveLength(3);
    for (const { command } of commands) expect(command).toMatch(/^kpop \w+/);
  }
  expect(quote('kpop:flush=request,lock=vm')).toBe('kpop:flush=request,lock=vm');
  expect(quote("my design's.ts; rm")).toBe(`'my design'\\''s.ts; rm'`);
});
