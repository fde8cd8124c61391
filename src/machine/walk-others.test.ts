/** Arm stage 2 and the RISC-V G-stage against a second reading of their manuals, and codecs. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type ArmMachine, walkArm } from '../../test/oracle/manual-arm.ts';
import { type RiscvMachine, walkRiscv } from '../../test/oracle/manual-riscv.ts';
import { armEntry, Dice, riscvEntry, type Style } from '../../test/oracle/random-tables.ts';
import { armChangeNeeds, armFaultStatus, armStage2 } from './format/arm-stage2.ts';
import { type Geometry, pageBits, pagesAt, rootBitsOf } from './format/format.ts';
import { type Access, LEAF, OK, type Privilege, type WalkedFormat } from './format/judge.ts';
import { riscvG } from './format/riscv-g.ts';
import { Memory } from './memory.ts';
import { Walker } from './walk.ts';

const KINDS = ['read', 'write', 'fetch'] as const;
const ROOT = 16;
/** The first four may be one root. */
const FRAMES = [16, 17, 18, 19, 20, 21, 22, 24, 28, 32, 48, 64];
const ALL = { read: true, write: true, execute: true, user: true };

function put(memory: Memory, pa: number, word: bigint): void {
  memory.writeHalves(pa, Number(BigInt.asIntN(32, word)), Number(BigInt.asIntN(32, word >> 32n)));
}

function get(memory: Memory, pa: bigint): bigint {
  const at = memory.indexOf(Number(pa));
  return (BigInt(memory.words[at + 1]! >>> 0) << 32n) | BigInt(memory.words[at]! >>> 0);
}

function fill(dice: Dice, geometry: Geometry, style: Style): Memory {
  const memory = new Memory({ frames: FRAMES.length });
  const entries = Math.min(512, 2 ** Math.max(geometry.indexBits, rootBitsOf(geometry)));
  for (const frame of FRAMES) {
    const level = dice.below(geometry.levels);
    for (let i = 0; i < entries; i++) {
      put(memory, frame * 4096 + i * 8, style(dice, FRAMES, level, geometry.indexBits));
    }
  }
  return memory;
}

/** A walk that faults writes nothing. */
function isSame(memory: Memory, before: Int32Array): boolean {
  return Buffer.compare(Buffer.from(memory.words.buffer), Buffer.from(before.buffer)) === 0;
}

interface Expected {
  readonly pa: bigint;
  readonly level: number;
  readonly writes: ReadonlyMap<bigint, bigint>;
}

/** Walks once; what was written is exactly `writes`. */
function holds(memory: Memory, walker: Walker, offset: bigint, expected: Expected): void {
  expect((BigInt(walker.pfn) << 12n) | offset).toBe(expected.pa);
  expect(walker.level).toBe(expected.level);
  const { changes } = walker;
  const written = Array.from({ length: changes.count }, (_, i) => BigInt(changes.pa[i]!));
  expect(written).toEqual([...expected.writes.keys()]);
  for (const [pa, word] of expected.writes) expect(get(memory, pa)).toBe(word);
}

const ARM_GEOMETRIES: readonly Geometry[] = [
  { levels: 4, indexBits: 1 },
  { levels: 3, indexBits: 1, rootBits: 5 },
  { levels: 3, indexBits: 2, rootBits: 1 },
  { levels: 2, indexBits: 2, rootBits: 6 },
  { levels: 1, indexBits: 3 },
  { levels: 2, indexBits: 9, rootBits: 11 },
];

/** Walks of one case. */
const WALKS = 8;

