import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { UsageError } from './errors.ts';
import { type ImportOptions, runImport } from './import.ts';
import { readInput } from './input.ts';
import { loadTrace } from './trace-file.ts';

const lackey = '==1== Command: true -x\nI  04000000,4\n S 1fff000778,8\nI  04000004,4\n';
const runs = '# kind page_hex instrs ; 16-page LRU filter\nI 4000 1\nW 1fff000 1\n';
const touches = '# instr_index kind page_hex\n1 I 4000\n2 R 7\n9 w 7\n';

let folder = '';
let count = 0;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'kpop-import-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** A fresh folder with one file in it; returns the file's path. */
function fileWith(name: string, content: string | Uint8Array): string {
  const fresh = join(folder, `${count++}`);
  mkdirSync(fresh);
  writeFileSync(join(fresh, name), content);
  return join(fresh, name);
}

let printed = '';
beforeEach(() => {
  printed = '';
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    printed += text;
    return true;
  });
  return () => {
    vi.restoreAllMocks();
  };
});

async function failure(file: string, options: ImportOptions = {}): Promise<string> {
  try {
    await runImport(file, { out: `${file}.out`, ...options });
  } catch (error) {
    expect(error).toBeInstanceOf(UsageError);
    expect((error as Error).message).not.toContain('\n');
    return (error as Error).message;
  }
  return 'imported';
}

describe('import: formats', () => {
  test.each([
    ['a.lackey', lackey, ['I 4000 1', 'W 1fff000 0']],
    ['a.pg', runs, ['I 4000 1', 'W 1fff000 1']],
    ['a.ft', touches, ['I 4000 1', 'R 7 1', 'W 7 7']],
  ])('%s is recognised by its content, plain and gzipped', async (_, text, lines) => {
    for (const content of [text, gzipSync(text)]) {
      const file = fileWith('anything', content);
      expect(await runImport(file, { out: `${file}.kpt.gz` })).toBe(0);
      const trace = loadTrace(`${file}.kpt.gz`);
      const spelled = [...trace.kinds].map((kind, at) => {
        const page = trace.pageOf[trace.pages[at]].toString(16);
        return `${'IRW'[kind]} ${page} ${trace.instructions[at]}`;
      });
      expect(spelled).toEqual(lines);
      expect(trace.header.program).toBe(text === lackey ? 'true' : 'anything');
    }
  });

  test('a kpop trace is checked and written again, byte for byte', async () => {
    const file = fileWith('a.pg', runs);
    await runImport(file, { out: `${file}.1` });
    await runImport(`${file}.1`, { out: `${file}.2` });
    expect(readFileSync(`${file}.2`)).toEqual(readFileSync(`${file}.1`));
  });

  test('json is one document with the header', async () => {
    const file = fileWith('true.lackey', lackey);
    await runImport(file, { out: `${file}.out`, json: true });
    const document = JSON.parse(printed);
    expect(document).toMatchObject({ schema: 'kpop.import/1', out: `${file}.out`, pageBits: 12 });
    expect(document.header).toEqual({
      ...{ program: 'true', command: 'true -x', references: 3, instructions: 2, loads: 0 },
      ...{ stores: 1, modifies: 0, pages: 2, writtenPages: 1, lines: 2 },
    });
    expect(document.bytes).toBe(readFileSync(`${file}.out`).length);
  });

  test('the text says what was kept', async () => {
    const file = fileWith('true.lackey', lackey);
    await runImport(file, { out: `${file}.out`, filter: 4 });
    expect(printed.replace(file, 'f')).toMatch(
      /^f\.out: 2 lines behind a 4-page filter of 3 references, 2 instructions, 2 pages/,
    );
  });

  test('text larger than a chunk keeps its line numbers', async () => {
    const file = fileWith('long', `${' L 1ffeffe7e0,8\n'.repeat(200_000)}oops\n`);
    expect(await failure(file)).toBe(`${file}: line 200001: not valgrind lackey text: 'oops'`);
  });
});

describe('import: bad input', () => {
  test('each gets one sentence, and nothing is written', async () => {
    const zipped = gzipSync(lackey.repeat(300));
    const damaged = Uint8Array.from(zipped);
    damaged[zipped.length - 6] ^= 1;
    const cases: [string | Uint8Array, RegExp][] = [
      ['', /: neither valgrind lackey text, .*: it is empty$/],
      ['hello', /: neither valgrind lackey text, .*: it begins with 'hello'$/],
      [
        `${lackey}Segmentation fault\n`,
        /: line 5: not valgrind lackey text: 'Segmentation fault'$/,
      ],
      ['==1== Memcheck, a memory error detector\n', /: 1 lines without a memory reference/],
      [zipped.subarray(0, 60), /: cannot be read: the gzip data ends too early \(truncated\?\)$/],
      [damaged, /: cannot be read: the gzip data is damaged$/],
      [`${runs}R 1\n`, /: line 4: not "I\|R\|W page instructions": 'R 1'$/],
      ['KPT\x1a\x01', /: the trace ends at byte 5, within its fixed header$/],
    ];
    for (const [content, sentence] of cases) {
      const file = fileWith('bad', content);
      expect(await failure(file)).toMatch(sentence);
      expect(readdirSync(join(file, '..'))).toEqual(['bad']);
    }
  });

  test('paths that cannot be read or written are named', async () => {
    const file = fileWith('good', lackey);
    const inside = join(folder, 'absent', 'x');
    expect(await failure(inside)).toBe(`${inside}: cannot be read: no such file or folder`);
    expect(await failure(folder)).toBe(`${folder}: cannot be read: it is a folder`);
    expect(await failure(file, { out: inside })).toBe(
      `${inside}: cannot be written: no such file or folder`,
    );
    expect(await failure('-', { out: undefined })).toBe('import -: name the trace file with --out');
    expect(await failure(file, { filter: 0 })).toBe(`${file}: a filter of 0 pages, not 1 to 65535`);
  });

  test('an output that cannot be replaced leaves no part behind', async () => {
    const file = fileWith('good', lackey);
    const taken = join(file, '..', 'taken');
    mkdirSync(join(taken, 'full'), { recursive: true });
    expect(await failure(file, { out: taken })).toMatch(/taken: cannot be written: /);
    expect(readdirSync(join(file, '..')).sort()).toEqual(['good', 'taken']);
  });

  test('input stops without an error when it is aborted', async () => {
    const file = fileWith('long', ' L 1ffeffe7e0,8\n'.repeat(500_000));
    const stop = new AbortController();
    let bytes = 0;
    for await (const chunk of readInput(file, stop.signal)) {
      bytes += chunk.length;
      stop.abort();
    }
    expect(bytes).toBe(1 << 20);
  });
});
