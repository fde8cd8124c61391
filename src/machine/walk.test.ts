/** The walker against a second reading of the manuals, entry by entry, on random tables. */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type EptMachine, walkEpt } from '../../test/oracle/manual-ept.ts';
import { type LongModeMachine, walkLongMode } from '../../test/oracle/manual-long-mode.ts';
import { Dice, type EntryStyle, randomEntry } from '../../test/oracle/random-tables.ts';
import { type EptParams, ept } from './format/ept.ts';
import { type Geometry, indexAt } from './format/format.ts';
import {
  ABSENT,
  type Access,
  ALL_RIGHTS,
  DENIED,
  LEAF,
  MALFORMED,
  NOT_PRESENT,
  OK,
  type Outcome,
  type Privilege,
  type WalkedFormat,
} from './format/judge.ts';
import { npt } from './format/npt.ts';
import { type LongModeParams, x86_64 } from './format/x86-64.ts';
import { Memory } from './memory.ts';
import { Walker } from './walk.ts';

const KINDS = ['read', 'write', 'fetch'] as const;
const GEOMETRIES: readonly Geometry[] = [
  { levels: 4, indexBits: 1 },
  { levels: 5, indexBits: 1 },
  { levels: 3, indexBits: 2 },
  { levels: 4, indexBits: 2 },
  { levels: 2, indexBits: 1 },
];
const FRAMES = [16, 17, 18, 19, 20, 21, 22, 24, 28, 32, 48, 64];

function put(memory: Memory, pa: number, word: bigint): void {
  memory.writeHalves(pa, Number(BigInt.asIntN(32, word)), Number(BigInt.asIntN(32, word >> 32n)));
}

function get(memory: Memory, pa: bigint): bigint {
  const at = memory.indexOf(Number(pa));
  return (BigInt(memory.words[at + 1] >>> 0) << 32n) | BigInt(memory.words[at] >>> 0);
}

/** Tables in all frames, each in the style of a level that suits its place. */
function fill(dice: Dice, geometry: Geometry, style: EntryStyle): Memory {
  const memory = new Memory();
  for (const frame of FRAMES) {
    const level = dice.below(geometry.levels);
    for (let i = 0; i < 2 ** geometry.indexBits; i++) {
      put(memory, frame * 4096 + i * 8, randomEntry(dice, style, level));
    }
  }
  return memory;
}

function snapshot(memory: Memory): Map<bigint, bigint> {
  const words = new Map<bigint, bigint>();
  for (const frame of FRAMES) {
    for (let i = 0; i < 16; i++) {
      const pa = BigInt(frame * 4096 + i * 8);
      words.set(pa, get(memory, pa));
    }
  }
  return words;
}

function written(before: Map<bigint, bigint>, memory: Memory): Map<bigint, bigint> {
  const changed = new Map<bigint, bigint>();
  for (const [pa, word] of before) {
    const now = get(memory, pa);
    if (now !== word) changed.set(pa, now);
  }
  return changed;
}

const sorted = (words: Map<bigint, bigint>) =>
  [...words].sort(([a], [b]) => (a < b ? -1 : 1)).map(([pa, word]) => `${pa}:${word}`);

/** A walk one level at a time, as a checker takes it: the same judgement, no Walker. */
function stepwise(
  memory: Memory,
  format: WalkedFormat,
  page: number,
  access: Access,
  privilege: Privilege,
): Outcome {
  const { judge, geometry } = format;
  let table = FRAMES[0];
  let rights = ALL_RIGHTS;
  for (let level = geometry.levels - 1; ; level--) {
    const at = memory.indexOf(table * 4096 + indexAt(geometry, page, level) * 8);
    const [lo, hi] = [memory.words[at], memory.words[at + 1]];
    const verdict = judge.judge(lo, hi, level);
    if (verdict < 0) return verdict === NOT_PRESENT ? ABSENT : MALFORMED;
    rights &= verdict;
    if (verdict >= LEAF) return judge.allows(rights, access, privilege) ? OK : DENIED;
    table = judge.tableFrame(lo, hi);
  }
}

interface Tally {
  ok: number;
  faults: number;
  malformed: number;
}

function eptCase(seed: number, tally: Tally): void {
  const dice = new Dice(seed);
  const geometry = dice.pick(GEOMETRIES);
  const params: EptParams = {
    maxPhyBits: dice.pick([36, 40, 52]),
    accessDirty: dice.once(2),
    executeOnly: dice.once(2),
    gigabytePages: !dice.once(3),
  };
  const { levels, indexBits: bits } = geometry;
  const memory = fill(dice, geometry, { ept: true, frames: FRAMES, levels, bits, odd: 12 });
  const machine: EptMachine = {
    read: (pa) => get(memory, pa),
    root: BigInt(FRAMES[0] * 4096),
    levels,
    bits,
    maxPhyAddr: params.maxPhyBits,
    accessedDirty: params.accessDirty,
    executeOnly: params.executeOnly,
    onePageOfGiB: params.gigabytePages,
  };
  const walker = new Walker(memory, ept(geometry, params));
  for (let i = 0; i < 8; i++) {
    const page = dice.below(2 ** (levels * bits) + (dice.once(20) ? 4 : 0));
    const access = dice.below(3) as Access;
    const expected = walkEpt(machine, BigInt(page) << 12n, KINDS[access]);
    const before = snapshot(memory);
    const alone = stepwise(memory, walker.format, page, access, 1);
    const outcome = walker.walk(FRAMES[0], page, access, 1);
    if (page < 2 ** (levels * bits)) expect(outcome).toBe(alone);
    expect(walker.references).toBe(expected.reads);
    const changes = written(before, memory);
    if (expected.kind === 'ok') {
      expect(outcome).toBe(OK);
      expect(BigInt(walker.pfn) << 12n).toBe(expected.pa);
      expect(walker.level + 1).toBe(expected.level);
      expect(BigInt(walker.rights & 7)).toBe(expected.rwx);
      expect(sorted(changes)).toEqual(sorted(expected.writes));
      tally.ok++;
      continue;
    }
    expect(changes.size).toBe(0);
    expect(outcome === MALFORMED).toBe(expected.kind === 'misconfiguration');
    expect(outcome).not.toBe(OK);
    if (expected.kind === 'violation') expect(BigInt(walker.code)).toBe(expected.qualification);
    if (outcome === MALFORMED) tally.malformed++;
    else tally.faults++;
  }
}