/** How many of its walks succeeded. */
function armCase(seed: number): number {
  const dice = new Dice(seed);
  const geometry = dice.once(12) ? ARM_GEOMETRIES.at(-1)! : dice.pick(ARM_GEOMETRIES.slice(0, -1));
  const accessFlag = dice.once(2);
  const dirtyState = accessFlag && dice.once(2);
  const params = { paBits: dice.pick([32, 36, 40, 48]), accessFlag, dirtyState, xnx: dice.once(2) };
  const memory = fill(dice, geometry, armEntry);
  const machine: ArmMachine = {
    read: (pa) => get(memory, pa),
    root: BigInt(ROOT * 4096),
    startLevel: 4 - geometry.levels,
    bits: geometry.indexBits,
    firstBits: rootBitsOf(geometry),
    oas: params.paBits,
    ha: accessFlag,
    hd: dirtyState,
    xnx: params.xnx,
  };
  const walker = new Walker(memory, armStage2(geometry, params));
  let ok = 0;
  for (let i = 0; i < WALKS; i++) {
    const page = dice.below(2 ** pageBits(geometry) + (dice.once(20) ? 4 : 0));
    const offset = BigInt(dice.below(4096));
    const access = dice.below(3) as Access;
    const privilege = dice.below(2) as Privilege;
    const ipa = (BigInt(page) << 12n) | offset;
    const expected = walkArm(machine, ipa, KINDS[access], privilege === 1);
    const before = memory.words.slice();
    const outcome = walker.walk(ROOT, page, access, privilege);
    expect(walker.references).toBe(expected.reads);
    if (expected.kind === 'ok') {
      expect(outcome).toBe(OK);
      holds(memory, walker, offset, { ...expected, level: 3 - expected.level });
      ok++;
    } else {
      expect(outcome).not.toBe(OK);
      expect(isSame(memory, before)).toBe(true);
      const level = walker.failedPa < 0 ? 3 : walker.level;
      expect(BigInt(armFaultStatus({ outcome }, level))).toBe(expected.status);
    }
  }
  return ok;
}

function riscvCase(seed: number): number {
  const dice = new Dice(seed);
  const indexBits = dice.once(12) ? 9 : dice.pick([1, 2]);
  const levels = indexBits === 9 ? 2 : dice.pick([3, 4]);
  const geometry = { levels, indexBits, rootBits: indexBits + 2 };
  const hardwareAD = dice.once(2);
  const memory = fill(dice, geometry, riscvEntry);
  const root = BigInt(ROOT * 4096);
  const machine: RiscvMachine = {
    read: (pa) => get(memory, pa),
    root,
    levels,
    bits: indexBits,
    hardwareAD,
  };
  const walker = new Walker(memory, riscvG(geometry, { hardwareAD }));
  let ok = 0;
  for (let i = 0; i < WALKS; i++) {
    const page = dice.below(2 ** pageBits(geometry) + (dice.once(20) ? 4 : 0));
    const offset = BigInt(dice.below(4096));
    const access = dice.below(3) as Access;
    const expected = walkRiscv(machine, (BigInt(page) << 12n) | offset, KINDS[access]);
    const before = memory.words.slice();
    const outcome = walker.walk(ROOT, page, access, 1);
    expect(walker.references).toBe(expected.reads);
    if (expected.kind === 'ok') {
      expect(outcome).toBe(OK);
      holds(memory, walker, offset, expected);
      ok++;
    } else {
      expect(outcome).not.toBe(OK);
      expect(isSame(memory, before)).toBe(true);
      expect(BigInt(walker.code)).toBe(expected.cause);
    }
  }
  return ok;
}

describe('walker against the manuals', () => {
  test.each([
    ['arm-stage2: result, fault status, Access flag and dirty state agree', armCase],
    ['riscv-g: result, cause, A and D agree', riscvCase],
  ] as const)('%s', (_, once) => {
    const tally = { ok: 0, fault: 0 };
    fc.assert(
      fc.property(fc.nat({ max: 2 ** 30 }), (seed) => {
        const ok = once(seed);
        tally.ok += ok;
        tally.fault += WALKS - ok;
      }),
      { seed: 1, numRuns: 250 },
    );
    expect(Math.min(tally.ok, tally.fault)).toBeGreaterThan(250);
  });
});

const geometries: readonly Geometry[] = [
  { levels: 3, indexBits: 9, rootBits: 11 },
  { levels: 4, indexBits: 9 },
  { levels: 3, indexBits: 2 },
];
const flags = fc.record({
  write: fc.boolean(),
  execute: fc.boolean(),
  accessed: fc.boolean(),
  dirty: fc.boolean(),
  hostWritable: fc.boolean(),
  mmuWritable: fc.boolean(),
});

function formatsOf(geometry: Geometry): readonly WalkedFormat[] {
  const arm = { paBits: 48, accessFlag: true, dirtyState: true };
  return [armStage2(geometry, arm), riscvG(geometry)];
}

