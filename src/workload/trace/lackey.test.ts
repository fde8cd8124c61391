import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeTrace, encodeTrace } from './format.ts';
import { LackeyReader } from './lackey.ts';
import { type PageTrace, TraceError } from './page-trace.ts';

function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function read(text: string, filter = 16, cuts: readonly number[] = []): PageTrace {
  const reader = new LackeyReader({ program: 'p', filter });
  const bytes = bytesOf(text);
  let start = 0;
  for (const cut of [...cuts, bytes.length].sort((a, b) => a - b)) {
    reader.push(bytes.subarray(start, Math.max(start, Math.min(cut, bytes.length))));
    start = Math.max(start, Math.min(cut, bytes.length));
  }
  return reader.finish();
}

/** The lines of a trace as `kind page instructions`, like a .pg file. */
function spell(trace: PageTrace): string[] {
  return [...trace.kinds].map((kind, at) => {
    const page = trace.pageOf[trace.pages[at]].toString(16);
    return `${'IRW'[kind]} ${page} ${trace.instructions[at]}`;
  });
}

/** The conversion as its description reads: a regular expression and a list. */
function reference(text: string, size: number): { lines: string[]; counts: number[] } {
  const counts = [0, 0, 0, 0];
  const lines: string[] = [];
  let list: { page: number; kinds: string }[] = [];
  let run = 0;
  for (const line of text.split('\n')) {
    const match = /^ *([ILSM]) +([0-9a-fA-F]+),(\d+)$/.exec(line);
    if (match === null) continue;
    counts['ILSM'.indexOf(match[1])]++;
    if (match[1] === 'I') run++;
    const kind = { I: 'I', L: 'R', S: 'W', M: 'W' }[match[1]] as string;
    const first = Number.parseInt(`0${match[2].slice(0, -3)}`, 16);
    const crosses = Number.parseInt(match[2].slice(-3), 16) + Number(match[3]) > 4096;
    for (const page of crosses ? [first, (first + 1) % 2 ** 52] : [first]) {
      const entry = list.find((each) => each.page === page) ?? { page, kinds: '' };
      list = [entry, ...list.filter((each) => each !== entry)].slice(0, size);
      if (entry.kinds.includes(kind)) continue;
      entry.kinds += kind;
      lines.push(`${kind} ${page.toString(16)} ${run}`);
      run = 0;
    }
  }
  return { lines, counts };
}

const hexDigits = fc.string({ unit: fc.constantFrom(...'0123456789abcdef'), maxLength: 16 });
const address = fc.oneof(
  fc.integer({ min: 0x4000ff0, max: 0x4003010 }).map((each) => each.toString(16).padStart(8, '0')),
  hexDigits.map((each) => each.padStart(8, '0')),
  fc.constantFrom('1ffeffefff', 'ffffffffffffffff', '00000000', 'FFFFFFFFFFFFF000'),
);
const line = fc.oneof(
  { weight: 9, arbitrary: fc.tuple(fc.constantFrom('I  ', ' I  ', ' L ', ' S ', ' M '), address) },
  { weight: 1, arbitrary: fc.constant(['==77== Counted 1 call', '']) },
);
const text = fc
  .array(fc.tuple(line, fc.integer({ min: 1, max: 64 })))
  .map((lines) =>
    lines
      .map(([[start, at], size]) => (at === '' ? `${start}\n` : `${start}${at},${size}\n`))
      .join(''),
  );

