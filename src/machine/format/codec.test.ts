/** Codecs: what is written is read back, in all three formats and in every geometry. */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ept } from './ept.ts';
import { assertDisjoint, mask } from './fields.ts';
import { type Geometry, MANUAL_4, MANUAL_5, pagesAt } from './format.ts';
import { LEAF, NOT_PRESENT } from './judge.ts';
import { npt } from './npt.ts';
import { findFormat } from './registry.ts';
import { x86_64 } from './x86-64.ts';

const FORMATS = { ept, npt, 'x86-64': x86_64 };
const GEOMETRIES: Geometry[] = [
  MANUAL_4,
  MANUAL_5,
  { levels: 4, indexBits: 1 },
  { levels: 3, indexBits: 2 },
];
const flags = fc.record({
  write: fc.boolean(),
  execute: fc.boolean(),
  user: fc.boolean(),
  accessed: fc.boolean(),
  dirty: fc.boolean(),
  hostWritable: fc.boolean(),
  mmuWritable: fc.boolean(),
});

for (const [id, make] of Object.entries(FORMATS)) {
  describe(`format: ${id}`, () => {
    test('leaves are read back, and hardware takes them for what they are', () => {
      fc.assert(
        fc.property(
          fc.constantFrom(...GEOMETRIES),
          fc.nat({ max: 2 ** 30 }),
          fc.nat({ max: 2 }),
          flags,
          (geometry, number, level, { write, execute, user, ...bits }) => {
            const format = make(geometry, { maxPhyBits: 52 });
            const pages = pagesAt(geometry, level);
            const pfn = (number * pages) % 2 ** 40;
            const rights = { read: true, write, execute, user: id === 'ept' || user };
            const entry = format.leaf({ pfn, level, rights, ...bits });
            expect(entry).toMatchObject({ kind: 'leaf', pfn, ...rights, ...bits });
            expect(format.decode(entry, level)).toEqual(entry);
            const verdict = format.judge.judge(entry.lo, entry.hi, level);
            expect(verdict & LEAF).toBe(LEAF);
            expect(format.judge.frame(entry.lo, entry.hi, level, true)).toBe(pfn);
          },
        ),
        { seed: 1, numRuns: 1000 },
      );
    });

    test('tables are read back', () => {
      const format = make(MANUAL_5, { maxPhyBits: 52 });
      for (const pfn of [1, 0xfffff, 0x100000, 2 ** 40 - 1]) {
        const entry = format.table(pfn);
        expect(entry).toMatchObject({ kind: 'table', pfn, read: true, write: true, execute: true });
        for (const level of [1, 2, 3, 4]) {
          expect(format.decode(entry, level)).toEqual(entry);
          expect(format.judge.judge(entry.lo, entry.hi, level)).toBe(15);
        }
      }
    });

    test('empty and frozen are not present; zero is empty too', () => {
      const format = make(MANUAL_4);
      for (const entry of [format.empty, format.frozen, { lo: 0, hi: 0 }, { lo: 0, hi: 1 << 31 }]) {
        expect(format.judge.judge(entry.lo, entry.hi, 0)).toBe(NOT_PRESENT);
      }
      expect(format.decode(format.empty, 0)).toEqual(format.empty);
      expect(format.decode(format.frozen, 0).kind).toBe('frozen');
      expect(format.decode({ lo: 0, hi: 0 }, 0).kind).toBe('empty');
      expect(format.decode({ lo: 0, hi: 1 << 31 }, 3).kind).toBe('empty');
      expect([format.frozen.lo, format.frozen.hi >>> 0]).toEqual([0x5a0, 0x80000000]);
    });

    test('frames that the format cannot hold are a defect', () => {
      const format = make(MANUAL_4, { maxPhyBits: 40 });
      const rights = { read: true, write: true, execute: true, user: true };
      expect(() => format.table(2 ** 28)).toThrow(/not below 40 bits/);
      expect(() => format.leaf({ pfn: 1, level: 1, rights })).toThrow(/not a multiple/);
      expect(() => make(MANUAL_4, { maxPhyBits: 53 })).toThrow(/MAXPHYADDR 53/);
    });
  });
}

describe('format: layouts', () => {
  test('overlapping or foreign bits are a defect', () => {
    expect(() => assertDisjoint('t', { a: [3, 1], b: [1, 1] })).toThrow(
      /bit 1 belongs to a and to b/,
    );
    expect(() => assertDisjoint('t', { a: [64, 60] })).toThrow(/field a is bits 64:60/);
    expect(mask(35, 30)).toEqual({ lo: 0xc0000000 | 0, hi: 0xf });
  });

  test('ids: found, reserved, unknown', () => {
    expect(findFormat('ept').kind).toBe('found');
    for (const [id, levels] of [
      ['arm-stage2', undefined],
      ['arm-stage2-4k', undefined],
      ['riscv-g', undefined],
      ['riscv-sv39x4', 3],
      ['riscv-sv48x4', 4],
    ] as const) {
      expect(findFormat(id)).toMatchObject({ kind: 'found', levels });
    }
    for (const id of ['arm-stage2-16k', 'riscv-sv57x4']) {
      expect(findFormat(id).kind).toBe('not-yet');
    }
    expect(findFormat('toString').kind).toBe('unknown');
  });
});