function longModeCase(seed: number, nested: boolean, tally: Tally): void {
  const dice = new Dice(seed);
  const geometry = dice.pick(GEOMETRIES);
  const params: LongModeParams = {
    maxPhyBits: dice.pick([36, 40, 52]),
    nxe: !dice.once(4),
    wp: dice.once(2),
    smep: dice.once(2),
    smap: dice.once(3),
    gigabytePages: !dice.once(3),
    accessDirty: true,
  };
  const { levels, indexBits: bits } = geometry;
  const memory = fill(dice, geometry, { ept: false, frames: FRAMES, levels, bits, odd: 12 });
  const machine: LongModeMachine = {
    read: (pa) => get(memory, pa),
    root: BigInt(FRAMES[0] * 4096),
    levels,
    bits,
    maxPhyAddr: params.maxPhyBits,
    nxe: params.nxe,
    wp: params.wp,
    smep: params.smep && !nested,
    smap: params.smap && !nested,
    onePageOfGiB: params.gigabytePages,
  };
  const walker = new Walker(memory, nested ? npt(geometry, params) : x86_64(geometry, params));
  for (let i = 0; i < 8; i++) {
    const page = dice.below(2 ** (levels * bits));
    const access = dice.below(3) as Access;
    const privilege = dice.below(2) as Privilege;
    const user = nested || privilege === 1;
    const expected = walkLongMode(machine, BigInt(page) << 12n, { kind: KINDS[access], user });
    const before = snapshot(memory);
    const alone = stepwise(memory, walker.format, page, access, privilege);
    const outcome = walker.walk(FRAMES[0], page, access, privilege);
    expect(outcome).toBe(alone);
    expect(walker.references).toBe(expected.reads);
    const changes = written(before, memory);
    if (expected.kind === 'ok') {
      expect(outcome).toBe(OK);
      expect(BigInt(walker.pfn) << 12n).toBe(expected.pa);
      expect(walker.level + 1).toBe(expected.level);
      expect(sorted(changes)).toEqual(sorted(expected.writes));
      tally.ok++;
      continue;
    }
    if (expected.kind !== 'page-fault') throw new Error('memory is complete');
    expect(changes.size).toBe(0);
    expect(outcome).not.toBe(OK);
    expect(walker.code).toBe(expected.errorCode + (nested ? 2 ** 32 : 0));
    if (outcome === MALFORMED) tally.malformed++;
    else tally.faults++;
  }
}

function many(run: (seed: number, tally: Tally) => void): void {
  const tally: Tally = { ok: 0, faults: 0, malformed: 0 };
  fc.assert(
    fc.property(fc.integer(), (seed) => run(seed, tally)),
    { seed: 20, numRuns: 2500, endOnFailure: true },
  );
  // An exam in which nothing ever happens proves nothing.
  for (const count of Object.values(tally)) expect(count).toBeGreaterThan(500);
}

describe('walk: random tables against the manual', () => {
  test('ept: result, qualification, accessed and dirty flags agree', () => many(eptCase));
  test('x86-64: result, error code, accessed and dirty flags agree', () =>
    many((seed, tally) => longModeCase(seed, false, tally)));
  test('npt: result, EXITINFO1, accessed and dirty flags agree', () =>
    many((seed, tally) => longModeCase(seed, true, tally)));
});

describe('walk: manual geometry', () => {
  test('9 index bits, five levels, wide frames: pages agree with the manual', () => {
    const geometry: Geometry = { levels: 5, indexBits: 9 };
    const memory = new Memory();
    const format = x86_64(geometry, { maxPhyBits: 52 });
    const walker = new Walker(memory, format);
    const dice = new Dice(7);
    // A chain of tables far above 4 GiB, one per level, and a page beyond 32 bits of number.
    const tables = [0x8000000001, 0xfff000000f, 0x123456789a, 0x3, 0xffffffffff].reverse();
    for (let round = 0; round < 200; round++) {
      const index = tables.map(() => dice.below(512)); // by level
      const page = index.reduce((sum, each, level) => sum + each * 512 ** level, 0);
      tables.forEach((table, level) => {
        const pfn = level === 0 ? 0xabcdef0123 : tables[level - 1];
        const rights = { read: true, write: true, execute: true, user: true };
        const entry = level === 0 ? format.leaf({ pfn, level, rights }) : format.table(pfn);
        memory.writeHalves(table * 4096 + index[level] * 8, entry.lo, entry.hi);
      });
      expect(walker.walk(tables[4], page, 1, 1)).toBe(OK);
      expect(walker.pfn).toBe(0xabcdef0123);
      expect([...walker.tables]).toEqual(tables);
      expect(walker.references).toBe(5);
      const start = { level: 1, pfn: tables[1], rights: walker.rightsAbove[1] };
      expect(walker.walkFrom(start, page, 0, 0)).toBe(OK);
      expect([walker.pfn, walker.references]).toEqual([0xabcdef0123, 2]);
    }
  });
});
