/** `kpop walk` against emulators, and what it says about bad input. */

import { existsSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync, gzipSync } from 'node:zlib';
import { Command } from 'commander';
import fc from 'fast-check';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { ept } from '../machine/format/ept.ts';
import { MANUAL_4, type Word64 } from '../machine/format/format.ts';
import { x86_64 } from '../machine/format/x86-64.ts';
import {
  addWalkOptions,
  runWalk,
  type WalkDocument,
  type WalkOptions,
  walkDocument,
} from './walk.ts';
import { word64 } from './walk-dump.ts';

const FIXTURES = fileURLToPath(new URL('../../test/fixtures/walks/', import.meta.url));
const SAMPLES = fileURLToPath(new URL('../../../shared/walk-samples/', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'kpop-walk-'));
const ALL = { read: true, write: true, execute: true, user: true };

interface Measured {
  readonly result: string;
  readonly pa?: string;
  /** RISC-V's is a number. */
  readonly cause?: string | number;
  readonly level?: number;
  readonly fst?: number;
  readonly esr?: string;
  readonly hpfar?: string;
  readonly mtval?: string;
  readonly mtval2?: string;
  readonly errorCode?: number;
  readonly exitQualification?: string;
  readonly exitInfo1?: string;
  readonly changes?: readonly (readonly [string, string])[];
}

function gzipped(file: string): { format: string; probes: Measured[] } {
  return JSON.parse(gunzipSync(readFileSync(file)).toString());
}

/** EXITINFO1 as the manual has it: QEMU 7.2 forgets the present bit beside the reserved one. */
function manual(exitInfo1: string | undefined): string | undefined {
  if (exitInfo1 === undefined) return undefined;
  const code = Number(exitInfo1);
  return `0x${(code % 16 >= 8 && code % 2 === 0 ? code + 1 : code).toString(16)}`;
}

/** What Arm and RISC-V report of a fault; fetches alone tell their syndrome there. */
function compareOthers(measured: readonly Measured[], document: WalkDocument): void {
  document.probes.forEach((probe, i) => {
    const told = measured[i]!;
    const { result, pa, changes, mtval, mtval2, fst } = probe;
    const { esr, hpfar, level, cause } = told;
    expect({ result, pa, fst, mtval, mtval2, changes }).toEqual({
      result: told.result,
      pa: told.pa,
      fst: told.fst,
      mtval: told.mtval,
      mtval2: told.mtval2,
      changes: told.changes ?? [],
    });
    if (esr !== undefined) expect([probe.esr, probe.hpfar]).toEqual([esr, hpfar]);
    if (typeof cause === 'number') expect(probe.exceptionCode).toBe(cause);
    else expect(probe.cause?.kind).toBe(cause);
    if (fst !== undefined) expect(probe.architecturalLevel).toBe(level);
  });
}

async function compareAll(file: string): Promise<number> {
  const { probes, format } = gzipped(file);
  if (/^(arm|riscv)/.test(format)) {
    compareOthers(probes, await walkDocument({ memory: file }));
    return probes.length;
  }
  const document = await walkDocument({ memory: file });
  const got = document.probes.map((probe) => ({
    result: probe.result,
    pa: probe.pa,
    cause: probe.cause?.kind,
    errorCode: probe.cause?.kind === 'general-protection' ? undefined : probe.errorCode,
    exitQualification: probe.exitQualification,
    exitInfo1: probe.exitInfo1,
    changes: probe.changes,
  }));
  const measured = probes.map((probe) => ({
    result: probe.result,
    pa: probe.pa,
    cause: probe.cause,
    errorCode: probe.errorCode,
    exitQualification: probe.exitQualification,
    exitInfo1: manual(probe.exitInfo1),
    changes: probe.changes ?? [],
  }));
  expect(got).toEqual(measured);
  return probes.length;
}

describe('walk: every probe agrees with the emulator', () => {
  for (const name of readdirSync(FIXTURES).filter((each) => each.endsWith('.gz'))) {
    test(name, async () => {
      expect(await compareAll(join(FIXTURES, name))).toBeGreaterThanOrEqual(40);
    });
  }
  const samples = existsSync(SAMPLES) ? readdirSync(SAMPLES) : [];
  const known = samples.filter((each) => /^(x86-64|npt|ept|arm-stage2|riscv)-.*\.gz$/.test(each));
  for (const name of known) {
    test(`shared: ${name}`, async () => {
      expect(await compareAll(join(SAMPLES, name))).toBeGreaterThan(0);
    });
  }
});

