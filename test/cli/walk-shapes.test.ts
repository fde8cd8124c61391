/**
 * `kpop walk` on dumps of every shape that Arm and RISC-V know, against a second reading of the
 * manuals: start levels, address sizes, concatenated roots, hardware flags; and what it refuses.
 */
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { walkDocument } from '../../src/cli/walk.ts';
import type { WalkOptions } from '../../src/cli/walk-settings.ts';
import { type ArmMachine, walkArm } from '../oracle/manual-arm.ts';
import { walkRiscv } from '../oracle/manual-riscv.ts';
import { armEntry, Dice, riscvEntry, type Style } from '../oracle/random-tables.ts';

const folder = mkdtempSync(join(tmpdir(), 'kpop-shapes-'));
const ROOT = 0x40000;
/** Sixteen frames for a root, and more for the tables below. */
const FRAMES = Array.from({ length: 32 }, (_, i) => ROOT + i);
const KINDS = { r: 'read', w: 'write', x: 'fetch' } as const;

interface Tables {
  readonly words: Map<bigint, bigint>;
  readonly memory: readonly { pa: string; words: string[] }[];
}

function tablesOf(dice: Dice, levels: number, style: Style): Tables {
  const words = new Map<bigint, bigint>();
  const memory = FRAMES.map((frame) => {
    const level = frame < ROOT + 16 ? levels - 1 : dice.below(levels);
    const list = Array.from({ length: 512 }, (_, i) => {
      const word = style(dice, FRAMES.slice(16), level, 9);
      words.set(BigInt(frame) * 4096n + BigInt(i * 8), word);
      return word.toString(16);
    });
    return { pa: (frame * 4096).toString(16), words: list };
  });
  return { words, memory };
}

let files = 0;
function dumpFile(document: object): string {
  const file = join(folder, `dump-${files++}.json`);
  writeFileSync(file, JSON.stringify(document));
  return file;
}

function probesOf(dice: Dice, bits: number) {
  return Array.from({ length: 150 }, () => {
    const word = (BigInt(dice.below(2 ** 30)) << 30n) | BigInt(dice.below(2 ** 30));
    const wide = dice.once(25) ? bits + 2 : bits;
    const address = word & ((1n << BigInt(wide)) - 1n);
    return { address: `0x${address.toString(16)}`, access: dice.pick(['r', 'w', 'x'] as const) };
  });
}

/** Words that the dump lacks end a walk as holes, which no manual knows. */
function reader(words: ReadonlyMap<bigint, bigint>): (pa: bigint) => bigint {
  return (pa) => words.get(pa) ?? hole(pa);
}
function hole(pa: bigint): never {
  throw new RangeError(`hole at ${pa}`);
}

