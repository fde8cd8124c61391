/** Text tables: alignment, wrapping, and names that would break them. */

import { expect, test } from 'vitest';
import { TERMINAL_WIDTH, table, wrap } from './table.ts';

test('table: names to the left, numbers to the right, headers at the bottom', () => {
  const columns = [{ title: 'Name' }, { title: 'times\nseen' }];
  expect(table(columns, [['a', '1'], [], ['long name', '1,000']])).toBe(
    [
      '           times',
      'Name        seen',
      '-'.repeat(16),
      'a              1',
      '',
      'long name  1,000',
    ].join('\n'),
  );
});

test('table: the first column gives way to the width of a terminal', () => {
  const wide = [
    { title: 'Design' },
    ...Array.from({ length: 9 }, () => ({ title: 'x'.repeat(9) })),
  ];
  const lines = table(wide, [['kpop:flush=request,lock=vm,index=xarray', ...'123456789']]).split(
    '\n',
  );
  for (const line of lines) expect(line.length).toBeLessThanOrEqual(TERMINAL_WIDTH);
  expect(lines.slice(2).map((line) => line.slice(0, 21).trim())).toEqual([
    'kpop:flush=request,',
    'lock=vm,',
    'index=xarray',
  ]);
});

test('table: a terminal obeys no name', () => {
  expect(table([{ title: 'Name' }], [['a\u001bb\nc']])).toContain('a?b?c');
});

test('wrap: breaks where a reader would, and anywhere if it must', () => {
  expect(wrap('one two three', 8)).toEqual(['one two', 'three']);
  expect(wrap('abcdefghijkl', 6)).toEqual(['abcd', 'efgh', 'ijkl']);
  expect(wrap('', 6)).toEqual(['']);
});
