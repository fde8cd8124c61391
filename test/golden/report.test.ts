/**
 * Renderings of hand-made results, kept whole: a change of a report shows as a change of text.
 * `npx vitest run test/golden -u` writes them anew; look at what changed.
 */

import { expect, test } from 'vitest';
import { renderHtml } from '../../src/report/html.ts';
import { renderMarkdown } from '../../src/report/markdown.ts';
import { readComparison } from '../../src/report/sentence.ts';
import { renderCompare, renderRun } from '../../src/report/text.ts';
import { sampleCompare, sampleRun, sampleScaling } from '../report/sample.ts';

test('golden: a run as text', async () => {
  await expect(renderRun(sampleRun)).toMatchFileSnapshot('run.txt');
});

test('golden: a comparison as text, with its sentence', async () => {
  const text = `${renderCompare(sampleScaling)}\n${readComparison(sampleScaling)}\n`;
  await expect(text).toMatchFileSnapshot('compare.txt');
});

test('golden: a comparison as Markdown', async () => {
  await expect(renderMarkdown(sampleCompare)).toMatchFileSnapshot('compare.md');
});

test('golden: a comparison as HTML', async () => {
  const html = renderHtml(sampleScaling, { traceStandsFor: 'A recording made by hand.' });
  await expect(html).toMatchFileSnapshot('compare.html');
});
