import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { encodeTrace } from '../workload/trace/format.ts';
import { TraceBuilder } from '../workload/trace/page-trace.ts';
import { UsageError } from './errors.ts';
import { loadTrace, saveTrace } from './trace-file.ts';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'kpop-trace-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const builder = new TraceBuilder(12, 16);
for (let at = 0; at < 500; at++) builder.append(at % 3, (at * at) % 97, at);
const unknown = { references: null, loads: null, stores: null, modifies: null };
const trace = builder.finish({ program: 'p', command: null, ...unknown });

function failure(content: Uint8Array | string): string {
  const path = join(folder, 'bad');
  writeFileSync(path, content);
  try {
    loadTrace(path);
  } catch (error) {
    expect(error).toBeInstanceOf(UsageError);
    return (error as Error).message.replace(path, 'bad');
  }
  return 'loaded';
}

describe('trace file on disk', () => {
  test('what is saved is what is loaded, gzipped or not', () => {
    const path = join(folder, 'a.kpt.gz');
    const bytes = saveTrace(path, trace);
    expect(loadTrace(path)).toEqual(trace);
    writeFileSync(join(folder, 'a.kpt'), encodeTrace(trace));
    expect(loadTrace(join(folder, 'a.kpt'))).toEqual(trace);
    expect(bytes).toBeLessThan(encodeTrace(trace).length);
  });

  test('bad files get one sentence', () => {
    const path = join(folder, 'whole.kpt.gz');
    saveTrace(path, trace);
    const plain = encodeTrace(trace);
    expect(failure('')).toMatch(/^bad: byte 0: not a kpop trace/);
    expect(failure('hello')).toMatch(/^bad: byte 0: not a kpop trace/);
    expect(failure('I  04000000,4\n')).toMatch(/^bad: text that must be converted first: kpop imp/);
    expect(failure(plain.subarray(0, 300))).toMatch(/^bad: byte 12: the trace header announces/);
    expect(failure(plain.subarray(0, -9))).toMatch(/^bad: byte \d+: line \d+ of 500 /);
    expect(failure(Uint8Array.of(0x1f, 0x8b, 8))).toBe(
      'bad: the gzip data ends too early (truncated?)',
    );
    expect(failure(Uint8Array.of(0x1f, 0x8b, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9))).toBe(
      'bad: the gzip data is damaged',
    );
    expect(() => loadTrace(join(folder, 'absent'))).toThrow(
      `${join(folder, 'absent')}: cannot be read: no such file or folder`,
    );
    expect(() => loadTrace(folder)).toThrow(`${folder}: cannot be read: it is a folder`);
  });

  test('the file is a gzip of the format and nothing else', () => {
    const path = join(folder, 'b.kpt.gz');
    saveTrace(path, trace);
    expect(Uint8Array.from(gunzipSync(readFileSync(path)))).toEqual(encodeTrace(trace));
  });
});

describe('bundled traces', () => {
  test.each([
    ['sort', 16, 1_040_994, 13_200_528, 314, 108],
    ['gzip', 16, 519_035, 15_427_541, 242, 98],
    ['redis', 32, 8_594_687, 237_369_191, 21_275, 20_001],
  ])('%s holds what its page says', (name, filter, lines, instructions, pages, writtenPages) => {
    const bundled = loadTrace(
      fileURLToPath(new URL(`../../data/traces/${name}.kpt.gz`, import.meta.url)),
    );
    expect(bundled.filter).toBe(filter);
    expect(bundled.header).toMatchObject({ lines, instructions, pages, writtenPages });
    expect(bundled.kinds.length).toBe(lines);
    expect(bundled.pageOf.length).toBe(pages);
  });
});