let files = 0;
function dumpFile(document: unknown, zip = false): string {
  const file = join(folder, `dump-${files++}.json`);
  const text = typeof document === 'string' ? document : JSON.stringify(document);
  writeFileSync(file, zip ? gzipSync(text) : text);
  return file;
}

const text = (word: Word64): string => word64(word.lo, word.hi).toString(16);

/** 4 levels in frames 1 to 4; address 0 lies in frame 9. */
function smallDump(id: 'ept' | 'x86-64' = 'ept') {
  const format = (id === 'ept' ? ept : x86_64)(MANUAL_4);
  const memory = [1, 2, 3].map((frame) => ({
    pa: `0x${frame}000`,
    words: [text(format.table(frame + 1)), '0'],
  }));
  memory.push({ pa: '0x4000', words: [text(format.leaf({ pfn: 9, level: 0, rights: ALL }))] });
  return { format: id, root: '0x1000', levels: 4, parameters: {}, memory };
}

async function outputOf(options: WalkOptions) {
  let out = '';
  let err = '';
  vi.spyOn(process.stdout, 'write').mockImplementation((chunk) => {
    out += String(chunk);
    return true;
  });
  vi.spyOn(process.stderr, 'write').mockImplementation((chunk) => {
    err += String(chunk);
    return true;
  });
  const status = await runWalk(options);
  vi.restoreAllMocks();
  return { status, out, err };
}

afterEach(() => {
  vi.restoreAllMocks();
});

describe('walk: output', () => {
  test('text: one line of result, then each step and what is written', async () => {
    const memory = dumpFile(smallDump(), true);
    const { status, out, err } = await outputOf({ memory, address: ['0x123,w'] });
    expect([status, err]).toEqual([0, '']);
    expect(out.split('\n')).toEqual([
      '0x123 w: 0x9123 (page of 4 KiB)',
      '  level 4 0x1000[0] = 0x2907 table rwx',
      '  level 3 0x2000[0] = 0x3907 table rwx',
      '  level 2 0x3000[0] = 0x4907 table rwx',
      '  level 1 0x4000[0] = 0x9877 leaf rwx',
      '  sets 0x4000 to 0x9b77',
      '',
    ]);
  });

  test('json: one document with schema, sizes, levels, steps and changes', async () => {
    const memory = dumpFile(smallDump());
    const { out } = await outputOf({ memory, address: ['0x8,r', '0x1000'], json: true });
    const document = JSON.parse(out);
    expect(document).toMatchObject({ schema: 'kpop.walk/1', format: 'ept', levels: 4 });
    expect(document.probes[0]).toMatchObject({
      address: '0x8',
      access: 'r',
      result: 'ok',
      pa: '0x9008',
      size: 4096,
      level: 0,
      architecturalLevel: 1,
      changes: [['0x4000', '0x9977']],
    });
    expect(document.probes[0].steps[3]).toEqual({
      level: 0,
      architecturalLevel: 1,
      table: '0x4000',
      index: 0,
      pa: '0x4000',
      entry: '0x9877',
      kind: 'leaf',
      rights: 'rwx',
    });
  });

  test('a hole is named, and the status is 2', async () => {
    const memory = dumpFile(smallDump());
    const { status, out, err } = await outputOf({ memory, address: ['0', '0x1000'], json: true });
    expect(status).toBe(2);
    expect(err).toBe(`kpop walk: ${memory}: address 0x1000: the dump has no word at 0x4008\n`);
    const [first, second] = JSON.parse(out).probes;
    expect(first.result).toBe('ok');
    expect(second).toMatchObject({ result: 'fault', cause: { kind: 'hole', pa: '0x4008' } });
    // A whole frame that is missing reads the same as a missing word of a frame.
    const far = { ...smallDump(), root: '0x7000' };
    const other = await outputOf({ memory: dumpFile(far), address: ['0'] });
    expect(other.status).toBe(2);
    expect(other.err).toContain('no word at 0x7000');
  });

  test('raw: little-endian words from --base on, options instead of a description', async () => {
    const words = new BigUint64Array(4 * 512);
    [0x2907n, 0x3907n, 0x4907n, 0x9877n].forEach((word, i) => {
      words[i * 512] = word;
    });
    const memory = join(folder, 'raw');
    writeFileSync(memory, Buffer.from(words.buffer));
    const options = { memory, base: '0x1000', format: 'ept', root: '0x1000', levels: '4' };
    const document = await walkDocument({ ...options, accessDirty: 'off', address: ['0x10,x'] });
    expect(document.probes[0]).toMatchObject({ result: 'ok', pa: '0x9010', changes: [] });
  });

  test('options win over the dump', async () => {
    const memory = dumpFile({ ...smallDump(), parameters: { accessedDirty: 1, maxPhyAddr: 40 } });
    const on = await walkDocument({ memory, address: ['0'] });
    const off = await walkDocument({ memory, address: ['0'], accessDirty: false });
    expect([on.probes[0].changes.length, off.probes[0].changes.length]).toEqual([1, 0]);
    const lower = await walkDocument({ memory, address: ['0'], root: '0x3000', startLevel: '1' });
    expect(lower.probes[0].steps.length).toBe(2);
  });

  test('not canonical is #GP; five levels reach further', async () => {
    const memory = dumpFile({ ...smallDump('x86-64') });
    const [low, high] = (
      await walkDocument({ memory, address: ['0x800000000000,r,user', '0xffff800000000000'] })
    ).probes;
    expect(low.cause).toEqual({ kind: 'general-protection', code: '0x0', errorCode: 0 });
    expect(low.steps).toEqual([]);
    expect(high.cause?.kind).toBe('hole');
  });
});

