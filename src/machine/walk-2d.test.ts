/** Two-dimensional walks against a second reading of the manuals, and their references. */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { LongModeMachine } from '../../test/oracle/manual-long-mode.ts';
import { type SecondStage, walkNested } from '../../test/oracle/manual-nested.ts';
import { Dice, type EntryStyle, randomEntry } from '../../test/oracle/random-tables.ts';
import { ept } from './format/ept.ts';
import { type Geometry, indexAt, MANUAL_4, MANUAL_5 } from './format/format.ts';
import {
  type Access,
  MALFORMED,
  OK,
  type Privilege,
  READ,
  USER,
  type WalkedFormat,
  WRITE,
} from './format/judge.ts';
import { npt } from './format/npt.ts';
import { x86_64 } from './format/x86-64.ts';
import { Memory } from './memory.ts';
import { type NestedCache, NestedWalker, SECOND_STAGE } from './walk-2d.ts';

const KINDS = ['read', 'write', 'fetch'] as const;
const RIGHTS = { read: true, write: true, execute: true, user: true };
/** Guest frames 0 to 15; their tables lie in host frames 32 to 47, the second stage's in 64 on. */
const GEOMETRY: Geometry = { levels: 4, indexBits: 1 };
const GUEST_FRAMES = Array.from({ length: 16 }, (_, i) => i);
const HOST_FRAMES = Array.from({ length: 16 }, (_, i) => 32 + i);
const SECOND_FRAMES = Array.from({ length: 15 }, (_, i) => 64 + i);

function put(memory: Memory, pa: number, word: bigint): void {
  memory.writeHalves(pa, Number(BigInt.asIntN(32, word)), Number(BigInt.asIntN(32, word >> 32n)));
}

function get(memory: Memory, pa: bigint): bigint {
  const at = memory.indexOf(Number(pa));
  return (BigInt(memory.words[at + 1] >>> 0) << 32n) | BigInt(memory.words[at] >>> 0);
}

function snapshot(memory: Memory): Map<bigint, bigint> {
  const words = new Map<bigint, bigint>();
  for (const frame of [...HOST_FRAMES, ...SECOND_FRAMES]) {
    for (const offset of [0, 8]) {
      const pa = BigInt(frame * 4096 + offset);
      words.set(pa, get(memory, pa));
    }
  }
  return words;
}

const sorted = (words: Iterable<[bigint, bigint]>) =>
  [...words].sort(([a], [b]) => (a < b ? -1 : 1)).map(([pa, word]) => `${pa}:${word}`);

/** A full tree: the second stage in order, so that most guest frames are mapped. */
function fillSecond(dice: Dice, memory: Memory, isEpt: boolean): void {
  const style = { ept: isEpt, levels: 4, bits: 1, odd: 30 };
  SECOND_FRAMES.forEach((frame, n) => {
    const level = 3 - Math.floor(Math.log2(n + 1));
    for (const index of [0, 1]) {
      const next = level === 0 ? HOST_FRAMES : [SECOND_FRAMES[2 * n + 1 + index]];
      const large = level > 0 && level < 3 && dice.once(12);
      const frames = large ? HOST_FRAMES : next;
      let word = randomEntry(dice, { ...style, frames } satisfies EntryStyle, large ? level : 0);
      if (large)
        word = ((word >> BigInt(12 + level)) << BigInt(12 + level)) | (word & 0xfffn) | 0x80n;
      else if (level > 0) word &= isEpt ? ~0xf8n : ~0x80n;
      put(memory, frame * 4096 + index * 8, word);
    }
  });
}

function fillGuest(dice: Dice, memory: Memory): void {
  const style: EntryStyle = { ept: false, frames: GUEST_FRAMES, levels: 4, bits: 1, odd: 14 };
  for (const frame of HOST_FRAMES) {
    const level = dice.below(4);
    for (const index of [0, 1]) {
      put(memory, frame * 4096 + index * 8, randomEntry(dice, style, level));
    }
  }
}

function nestedCase(seed: number, tally: Record<string, number>): void {
  const dice = new Dice(seed);
  const isEpt = dice.once(2);
  const accessDirty = !isEpt || dice.once(2);
  const memory = new Memory();
  fillSecond(dice, memory, isEpt);
  fillGuest(dice, memory);
  const flags = { nxe: true, wp: true, smep: false, smap: false };
  const own = { levels: 4, bits: 1, maxPhyAddr: 40, onePageOfGiB: true };
  const read = (pa: bigint): bigint => get(memory, pa);
  const guestRoot = dice.pick(GUEST_FRAMES);
  const guest: LongModeMachine = { ...own, ...flags, read, root: BigInt(guestRoot * 4096) };
  const root = BigInt(SECOND_FRAMES[0] * 4096);
  const machine = { ...own, ...flags, read, root, accessedDirty: accessDirty, executeOnly: true };
  const second: SecondStage = { kind: isEpt ? 'ept' : 'npt', machine };
  const secondFormat = (isEpt ? ept : npt)(GEOMETRY, { maxPhyBits: 40, accessDirty });
  const walker = new NestedWalker(memory, x86_64(GEOMETRY, { maxPhyBits: 40 }), secondFormat);
  for (let i = 0; i < 6; i++) {
    const page = dice.below(16);
    const access = dice.below(3) as Access;
    const privilege = dice.below(2) as Privilege;
    const before = snapshot(memory);
    const question = { kind: KINDS[access], user: privilege === USER };
    const expected = walkNested(guest, second, read, BigInt(page) << 12n, question);
    const outcome = walker.walk(guestRoot, SECOND_FRAMES[0], page, access, privilege);
    expect(walker.references).toBe(expected.reads);
    tally[expected.kind] = (tally[expected.kind] ?? 0) + 1;
    if (expected.kind === 'ok') {
      expect(outcome).toBe(OK);
      expect(BigInt(walker.pfn) << 12n).toBe(expected.pa);
      const changed = [...snapshot(memory)].filter(([pa, word]) => before.get(pa) !== word);
      expect(sorted(changed)).toEqual(sorted([...expected.second, ...expected.guest]));
      continue;
    }
    expect(outcome).not.toBe(OK);
    expect(walker.changes.applied).toBe(true);
    if (expected.kind === 'page-fault') {
      expect([walker.stage, walker.code]).toEqual([1, expected.errorCode]);
      continue;
    }
    expect(walker.stage).toBe(SECOND_STAGE);
    const gpa = walker.failedGpaPage * 4096 + walker.failedGpaOffset;
    expect(BigInt(gpa)).toBe(expected.gpa);
    expect(outcome === MALFORMED && isEpt).toBe(expected.kind === 'misconfiguration');
    if (expected.kind === 'violation') expect(BigInt(walker.code)).toBe(expected.qualification);
    if (expected.kind === 'npf') expect(BigInt(walker.code)).toBe(expected.exitInfo1);
  }
}

