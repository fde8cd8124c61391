import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { TraceError } from './page-trace.ts';
import { readFirstTouches, readPageRuns } from './pagelist.ts';

function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

const remark = '# kind page_hex instrs_since_previous_line ; kinds I R W ; 16-page LRU filter\n';

describe('page list: .pg', () => {
  test('any list comes back as it was', () => {
    const line = fc.tuple(
      fc.constantFrom('I', 'R', 'W'),
      fc.integer({ min: 0, max: 2 ** 36 }),
      fc.integer({ min: 0, max: 2 ** 32 - 1 }),
    );
    fc.assert(
      fc.property(fc.array(line, { minLength: 1 }), (lines) => {
        const words = lines.map(([kind, page, run]) => `${kind} ${page.toString(16)} ${run}\n`);
        const trace = readPageRuns(bytesOf(remark + words.join('')), 'p');
        const read = [...trace.kinds].map((kind, at) => {
          return ['IRW'[kind], trace.pageOf[trace.pages[at]], trace.instructions[at]];
        });
        expect(read).toEqual(lines);
        expect(trace.filter).toBe(16);
        expect(trace.header.lines).toBe(lines.length);
        expect(trace.header.pages).toBe(new Set(lines.map((each) => each[1])).size);
      }),
    );
  });

  test('what the text does not count is null', () => {
    const { header } = readPageRuns(bytesOf(`${remark}I 401a 1\nW 1fff000 3\n`), 'sort');
    expect(header).toEqual({
      ...{ program: 'sort', command: null, references: null, instructions: 4, loads: null },
      ...{ stores: null, modifies: null, pages: 2, writtenPages: 1, lines: 2 },
    });
  });

  test.each([
    ['I 1 1\n', 'line 1: an event before the remark that says "# … N-page LRU filter": \'I 1 1\''],
    [`${remark}I 1\n`, 'line 2: not "I|R|W page instructions": \'I 1\''],
    [`${remark}X 1 1\n`, 'line 2: not "I|R|W page instructions": \'X 1 1\''],
    [
      `${remark}${remark}`,
      "line 2: a second filter size: '# kind page_hex instrs_since_previous_li…'",
    ],
    ['# 0-page LRU filter', "line 1: a filter of 0 pages, not 1 to 65535: '# 0-page LRU filter'"],
    [remark, 'no event in the page list'],
    ['z'.repeat(5000), `line 1: a line of over 4096 bytes: '${'z'.repeat(40)}…'`],
  ])('text %# is refused with its sentence', (text, sentence) => {
    expect(() => readPageRuns(bytesOf(text), 'p')).toThrow(new TraceError(sentence));
  });
});

describe('page list: .ft', () => {
  test('first touches become lines, w a write', () => {
    const text = '# instr_index kind page_hex\n1 I 401a\n2 R 1fff000\n19 W 4033\n20 w 1fff000\n';
    const trace = readFirstTouches(bytesOf(text), 'p');
    expect([...trace.kinds]).toEqual([0, 1, 2, 2]);
    expect([...trace.pages]).toEqual([0, 1, 2, 1]);
    expect([...trace.instructions]).toEqual([1, 1, 17, 1]);
    expect(trace.filter).toBe(0);
    expect(trace.header.writtenPages).toBe(2);
  });

  test.each([
    ['1 I\n', 'line 1: not "instruction I|R|W|w page": \'1 I\''],
    ['5 I 1\n4 I 2\n', "line 2: instruction 4 after instruction 5: '4 I 2'"],
    ['1 w 1\n', "line 1: w on an untouched page: '1 w 1'"],
    ['1 R 1\n2 W 1\n', "line 2: a page touched before: '2 W 1'"],
    ['1 W 1\n2 w 1\n', "line 2: w on a page written before: '2 w 1'"],
    ['', 'no event in the page list'],
  ])('text %# is refused with its sentence', (text, sentence) => {
    expect(() => readFirstTouches(bytesOf(text), 'p')).toThrow(new TraceError(sentence));
  });
});
