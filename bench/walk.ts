/**
 * Page walks per second over random pages, in one and two dimensions, beside a plain chase of the
 * same number of dependent reads through a flat array of the same size in the same run: the limit
 * that memory itself sets.
 *
 * Leaves out: TLBs and structure caches; every access walks from the root.
 */
import { ept } from '../src/machine/format/ept.ts';
import { type Geometry, indexAt, MANUAL_4, type Word64 } from '../src/machine/format/format.ts';
import { OK, READ, USER, type WalkedFormat } from '../src/machine/format/judge.ts';
import { x86_64 } from '../src/machine/format/x86-64.ts';
import { FRAME_BYTES, Memory } from '../src/machine/memory.ts';
import { Walker } from '../src/machine/walk.ts';
import { NestedWalker } from '../src/machine/walk-2d.ts';

export interface BenchResult {
  readonly name: string;
  readonly perSecond: number;
  readonly unit: string;
}

/** 64 MiB, whose tables stay in the processor's own caches, and 4 GiB, whose tables do not. */
const SIZES = [
  { name: '64 MiB', pages: 1 << 14 },
  { name: '4 GiB', pages: 1 << 20 },
];
const WALKS = 1 << 20;
const RIGHTS = { read: true, write: true, execute: true, user: true };

/** The next table frame; data frames are below the first. */
class Frames {
  next: number;

  constructor(first: number) {
    this.next = first;
  }
}

/** Maps `pages` pages from 0 on to the frames that `frameOf` names; returns the root. */
function build(
  format: WalkedFormat,
  frames: Frames,
  pages: number,
  frameOf: (page: number) => number,
  put: (pfn: number, index: number, word: Word64) => void,
): number {
  const geometry: Geometry = format.geometry;
  const root = frames.next++;
  const known = new Map<string, number>();
  for (let page = 0; page < pages; page++) {
    let table = root;
    for (let level = geometry.levels - 1; level > 0; level--) {
      const key = `${level}:${Math.floor(page / 2 ** (geometry.indexBits * level))}`;
      let child = known.get(key);
      if (child === undefined) {
        child = frames.next++;
        known.set(key, child);
        put(table, indexAt(geometry, page, level), format.table(child));
      }
      table = child;
    }
    const spec = { pfn: frameOf(page), level: 0, rights: RIGHTS, accessed: true, dirty: true };
    put(table, indexAt(geometry, page, 0), format.leaf(spec));
  }
  return root;
}

function randomPages(count: number): Float64Array {
  const pages = new Float64Array(WALKS);
  let state = 12345;
  for (let i = 0; i < WALKS; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    pages[i] = (state >>> 8) % count;
  }
  return pages;
}

/** Best of some runs: what the machine can do, without what else ran on it. */
function rate(name: string, unit: string, count: number, run: () => void): BenchResult {
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 5; round++) {
    const start = performance.now();
    run();
    best = Math.min(best, performance.now() - start);
  }
  return { name, perSecond: Math.round(count / (best / 1000)), unit };
}

/** Dependent reads through a random cycle over as many bytes as the tables have. */
function chase(bytes: number, reads: number): () => void {
  const length = bytes / 4;
  const next = new Int32Array(length);
  const stride = (0x9e3779b1 % length) | 1; // odd: coprime to the power of two
  let at = 0;
  for (let i = 0; i < length; i++) {
    const to = (at + stride) % length;
    next[at] = to;
    at = to;
  }
  return () => {
    let cursor = 0;
    for (let i = 0; i < reads; i++) cursor = next[cursor];
    if (cursor < 0) throw new Error('unreachable: keeps the loop alive');
  };
}

function benchSize(name: string, count: number): BenchResult[] {
  const memory = new Memory({ frames: 1 << 13 });
  const guest = x86_64(MANUAL_4);
  const second = ept(MANUAL_4);
  const put = (pfn: number, index: number, word: Word64): void =>
    memory.writeHalves(pfn * FRAME_BYTES + index * 8, word.lo, word.hi);
  const scatter = (page: number): number => (page * 0x5851) % count;

  // Guest tables take guest frames after the guest's data; the second stage maps both. Host frames
  // of guest tables lie after those of the one-dimensional tables.
  const oneRoot = build(guest, new Frames(count), count, scatter, put);
  const guestFrames = new Frames(count);
  const hostOf = (gfn: number): number => (gfn < count ? scatter(gfn) : gfn + count);
  const guestRoot = build(guest, guestFrames, count, scatter, (gfn, index, word) =>
    put(hostOf(gfn), index, word),
  );
  const secondRoot = build(second, new Frames(4 * count), guestFrames.next, hostOf, put);

  const pages = randomPages(count);
  const single = new Walker(memory, guest);
  const nested = new NestedWalker(memory, guest, second);
  return [
    rate(`walk of 4 levels, ${name}`, 'walks/s', WALKS, () => {
      for (let i = 0; i < WALKS; i++) {
        if (single.walk(oneRoot, pages[i], READ, USER) !== OK) throw new Error('fault');
      }
    }),
    rate(`walk of 4 x 4 levels, ${name}`, 'walks/s', WALKS, () => {
      for (let i = 0; i < WALKS; i++) {
        const outcome = nested.walk(guestRoot, secondRoot, pages[i], READ, USER);
        if (outcome !== OK) throw new Error('fault');
      }
    }),
    // Two leaf tables of 8 bytes per page are what a nested walk reads at random.
    rate(`24 dependent reads, ${name}`, 'chases/s', WALKS, chase(16 * count, 24 * WALKS)),
  ];
}

export function benchWalk(): BenchResult[] {
  return SIZES.flatMap(({ name, pages }) => benchSize(name, pages));
}
