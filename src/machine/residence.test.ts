/** A remembered walk is good exactly as long as every entry that it read holds what it held. */
import { expect, test } from 'vitest';
import { ept } from './format/ept.ts';
import { MANUAL_4 } from './format/format.ts';
import { OK, READ, USER, WRITE } from './format/judge.ts';
import { Memory } from './memory.ts';
import { Residence } from './residence.ts';
import { Walker } from './walk.ts';

const ROOT = 5;
const PAGE = 0x12345;
const FRAME = 77;
const RIGHTS = { read: true, write: true, execute: true, user: true };

/** Address of the entry for PAGE in the table that serves it at `level`: frames ROOT, ROOT+1, … */
function entryAt(level: number): number {
  return (ROOT + 3 - level) * 4096 + ((PAGE >> (9 * level)) & 511) * 8;
}

test('residence: any change of an entry ends it, and the old value brings it back', () => {
  const format = ept(MANUAL_4, { maxPhyBits: 46 });
  const memory = new Memory();
  for (let level = 3; level > 0; level--) {
    const { lo, hi } = format.table(ROOT + 4 - level);
    memory.writeHalves(entryAt(level), lo, hi);
  }
  const leaf = format.leaf({ pfn: FRAME, level: 0, rights: RIGHTS, accessed: true, dirty: true });
  memory.writeHalves(entryAt(0), leaf.lo, leaf.hi);

  const residence = new Residence(memory);
  const walker = new Walker(memory, format);
  expect(residence.find(ROOT, PAGE, READ)).toBe(-1);
  expect(walker.walk(ROOT, PAGE, READ, USER)).toBe(OK);
  residence.keep(ROOT, PAGE, READ, walker);
  expect(residence.find(ROOT, PAGE, READ)).toBe(FRAME);
  expect(residence.find(ROOT, PAGE, WRITE)).toBe(-1);
  expect(residence.find(ROOT, PAGE + 1, READ)).toBe(-1);
  expect(residence.find(ROOT + 1, PAGE, READ)).toBe(-1);

  for (let level = 3; level >= 0; level--) {
    const at = memory.place(entryAt(level));
    for (const half of [at, at + 1]) {
      const before = memory.words[half]!;
      memory.words[half] = before ^ 1;
      expect(residence.find(ROOT, PAGE, READ)).toBe(-1);
      memory.words[half] = before;
      expect(residence.find(ROOT, PAGE, READ)).toBe(FRAME);
    }
  }
});