describe('walk: two dimensions', () => {
  /** The guest's tables in guest frames 1 to 4, which lie in host frames 0x101 to 0x104. */
  function nestedDump(rights = ALL) {
    const guest = smallDump('x86-64').memory.map(({ pa, words }) => ({
      pa: `0x10${pa.slice(2)}`,
      words,
    }));
    const format = ept(MANUAL_4);
    const leaves = Array.from({ length: 10 }, (_, gfn) =>
      text(format.leaf({ pfn: 0x100 + gfn, level: 0, rights: gfn === 9 ? rights : ALL })),
    );
    const second = [1, 2, 3].map((frame) => ({
      pa: `0x${frame}000`,
      words: [text(format.table(frame + 1))],
    }));
    second.push({ pa: '0x4000', words: leaves });
    return { format: 'ept', root: '0x1000', levels: 4, memory: [...second, ...guest] };
  }

  test('24 steps, both sets of flags', async () => {
    const memory = dumpFile(nestedDump());
    const { probes } = await walkDocument({ memory, guestRoot: '0x1000', address: ['0x44,w'] });
    expect(probes[0]).toMatchObject({ result: 'ok', pa: '0x109044', gpa: '0x9044', size: 4096 });
    expect(probes[0].steps.length).toBe(24);
    expect(probes[0].changes.map(([pa]) => pa)).toEqual([
      '0x4008',
      '0x4010',
      '0x4018',
      '0x4020',
      '0x4048',
      '0x104000',
    ]);
  });

  test('a violation names the guest-physical address', async () => {
    const memory = dumpFile(nestedDump({ ...ALL, write: false }));
    const { probes } = await walkDocument({ memory, guestRoot: '0x1000', address: ['0x44,w'] });
    expect(probes[0]).toMatchObject({
      result: 'fault',
      stage: 'second',
      gpa: '0x9044',
      cause: { kind: 'ept-violation', exitQualification: '0x1aa' },
    });
  });
});

describe('walk: options', () => {
  const parse = (line: string): WalkOptions =>
    addWalkOptions(new Command('walk'))
      .exitOverride()
      .parse(line.split(' '), { from: 'user' })
      .opts();

  test('what is not said is left to the dump', () => {
    expect(parse('--memory d')).toEqual({ memory: 'd' });
  });

  test('switches with and without a value, repeated addresses', () => {
    const line = '--memory d --nxe --no-wp --access-dirty off --execute-only 0 --address 1,w';
    expect(parse(`${line} --address 2 --max-phys-bits 40 --json`)).toEqual({
      memory: 'd',
      nxe: true,
      wp: false,
      accessDirty: 'off',
      executeOnly: '0',
      address: ['1,w', '2'],
      maxPhysBits: '40',
      json: true,
    });
  });
});

