/** What a result hangs on, in each form of report. */
import { expect, test } from 'vitest';
import { sampleCompare, samplePair, sampleRun } from '../../test/report/sample.ts';
import type { Compare, Run } from '../measure/result.ts';
import type { PriceEffect, Ranking } from '../measure/sensitivity.ts';
import { renderHtml } from './html.ts';
import { renderMarkdown } from './markdown.ts';
import { compareSchema, runSchema } from './schema.ts';
import { readComparison } from './sentence.ts';
import { renderCompare, renderRun } from './text.ts';

const effect: PriceEffect = {
  name: 'vmcsAccess',
  unit: 'cycles',
  value: 45,
  low: 20,
  high: 80,
  kind: 'assumed',
  source: 'native <VMREAD>',
  elasticity: 0.35,
  chargedPerOperation: 12,
  cyclesPerOperation: { low: 17_000, high: 25_000 },
};

function priced(doc: Compare, decided: boolean): Compare {
  const [one, other] = doc.runs as [Run, Run];
  const ranking: Ranking = {
    vcpus: one.vcpus,
    one: one.design,
    other: other.design,
    ratio: { value: 0.6, low: 0.5, high: decided ? 0.8 : 1.2 },
    decided,
    turnedBy: decided ? [] : [{ prices: [{ name: 'vmcsAccess', value: 20 }], ratio: 1.2 }],
  };
  const sensitivity = doc.sensitivity.map((row, i) => {
    const own = i === 0 ? effect : { ...effect, ratio: { low: 0.55, high: 0.65 } };
    return { ...row, interval: ranking.ratio, prices: [own], unattributed: 0 };
  });
  return { ...doc, sensitivity, decided, rankings: [ranking] };
}

const open = priced(sampleCompare, false);
const closed = priced(samplePair, true);

test('an undecided order is said in every report, with its price and where it turns', () => {
  const text = renderCompare(open);
  expect(text).toContain('Within the intervals of prices the order of designs is undecided');
  expect(text.replace(/\s+/g, ' ')).toContain('hangs on vmcsAccess (at 20): 1.20x');
  expect(text).toMatch(/vmcsAccess 45 cycles +20 to 80 +assumed +0\.35 +0\.55x +0\.65x/);
  expect(readComparison(open)).toContain('is undecided: it hangs on vmcsAccess.');
  expect(renderMarkdown(open)).toContain('undecided, it hangs on vmcsAccess (at 20)');
  const html = renderHtml(open);
  expect(html).toContain('What it hangs on');
  expect(html).toContain('native &lt;VMREAD&gt;');
});

test('a decided one, too', () => {
  expect(renderCompare(closed)).toContain('the order of designs is decided');
  expect(readComparison(closed)).toContain('nor all of them together, turns an order round');
  expect(renderHtml(closed)).toContain('order of designs is decided');
});

test('without --sensitivity nothing is said of it', () => {
  for (const text of [renderCompare(sampleCompare), renderMarkdown(sampleCompare)]) {
    expect(text).not.toContain('intervals of prices');
  }
  expect(renderHtml(sampleCompare)).not.toContain('What it hangs on');
  expect(renderRun(sampleRun)).not.toContain('What it hangs on');
});

test('a run names its prices; both documents are of the published schemas', () => {
  const cyclesPerOperation = { value: 21_000, low: 17_000, high: 25_000 };
  const found = { cyclesPerOperation, prices: [effect], threshold: 0.01, unattributed: 0, runs: 9 };
  const run: Run = { ...sampleRun, sensitivity: found };
  expect(renderRun(run)).toContain(
    'What it hangs on: 21,000 cycles per operation, 17,000 to 25,000',
  );
  expect(runSchema.parse(JSON.parse(JSON.stringify(run)))).toEqual(run);
  expect(compareSchema.parse(JSON.parse(JSON.stringify(open)))).toEqual(open);
});