describe('lackey text: conversion', () => {
  test('agrees with the description, however the text is cut into chunks', () => {
    fc.assert(
      fc.property(text, fc.integer({ min: 1, max: 6 }), fc.array(fc.nat(2000)), (body, n, cuts) => {
        const whole = `${body} L 0000,1\n`;
        const trace = read(whole, n, cuts);
        const expected = reference(whole, n);
        expect(spell(trace)).toEqual(expected.lines);
        const { instructions, loads, stores, modifies, references } = trace.header;
        expect([instructions, loads, stores, modifies]).toEqual(expected.counts);
        expect(references).toBe(expected.counts.reduce((a, b) => a + b));
        expect(decodeTrace(encodeTrace(trace))).toEqual(trace);
      }),
    );
  });

  test('a real beginning gives the header, the pages and the runs', () => {
    const trace = read(
      [
        '==9== Lackey, an example Valgrind tool',
        '==9== Command: /usr/bin/sort -o out words',
        '==9== ',
        'I  0401ab70,3',
        'I  0401ab73,5',
        ' S 1fff000778,8',
        'I  0401b770,1',
        ' M 1fff000770,8',
        ' L 1fff000770,8',
        'I  0401b771,7',
        '==9== ',
        '==9== Counted 0 calls to main()',
        '',
      ].join('\n'),
    );
    expect(spell(trace)).toEqual(['I 401a 1', 'W 1fff000 1', 'I 401b 1', 'R 1fff000 0']);
    expect(trace.header).toEqual({
      ...{ program: 'sort', command: '/usr/bin/sort -o out words', references: 7, instructions: 4 },
      ...{ loads: 1, stores: 1, modifies: 1, pages: 3, writtenPages: 1, lines: 4 },
    });
  });

  test('an access across a page boundary touches both pages, the low one first', () => {
    expect(spell(read('I  04000fff,2\n L 00001ffc,8\n S 00001ff8,8\n'))).toEqual([
      ...['I 4000 1', 'I 4001 0', 'R 1 0', 'R 2 0', 'W 1 0'],
    ]);
  });

  test('carriage returns and a missing last newline are accepted', () => {
    expect(spell(read('==1== x\r\nI  04000000,2\r\n L 00001000,8'))).toEqual(['I 4000 1', 'R 1 0']);
  });
});

describe('lackey text: bad input', () => {
  const failure = (words: string, cuts: readonly number[] = []): string => {
    try {
      read(words, 16, cuts);
    } catch (error) {
      expect(error).toBeInstanceOf(TraceError);
      return (error as TraceError).message;
    }
    return 'read';
  };

  test.each([
    ['hello', "line 1: not valgrind lackey text: 'hello'"],
    ['I  04000000,2\n\n X 00,1\n', "line 3: not valgrind lackey text: ' X 00,1'"],
    ['I  04000000\n', "line 1: not valgrind lackey text: 'I  04000000'"],
    ['I  ,4\n', "line 1: not valgrind lackey text: 'I  ,4'"],
    ['I  12345678123456789,4\n', "line 1: not valgrind lackey text: 'I  12345678123456789,4'"],
    ['I  04000000,0\n', "line 1: not valgrind lackey text: 'I  04000000,0'"],
    ['I  04000000,2000\n', "line 1: not valgrind lackey text: 'I  04000000,2000'"],
    ['I  04000000,4 \n', "line 1: not valgrind lackey text: 'I  04000000,4 '"],
    ['I04000000,4\n', "line 1: not valgrind lackey text: 'I04000000,4'"],
    ['\x7fELF\x02', "line 1: not valgrind lackey text: '\\x7fELF\\x02'"],
    [`I  1,1\n${'y'.repeat(90)}\n`, `line 2: not valgrind lackey text: '${'y'.repeat(40)}…'`],
    ['==1== a\n==2== b\n', 'line 2: process 2 writes into the trace of process 1; record each in '],
    ['==1== a\n', '1 lines without a memory reference: was lackey run with --trace-mem=yes?'],
    ['', '0 lines without a memory reference: was lackey run with --trace-mem=yes?'],
  ])('text %# gives its sentence', (words, sentence) => {
    expect(failure(words).startsWith(sentence), failure(words)).toBe(true);
    expect(failure(words, [1, 2, 9])).toBe(failure(words));
  });

  test('a text without line ends is refused before it is all read', () => {
    const reader = new LackeyReader({ program: 'p' });
    const zeros = new Uint8Array(1 << 20);
    expect(() => reader.push(zeros)).toThrow(/^line 1: not valgrind lackey text: '\\x00/);
  });

  test('a filter that is no filter is refused', () => {
    expect(() => new LackeyReader({ program: 'p', filter: 0 })).toThrow(TraceError);
    expect(() => new LackeyReader({ program: 'p', filter: 70_000 })).toThrow(TraceError);
  });
});