describe('walk: bad input is one sentence', () => {
  const good = smallDump();
  const cases: readonly [name: string, options: Partial<WalkOptions>, dump: unknown, RegExp][] = [
    ['not JSON', {}, 'not json', /not JSON.*--base/],
    ['no memory', {}, { format: 'ept' }, /no array "memory"/],
    ['an array', {}, [], /not an object/],
    [
      'bad word',
      {},
      { ...good, memory: [{ pa: '0', words: ['0xzz'] }] },
      /memory\[0\]\.words\[0\]/,
    ],
    [
      'wide word',
      {},
      { ...good, memory: [{ pa: '0', words: [`0x1${'0'.repeat(16)}`] }] },
      /64-bit/,
    ],
    ['number word', {}, { ...good, memory: [{ pa: '0', words: [null] }] }, /not a hexadecimal/],
    ['unaligned', {}, { ...good, memory: [{ pa: '0x1004', words: ['0'] }] }, /multiple of 8/],
    [
      'overlap',
      {},
      {
        ...good,
        memory: [
          { pa: '0x1000', words: ['0', '0'] },
          { pa: '0x1008', words: ['0'] },
        ],
      },
      /memory\[1\]: .*overlaps/,
    ],
    ['far', {}, { ...good, memory: [{ pa: '0xffffffffffff8', words: ['0', '0'] }] }, /52 bits/],
    ['unknown format', {}, { ...good, format: 'sparc' }, /unknown format "sparc"/],
    ['prototype format', { format: 'constructor' }, good, /unknown format/],
    ['arm', { format: 'arm-stage2-64k' }, good, /--format: .*cannot be walked yet/],
    ['riscv in a dump', {}, { ...good, format: 'riscv-sv57x4' }, /cannot be walked yet/],
    ['levels', { levels: '7' }, good, /4 or 5 levels/],
    ['levels text', { levels: 'x' }, good, /whole number/],
    ['two levels', {}, { ...good, parameters: { la57: true } }, /levels are 4 and 5/],
    ['flag', { nxe: 'maybe' }, good, /--nxe: "maybe"/],
    ['width', { maxPhysBits: '64' }, good, /--max-phys-bits.*32 to 52/],
    ['parameter', {}, { ...good, parameters: { maxPhyAddr: 'x' } }, /parameters\.maxPhyAddr/],
    ['feature', {}, { ...good, parameters: { MBEC: 1 } }, /MBEC.*not modelled/],
    ['root', { root: '0x1234' }, good, /--root: .*multiple of 4096/],
    ['address', { address: ['zz'] }, good, /--address zz/],
    ['access', { address: ['0,q'] }, good, /"q" is none of/],
    ['no address', { address: [] }, good, /no address/],
    ['no root', {}, { ...good, root: undefined }, /no root/],
    ['guest under x86-64', { guestRoot: '0x1000', format: 'x86-64' }, good, /second stage/],
    ['probes', { probes: '/nowhere' }, good, /nowhere: cannot be read/],
    ['probe', { address: [] }, { ...good, probes: [{ address: '0', access: 7 }] }, /probes\[0\]/],
  ];
  for (const [name, options, dump, message] of cases) {
    test(name, async () => {
      const memory = dumpFile(dump);
      const walk = walkDocument({ memory, address: ['0'], ...options });
      await expect(walk).rejects.toMatchObject({ name: 'UsageError' });
      await expect(walkDocument({ memory, address: ['0'], ...options })).rejects.toThrow(message);
    });
  }

  test('whatever stands in a dump: an answer or one sentence, never another error', async () => {
    const junk = fc.oneof(
      fc.jsonValue({ maxDepth: 2 }),
      fc.constantFrom('0x1000', '-1', 1e300, ''),
    );
    const names = ['format', 'root', 'levels', 'startLevel', 'parameters', 'probes', 'guestRoot'];
    const changed = fc.dictionary(fc.constantFrom(...names), junk, { maxKeys: 2 });
    const parameters = fc.dictionary(fc.constantFrom('NXE', 'maxPhyAddr', 'la57', 'x'), junk);
    const range = fc.oneof(junk, fc.record({ pa: junk, words: fc.oneof(junk, fc.array(junk)) }));
    await fc.assert(
      fc.asyncProperty(changed, parameters, fc.array(range), fc.boolean(), async (a, b, c, mix) => {
        const memory = mix ? [...good.memory, ...c] : good.memory;
        const file = dumpFile({ ...good, parameters: b, memory, probes: [{ address: '0' }], ...a });
        try {
          expect((await walkDocument({ memory: file })).schema).toBe('kpop.walk/1');
        } catch (error) {
          expect(error).toMatchObject({ name: 'UsageError' });
          expect((error as Error).message).not.toContain('\n');
        }
      }),
      { seed: 5, numRuns: 500, endOnFailure: true },
    );
  });

  test('raw dumps of an odd size', async () => {
    const memory = join(folder, 'odd');
    writeFileSync(memory, Buffer.alloc(12));
    await expect(walkDocument({ memory, base: '0' })).rejects.toThrow(/12 bytes/);
    await expect(walkDocument({ memory, base: '4' })).rejects.toThrow(/12 bytes/);
  });
});