describe('codecs', () => {
  test('leaves are read back, and hardware takes them for what they are', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...geometries),
        fc.nat({ max: 2 ** 30 }),
        fc.nat({ max: 2 }),
        flags,
        (geometry, number, level, { write, execute, dirty: isDirty, ...bits }) => {
          for (const format of formatsOf(geometry)) {
            const pfn = (number * pagesAt(geometry, level)) % 2 ** 36;
            const rights = { read: true, write, execute, user: true };
            const dirty = write && isDirty; // Arm has no dirty entry that is read-only
            const entry = format.leaf({ pfn, level, rights, dirty, ...bits });
            expect(entry).toMatchObject({ kind: 'leaf', pfn, ...rights, dirty, ...bits });
            expect(format.decode(entry, level)).toEqual(entry);
            const verdict = format.judge.judge(entry.lo, entry.hi, level);
            expect(verdict & LEAF).toBe(LEAF);
            expect(format.judge.frame(entry.lo, entry.hi, level, true)).toBe(pfn);
          }
        },
      ),
      { seed: 1, numRuns: 500 },
    );
  });

  test('tables are read back; empty and frozen are no entries', () => {
    for (const format of formatsOf(geometries[0]!)) {
      for (const pfn of [1, 0xfffff, 0x100000, 2 ** 36 - 1]) {
        const entry = format.table(pfn);
        expect(entry).toMatchObject({ kind: 'table', pfn, read: true, write: true, execute: true });
        for (const level of [1, 2]) {
          expect(format.decode(entry, level)).toEqual(entry);
          expect(format.judge.tableFrame(entry.lo, entry.hi)).toBe(pfn);
          expect(format.judge.judge(entry.lo, entry.hi, level)).toBe(15);
        }
      }
      for (const word of [format.empty, format.frozen, { lo: 0, hi: 0 }]) {
        expect(format.judge.judge(word.lo, word.hi, 1)).toBe(-1);
      }
      expect(format.decode(format.frozen, 0).kind).toBe('frozen');
    }
  });

  test('what a format cannot hold is a defect', () => {
    const [arm, riscv] = formatsOf({ levels: 4, indexBits: 9 }) as [WalkedFormat, WalkedFormat];
    expect(() => arm.leaf({ pfn: 0, level: 3, rights: ALL })).toThrow(/no block/);
    expect(() => arm.table(2 ** 36)).toThrow(/not below 48 bits/);
    expect(() => riscv.table(2 ** 44)).toThrow(/44 bits/);
    expect(() => riscv.leaf({ pfn: 1, level: 1, rights: ALL })).toThrow(/not a multiple/);
    const writeOnly = { ...ALL, read: false };
    expect(() => riscv.leaf({ pfn: 1, level: 0, rights: writeOnly })).toThrow(/reserved/);
    expect(() => armStage2({ levels: 3, indexBits: 9 }, { dirtyState: true })).toThrow(/HD/);
  });
});

test('Arm: what a change of a live entry needs, by FEAT_BBM level', () => {
  const format = armStage2({ levels: 3, indexBits: 9 });
  const page = format.leaf({ pfn: 512, level: 1, rights: ALL, accessed: true });
  const table = format.table(7);
  const needs = (from = page, to = page, bbm: 0 | 1 | 2 = 0) =>
    armChangeNeeds(format, 1, from, to, bbm);
  expect(needs(format.empty, page)).toBe('free');
  expect(needs(page, format.empty)).toBe('invalidate');
  expect([0, 1, 2].map((bbm) => needs(page, table, bbm as 0 | 1 | 2))).toEqual([
    'break-before-make',
    'nT',
    'invalidate',
  ]);
  const moved = format.leaf({ pfn: 1024, level: 1, rights: ALL, accessed: true });
  expect(needs(page, moved, 2)).toBe('break-before-make');
  const readOnly = format.leaf({
    pfn: 512,
    level: 1,
    rights: { ...ALL, write: false },
    accessed: true,
  });
  expect(needs(page, readOnly)).toBe('invalidate');
  const noted = format.leaf({
    pfn: 512,
    level: 1,
    rights: ALL,
    accessed: true,
    hostWritable: true,
  });
  expect(needs(page, noted)).toBe('free');
});