function orHole<T>(walk: () => T): T | undefined {
  try {
    return walk();
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

const hexes = (writes: ReadonlyMap<bigint, bigint>): string[][] =>
  [...writes].map(([pa, word]) => [`0x${pa.toString(16)}`, `0x${word.toString(16)}`]);

describe('arm-stage2', () => {
  test.each([
    { ipaBits: 48, startLevel: 0, el: 'EL1' },
    { ipaBits: 44, startLevel: 0, el: 'EL0', HA: 1 },
    { ipaBits: 39, startLevel: 1, el: 'EL1', HA: 1, HD: 1 },
    { ipaBits: 40, startLevel: 1, el: 'EL1', XNX: 0 },
    { ipaBits: 43, startLevel: 1, el: 'EL0' },
    { ipaBits: 32, startLevel: 1, el: 'EL1' },
    { ipaBits: 34, startLevel: 2, el: 'EL1', HA: 1 },
    { ipaBits: 30, startLevel: 2, el: 'EL0' },
  ])('%o', async (asked) => {
    const { ipaBits, startLevel, el, HA = 0, HD = 0, XNX = 1 } = asked;
    const dice = new Dice(ipaBits * 8 + startLevel);
    const { words, memory } = tablesOf(dice, 4 - startLevel, armEntry);
    const root = `0x${(ROOT * 4096).toString(16)}`;
    const parameters = { ipaBits, startLevel, paBits: 40, HA, HD, XNX, el, FWB: 0, DS: 0 };
    const probes = probesOf(dice, ipaBits);
    const file = dumpFile({ format: 'arm-stage2-4k', root, parameters, memory, probes });
    const document = await walkDocument({ memory: file });
    const machine: ArmMachine = {
      read: reader(words),
      root: BigInt(ROOT * 4096),
      startLevel,
      bits: 9,
      firstBits: ipaBits - 12 - 9 * (3 - startLevel),
      oas: 40,
      ha: HA === 1,
      hd: HD === 1,
      xnx: XNX === 1,
    };
    let ok = 0;
    for (const [i, probe] of document.probes.entries()) {
      const { address, access } = probes[i]!;
      const walk = () => walkArm(machine, BigInt(address), KINDS[access], el === 'EL0');
      const expected = orHole(walk);
      if (expected === undefined) {
        expect(probe.cause?.kind).toBe('hole');
        continue;
      }
      const { result, pa, fst, architecturalLevel: level, changes } = probe;
      if (expected.kind === 'fault') {
        expect({ result, fst }).toEqual({ result: 'fault', fst: Number(expected.status) });
        expect(level).toBe(Number(expected.status) & 3);
        continue;
      }
      ok++;
      expect({ result, pa, level }).toEqual({
        result: 'ok',
        pa: `0x${expected.pa.toString(16)}`,
        level: expected.level,
      });
      expect(changes).toEqual(hexes(expected.writes));
    }
    expect(ok).toBeGreaterThan(5);
  });

  const good = { format: 'arm-stage2', root: '0x40000', memory: [{ pa: '0x40000', words: ['0'] }] };
  test.each([
    [
      'bits too few for the level',
      { ipaBits: 30, startLevel: 0 },
      {},
      /30 address bits cannot start at level 0/,
    ],
    ['bits too many', { ipaBits: 44, startLevel: 1 }, {}, /cannot start at level 1/],
    ['two start levels', { startLevel: 1 }, { startLevel: '2', levels: '3' }, /2 and 1 at once/],
    [
      'a register that contradicts',
      { vtcr_el2: '0x80023559', ipaBits: 40 },
      {},
      /40 and 39 at once/,
    ],
    ['another granule', { vtcr_el2: '0x80027559' }, {}, /granule/],
    [
      'a wrong number of roots',
      { ipaBits: 40, startLevel: 1, concatenatedRootPages: 1 },
      {},
      /need 2/,
    ],
    [
      'a root that is not aligned',
      { ipaBits: 40, startLevel: 1 },
      { root: '0x41000' },
      /multiple of 0x2000/,
    ],
    ['DS', { DS: 1 }, {}, /not modelled/],
    ['HD without HA', { HD: 1 }, {}, /HD without HA/],
    ['EL3', { el: 'EL3' }, {}, /neither EL0 nor EL1/],
    ['a guest', {}, { guestRoot: '0' }, /second stage/],
  ] as [string, object, Partial<WalkOptions>, RegExp][])(
    'refuses %s',
    async (_, parameters, options, message) => {
      const memory = dumpFile({ ...good, parameters });
      const walk = walkDocument({ memory, address: ['0'], ...options });
      await expect(walk).rejects.toThrow(message);
    },
  );

  test('options say it all: a bare dump, levels by address bits as KVM chooses them', async () => {
    const memory = dumpFile({
      memory: [
        { pa: '0x40000', words: ['0x43003'] },
        { pa: '0x43000', words: ['0x2000004fd'] },
      ],
    });
    const options = {
      memory,
      format: 'arm-stage2',
      root: '0x40000',
      ipaBits: '40',
      address: ['0x10'],
    };
    const [probe] = (await walkDocument(options)).probes;
    expect(probe).toMatchObject({
      result: 'ok',
      pa: '0x200000010',
      size: 2 ** 21,
      level: 1,
      architecturalLevel: 2,
    });
    const [far] = (await walkDocument({ ...options, root: '0x1000000000', maxPhysBits: '36' }))
      .probes;
    expect(far).toMatchObject({ result: 'fault', fst: 0, architecturalLevel: 0 });
  });
});

describe('riscv-g', () => {
  test.each([
    { format: 'riscv-sv39x4', levels: 3, hardwareAD: true },
    { format: 'riscv-sv48x4', levels: 4, hardwareAD: true },
    { format: 'riscv-sv48x4', levels: 4, hardwareAD: false },
  ])('%o', async ({ format, levels, hardwareAD }) => {
    const dice = new Dice(levels);
    const { words, memory } = tablesOf(dice, levels, riscvEntry);
    const bits = 12 + 9 * levels + 2;
    const mode = levels === 3 ? '8' : '9';
    const hgatp = `0x${mode}${ROOT.toString(16).padStart(15, '0')}`;
    const probes = probesOf(dice, bits);
    const parameters = { hgatp, gpaBits: bits, hardwareAD, paBits: 56 };
    const file = dumpFile({ format, parameters, memory, probes });
    const document = await walkDocument({ memory: file });
    const machine = { read: reader(words), root: BigInt(ROOT * 4096), levels, bits: 9, hardwareAD };
    let ok = 0;
    for (const [i, probe] of document.probes.entries()) {
      const { address, access } = probes[i]!;
      const expected = orHole(() => walkRiscv(machine, BigInt(address), KINDS[access]));
      if (expected === undefined) {
        expect(probe.cause?.kind).toBe('hole');
        continue;
      }
      const { result, pa, exceptionCode, level, changes } = probe;
      if (expected.kind === 'fault') {
        expect({ result, exceptionCode }).toEqual({
          result: 'fault',
          exceptionCode: Number(expected.cause),
        });
        continue;
      }
      ok++;
      expect({ result, pa, level }).toEqual({
        result: 'ok',
        pa: `0x${expected.pa.toString(16)}`,
        level: expected.level,
      });
      expect(changes).toEqual(hexes(expected.writes));
    }
    expect(ok).toBeGreaterThan(5);
  });

  test('an address of 56 bits keeps all of them', async () => {
    const leaf = ((0xfffffffffffn << 10n) | 0xdfn).toString(16);
    const memory = dumpFile({
      format: 'riscv-sv39x4',
      root: '0x40000',
      memory: [
        { pa: '0x40000', words: [((0x44n << 10n) | 1n).toString(16)] },
        { pa: '0x44000', words: [((0x45n << 10n) | 1n).toString(16)] },
        { pa: '0x45000', words: [leaf] },
      ],
    });
    const [probe] = (await walkDocument({ memory, address: ['0x123'] })).probes;
    expect(probe).toMatchObject({ result: 'ok', pa: '0xfffffffffff123' });
  });

  test.each([
    ['a mode', { hgatp: '0x1000000000000040' }, {}, /mode 1/],
    ['levels', { hgatp: '0x9000000000000040' }, { format: 'riscv-sv39x4' }, /4|at once/],
    ['a root that is not aligned', {}, { root: '0x41000' }, /multiple of 0x4000/],
    ['Svpbmt', { svpbmt: true }, {}, /not modelled/],
  ] as [string, object, Partial<WalkOptions>, RegExp][])(
    'refuses %s',
    async (_, parameters, options, message) => {
      const memory = dumpFile({ format: 'riscv-g', root: '0x40000', parameters, memory: [] });
      await expect(walkDocument({ memory, address: ['0'], ...options })).rejects.toThrow(message);
    },
  );
});
