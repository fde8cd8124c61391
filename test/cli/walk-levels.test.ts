/**
 * `kpop walk` on dumps of x86's formats with 4 and 5 levels in the manuals' own geometry, under
 * every control bit that matters, against a second reading of the manuals.
 */
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { walkDocument } from '../../src/cli/walk.ts';
import type { ProbeResult } from '../../src/cli/walk-answer.ts';
import { walkEpt } from '../oracle/manual-ept.ts';
import { walkLongMode } from '../oracle/manual-long-mode.ts';
import { Dice, randomEntry } from '../oracle/random-tables.ts';

const folder = mkdtempSync(join(tmpdir(), 'kpop-levels-'));
const ROOT = 0x40000;
const FRAMES = Array.from({ length: 14 }, (_, i) => ROOT + i);
const KINDS = { r: 'read', w: 'write', x: 'fetch' } as const;
const PROBES = 400;

/** Tables of random entries, as a dump and by address. */
function tablesOf(dice: Dice, levels: number, ept: boolean) {
  const words = new Map<bigint, bigint>();
  const style = { ept, frames: FRAMES.slice(1), levels, bits: 9, odd: 16 };
  const memory = FRAMES.map((frame) => {
    const level = frame === ROOT ? levels - 1 : dice.below(levels);
    const list = Array.from({ length: 512 }, (_, i) => {
      const word = randomEntry(dice, style, level);
      words.set(BigInt(frame) * 4096n + BigInt(i * 8), word);
      return word.toString(16);
    });
    return { pa: (frame * 4096).toString(16), words: list };
  });
  return { words, memory };
}

class Hole extends Error {}

function reader(words: ReadonlyMap<bigint, bigint>): (pa: bigint) => bigint {
  return (pa) => {
    const word = words.get(pa);
    if (word === undefined) throw new Hole();
    return word;
  };
}

const hexes = (writes: ReadonlyMap<bigint, bigint>): string[][] =>
  [...writes]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([pa, word]) => [`0x${pa.toString(16)}`, `0x${word.toString(16)}`]);

/** 64-bit addresses: low and high half, and a few that are in neither. */
function addressIn(dice: Dice, width: number, signExtended: boolean): bigint {
  const low =
    ((BigInt(dice.below(2 ** 30)) << 30n) | BigInt(dice.below(2 ** 30))) &
    ((1n << BigInt(width)) - 1n);
  if (dice.once(20)) return low | (1n << BigInt(width));
  return signExtended ? BigInt.asUintN(64, BigInt.asIntN(width, low)) : low;
}

interface Mode {
  readonly format: 'ept' | 'npt' | 'x86-64';
  readonly levels: number;
  readonly parameters: Readonly<Record<string, number>>;
}

const MODES: readonly Mode[] = [
  { format: 'ept', levels: 5, parameters: { maxPhyAddr: 52, accessedDirty: 1 } },
  { format: 'ept', levels: 5, parameters: { maxPhyAddr: 40, executeOnly: 0, gigabytePages: 0 } },
  { format: 'ept', levels: 4, parameters: { maxPhyAddr: 46, accessedDirty: 0 } },
  { format: 'npt', levels: 5, parameters: { maxPhyAddr: 48, nxe: 1 } },
  { format: 'npt', levels: 4, parameters: { maxPhyAddr: 40, nxe: 0, gigabytePages: 0 } },
  { format: 'x86-64', levels: 5, parameters: { maxPhyAddr: 52, nxe: 1, wp: 1, smep: 1, smap: 1 } },
  { format: 'x86-64', levels: 5, parameters: { maxPhyAddr: 40, nxe: 0, wp: 0, smep: 1 } },
  { format: 'x86-64', levels: 4, parameters: { maxPhyAddr: 46, nxe: 0, wp: 1, gigabytePages: 0 } },
];

interface Asked {
  readonly address: string;
  readonly access: 'r' | 'w' | 'x';
  readonly privilege: 'user' | 'supervisor';
}

