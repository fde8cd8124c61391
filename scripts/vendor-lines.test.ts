/** What is vendor-specific is in few files, is counted, and the count that docs print is right. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { codeLines, countVendorLines, vendorLinesText } from './vendor-lines.ts';

test('lines of code: comments and empty lines do not count', () => {
  expect(codeLines('/** a\n * b */\n\nconst x = 1; // c\nconst y =\n  2;\n')).toBe(3);
});

test('common files name nothing of one vendor', () => {
  for (const { design, astray } of countVendorLines())
    expect([design, astray]).toEqual([design, []]);
});

test('kpop has no line for a vendor that tdp does not have; nested has more, for either', () => {
  const [tdp, nested, kpop] = countVendorLines();
  expect([kpop!.intel, kpop!.amd]).toEqual([tdp!.intel, tdp!.amd]);
  expect(nested!.intel).toBeGreaterThan(tdp!.intel);
  expect(nested!.amd).toBeGreaterThan(tdp!.amd);
});

test('docs/vendor-lines.md says so: exactly of the vendors, to a fifth of the rest', () => {
  const rowsOf = (text: string): (string | number)[][] =>
    [...text.matchAll(/^\| `(\w+)` \| (\d+) \| (\d+) \| (\d+) \|$/gm)].map(
      ([, design, ...counts]) => [design!, ...counts.map(Number)],
    );
  const told = rowsOf(readFileSync('docs/vendor-lines.md', 'utf8'));
  const now = rowsOf(vendorLinesText());
  expect(told.map(([design, _, ...rest]) => [design, ...rest])).toEqual(
    now.map(([design, _, ...rest]) => [design, ...rest]),
  );
  for (const [i, [, common]] of told.entries()) {
    const ratio = (common as number) / (now[i]![1] as number);
    expect(Math.abs(ratio - 1)).toBeLessThan(0.2);
  }
});