describe('walk-2d: random tables against the manual', () => {
  test('results, codes, guest-physical addresses, flags and references agree', () => {
    const tally: Record<string, number> = {};
    fc.assert(
      fc.property(fc.integer(), (seed) => nestedCase(seed, tally)),
      { seed: 21, numRuns: 4000, endOnFailure: true },
    );
    for (const kind of ['ok', 'page-fault', 'violation', 'misconfiguration', 'npf']) {
      expect(tally[kind], kind).toBeGreaterThan(300);
    }
  });
});

/** Maps one page; tables take frames from `next` on. Returns the root and the frames used. */
function chain(
  memory: Memory,
  format: WalkedFormat,
  page: number,
  pfn: number,
  root: number,
  hostOf: (frame: number) => number,
): number[] {
  const { levels } = format.geometry;
  const frames = Array.from({ length: levels }, (_, i) => root + i);
  frames.forEach((frame, i) => {
    const level = levels - 1 - i;
    const entry =
      level === 0 ? format.leaf({ pfn, level, rights: RIGHTS }) : format.table(frames[i + 1]);
    const at = hostOf(frame) * 4096 + indexAt(format.geometry, page, level) * 8;
    memory.writeHalves(at, entry.lo, entry.hi);
  });
  return frames;
}

/** A guest with one page, every guest frame mapped to itself plus 0x1000. */
function onePage(geometry: Geometry, make: typeof ept | typeof npt, params = {}) {
  const memory = new Memory();
  const guest = x86_64(geometry);
  const second = make(geometry, params);
  const hostOf = (frame: number): number => frame + 0x1000;
  const page = 0x7_1234_5678 % 2 ** 35;
  const frames = chain(memory, guest, page, 0x55, 0x10, hostOf);
  let next = 0x2000;
  for (const gfn of [...frames, 0x55]) {
    // All lie under one leaf table: only the last entry differs.
    chain(memory, second, gfn, hostOf(gfn), 0x2000, (frame) => frame);
    next += geometry.levels;
  }
  return { memory, page, walker: new NestedWalker(memory, guest, second), next };
}

describe('walk-2d: references', () => {
  for (const [name, make] of [
    ['ept', ept],
    ['npt', npt],
  ] as const) {
    test(`${name}: 24 for 4 x 4 levels, 35 for 5 x 5`, () => {
      for (const [geometry, references] of [
        [MANUAL_4, 24],
        [MANUAL_5, 35],
      ] as const) {
        const { walker, page } = onePage(geometry, make);
        expect(walker.walk(0x10, 0x2000, page, READ, USER)).toBe(OK);
        expect([walker.references, walker.pfn]).toEqual([references, 0x1055]);
      }
    });
  }

  test('a start below the root skips what a structure cache knows', () => {
    const { walker, page } = onePage(MANUAL_4, ept);
    walker.walk(0x10, 0x2000, page, READ, USER);
    const start = {
      level: 0,
      pfn: walker.tables[0],
      rights: walker.rightsAbove[0],
      hostPfn: walker.hostTables[0],
      hostRights: walker.hostRights[0],
    };
    expect(walker.walkFrom(start, 0x2000, page, WRITE, USER)).toBe(OK);
    expect([walker.references, walker.pfn]).toEqual([5, 0x1055]);
  });

  test('a cache of guest-physical pages leaves the guest levels only', () => {
    const { walker, page } = onePage(MANUAL_4, ept);
    const known = new Map<number, { pfn: number; rights: number; dirty: boolean }>();
    const cache: NestedCache = {
      rights: 0,
      lookup(gpaPage, access) {
        const found = known.get(gpaPage);
        if (found === undefined || (access === WRITE && !found.dirty)) return -1;
        (this as { rights: number }).rights = found.rights;
        return found.pfn;
      },
      fill(gpaPage, _access, { pfn, rights, dirty }) {
        known.set(gpaPage, { pfn, rights, dirty });
      },
    };
    walker.cache = cache;
    expect(walker.walk(0x10, 0x2000, page, READ, USER)).toBe(OK);
    expect([walker.references, known.size]).toEqual([24, 5]);
    expect(walker.walk(0x10, 0x2000, page, READ, USER)).toBe(OK);
    expect(walker.references).toBe(4);
    // The final page is clean in the cache: a write must walk to set its dirty bit.
    expect(walker.walk(0x10, 0x2000, page, WRITE, USER)).toBe(OK);
    expect(walker.references).toBe(8);
  });
});