/** What the manuals say of one probe, in the fields of an answer; undefined: the dump ends. */
function manual(mode: Mode, read: (pa: bigint) => bigint, asked: Asked) {
  const { format, levels, parameters } = mode;
  const { nxe = 1, wp = 1, smep = 0, smap = 0, maxPhyAddr = 52 } = parameters;
  const { executeOnly = 1, gigabytePages = 1, accessedDirty = 1 } = parameters;
  const shape = { read, root: BigInt(ROOT * 4096), levels, bits: 9, maxPhyAddr };
  const onePageOfGiB = gigabytePages === 1;
  const kind = KINDS[asked.access];
  const address = BigInt(asked.address);
  try {
    if (format === 'ept') {
      const flags = { accessedDirty: accessedDirty === 1, executeOnly: executeOnly === 1 };
      return walkEpt({ ...shape, ...flags, onePageOfGiB }, address, kind);
    }
    const nested = format === 'npt';
    const flags = { nxe: nxe === 1, wp: wp === 1, smep: smep === 1, smap: smap === 1 };
    const machine = { ...shape, ...flags, onePageOfGiB };
    const user = nested || asked.privilege === 'user';
    return walkLongMode(machine, address, { kind, user });
  } catch (error) {
    if (error instanceof Hole) return undefined;
    throw error;
  }
}

function compare(mode: Mode, probe: ProbeResult, asked: Asked, read: (pa: bigint) => bigint): void {
  const width = 12 + 9 * mode.levels;
  const address = BigInt(asked.address);
  const isCanonical = BigInt.asUintN(64, BigInt.asIntN(width, address)) === address;
  if (mode.format === 'x86-64' && !isCanonical) {
    expect(probe.cause?.kind).toBe('general-protection');
    return;
  }
  if (mode.format === 'npt' && address >> BigInt(width) !== 0n) {
    expect(probe.result).toBe('fault'); // beyond the tables: the manual’s walk would not see it
    return;
  }
  const expected = manual(mode, read, asked);
  if (expected === undefined) {
    expect(probe.cause?.kind).toBe('hole');
  } else if (expected.kind === 'ok') {
    const { result, pa, architecturalLevel: level, changes } = probe;
    const found = { result: 'ok', pa: `0x${expected.pa.toString(16)}`, level: expected.level };
    expect({ result, pa, level }).toEqual(found);
    expect(changes).toEqual(hexes(expected.writes));
  } else {
    expect(probe.result).toBe('fault');
    if (expected.kind === 'page-fault') expect(probe.errorCode).toBe(expected.errorCode);
    if (expected.kind === 'misconfiguration') expect(probe.cause?.kind).toBe('ept-misconfig');
    if (expected.kind === 'violation') {
      expect(probe.exitQualification).toBe(`0x${expected.qualification.toString(16)}`);
    }
  }
}

test.each(MODES)('%o', async (mode) => {
  const { format, levels, parameters } = mode;
  const dice = new Dice(levels + format.length + parameters.maxPhyAddr!);
  const { words, memory } = tablesOf(dice, levels, format === 'ept');
  const probes = Array.from({ length: PROBES }, (): Asked => {
    const address = addressIn(dice, 12 + 9 * levels, format === 'x86-64');
    const privilege = dice.once(2) ? 'user' : 'supervisor';
    const access = dice.pick(['r', 'w', 'x'] as const);
    return { address: `0x${address.toString(16)}`, access, privilege };
  });
  const root = `0x${(ROOT * 4096).toString(16)}`;
  const file = join(folder, `${format}-${levels}-${parameters.maxPhyAddr}.json`);
  writeFileSync(file, JSON.stringify({ format, root, levels, parameters, memory, probes }));
  const document = await walkDocument({ memory: file });
  const read = reader(words);
  for (const [i, probe] of document.probes.entries()) compare(mode, probe, probes[i]!, read);
  const ok = document.probes.filter(({ result }) => result === 'ok').length;
  expect(Math.min(ok, PROBES - ok)).toBeGreaterThan(5);
});
