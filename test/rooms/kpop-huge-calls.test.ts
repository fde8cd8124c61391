/**
 * Huge intents by hypercall, on tables of the manual's size: what is refused, what a part of one
 * costs, and what is put together again; and what L1 with huge pages of its own saves.
 */
import { afterEach, describe, expect, it, vi } from 'vitest';
import {
  AGE_CLEAR,
  AGE_LIMIT,
  answerDetail,
  answerStatus,
  KpopCall,
  MAP_EXACT_ORDER,
  MAP_PROMOTE,
  PROT_ALL,
  PROT_READ,
  packPage,
  packTarget,
  Status,
} from '../../src/abi/kpop.ts';
import { kpopTree } from '../../src/check/invariant/kpop-tree.ts';
import type { Routine } from '../../src/runtime/act.ts';
import { exam, exits } from './exam.ts';
import { type Caller, l1Runs, refused, type Scene } from './l1-caller.ts';

vi.mock('../../src/hypervisor/backing/anonymous.ts', async (real) =>
  (await import('./observed.ts')).watch(await real<object>(), 'AnonymousBacking' as never),
);
vi.mock('../../src/hypervisor/mmu/kpop/space.ts', async (real) =>
  (await import('./observed.ts')).watch(await real<object>(), 'Space' as never),
);
vi.mock('../../src/guest/l1/kpop.ts', async (real) =>
  (await import('./observed.ts')).watch(await real<object>(), 'KpopGuest' as never),
);

afterEach(() => vi.restoreAllMocks());

const BLOCK = 512;
const ORDER = 9;

function mapHuge(l1: Caller, l2gfn: number, l1gfn: number, flags = 0, order = ORDER) {
  const element = [packPage(l2gfn, order, flags), packTarget(l1gfn, PROT_ALL)] as const;
  return l1.call(KpopCall.map, [element]);
}

/** Leaves that hardware has from a page on, by level. */
function leaves({ host, space }: Scene, first: number): Record<number, number> {
  const found: Record<number, number> = {};
  for (const { page, entry, table } of kpopTree(host, space).places) {
    if (entry.kind !== 'leaf' || page < first || page >= first + BLOCK) continue;
    found[table.level] = (found[table.level] ?? 0) + 1;
  }
  return found;
}

describe('MAP of a huge intent', () => {
  it('is one leaf where the host has huge pages, and none at first where it has not', () => {
    for (const [pages, expected] of [
      ['2m', { 1: 1 }],
      ['4k', {}],
    ] as const) {
      const body = function* body(l1: Caller): Routine<void> {
        expect(yield* mapHuge(l1, l1.scene.first, yield* l1.block(BLOCK))).toBe(Status.ok);
      };
      const scene = l1Runs([body], 'kpop', { pages });
      expect(leaves(scene, scene.first)).toEqual(expected);
    }
  });

  it('orders that no processor has, and pages that are not aligned, are invalid', () => {
    const body = function* body(l1: Caller): Routine<void> {
      const { first, l2Pages } = l1.scene;
      const at = yield* l1.block(BLOCK);
      for (const order of [1, 8, 10, 27, 36]) {
        yield* refused(l1, Status.invalid, mapHuge(l1, first, at, 0, order));
      }
      yield* refused(l1, Status.invalid, mapHuge(l1, first + 1, at));
      yield* refused(l1, Status.invalid, mapHuge(l1, first, at + 1));
      yield* refused(l1, Status.invalid, mapHuge(l1, first, at, 4));
      yield* refused(l1, Status.invalid, mapHuge(l1, Math.ceil(l2Pages / BLOCK) * BLOCK, at));
      const beyond = Math.ceil(l1.scene.l1Pages / BLOCK) * BLOCK;
      yield* refused(l1, Status.fault, mapHuge(l1, first, beyond));
    };
    l1Runs([body], 'kpop', { pages: '2m' });
  });

  it('EXACT_ORDER and PROMOTE insist on a page of the host that is as large', () => {
    const body = function* body(l1: Caller): Routine<void> {
      const { first } = l1.scene;
      const at = yield* l1.block(BLOCK);
      yield* refused(l1, Status.order, mapHuge(l1, first, at, MAP_EXACT_ORDER));
      expect(yield* l1.map(first, at, 0, PROT_ALL)).toBe(Status.ok);
      yield* refused(l1, Status.busy, mapHuge(l1, first, at));
      yield* refused(l1, Status.order, mapHuge(l1, first, at, MAP_PROMOTE));
    };
    l1Runs([body], 'kpop', { pages: '4k' });
  });

  it('is idempotent, as is a MAP of a part of it; anything else is in the way', () => {
    const body = function* body(l1: Caller): Routine<void> {
      const { first } = l1.scene;
      const at = yield* l1.block(BLOCK);
      expect(yield* mapHuge(l1, first, at)).toBe(Status.ok);
      yield* refused(l1, Status.ok, mapHuge(l1, first, at));
      yield* refused(l1, Status.ok, l1.map(first + 7, at + 7, 0, PROT_ALL));
      yield* refused(l1, Status.busy, l1.map(first + 7, at + 8, 0, PROT_ALL));
      yield* refused(l1, Status.busy, mapHuge(l1, first, yield* l1.block(BLOCK)));
    };
    l1Runs([body], 'kpop', { pages: '2m' });
  });
});

describe('a part of a huge intent', () => {
  it.each([
    ['UNMAP', BLOCK - 1],
    ['PROTECT', BLOCK],
  ] as const)('%s: one call, and every other page is there as before: no refill', (call, left) => {
    const body = function* body(l1: Caller): Routine<void> {
      const { first } = l1.scene;
      expect(yield* mapHuge(l1, first, yield* l1.block(BLOCK))).toBe(Status.ok);
      const answer =
        call === 'UNMAP' ? yield* l1.unmap(first + 3) : yield* l1.protect(first + 3, PROT_READ);
      expect([answerStatus(answer), answerDetail(answer)]).toEqual([Status.ok, 0]);
    };
    const scene = l1Runs([body], 'kpop', { pages: '2m' });
    expect(leaves(scene, scene.first)).toEqual({ 0: left });
  });

  it('the whole of it is unmapped or protected without a table', () => {
    const body = function* body(l1: Caller): Routine<void> {
      const { first } = l1.scene;
      expect(yield* mapHuge(l1, first, yield* l1.block(BLOCK))).toBe(Status.ok);
      expect(yield* l1.protect(first, PROT_READ, 0, BLOCK)).toBe(Status.ok);
      expect(leaves(l1.scene, first)).toEqual({ 1: 1 });
      expect(yield* l1.unmap(first, BLOCK)).toBe(Status.ok);
      expect(leaves(l1.scene, first)).toEqual({});
    };
    l1Runs([body], 'kpop', { pages: '2m' });
  });

  it('is promoted again when all agree, holes included', () => {
    const body = function* body(l1: Caller): Routine<void> {
      const { first } = l1.scene;
      const at = yield* l1.block(BLOCK);
      expect(yield* mapHuge(l1, first, at)).toBe(Status.ok);
      expect(yield* l1.unmap(first + 3)).toBe(Status.ok);
      yield* refused(l1, Status.busy, mapHuge(l1, first, at));
      expect(yield* mapHuge(l1, first, at, MAP_PROMOTE)).toBe(Status.ok);
      expect(leaves(l1.scene, first)).toEqual({ 1: 1 });
    };
    l1Runs([body], 'kpop', { pages: '2m' });
  });
});

describe('AGE', () => {
  it('says what was used, once if it clears; a huge leaf speaks for all its pages', () => {
    const body = function* body(l1: Caller): Routine<void> {
      const { first } = l1.scene;
      const ask = (pages: number, flags = 0) => l1.call(KpopCall.age, [[first, pages]], { flags });
      expect(yield* mapHuge(l1, first, yield* l1.block(BLOCK))).toBe(Status.ok);
      expect(yield* ask(40)).toBe(Status.ok);
      expect([l1.word(0), l1.word(1)]).toEqual([2 ** 32 - 1, 255]);
      expect(yield* ask(40, AGE_CLEAR)).toBe(Status.ok);
      expect([l1.word(0), l1.word(1)]).toEqual([2 ** 32 - 1, 255]);
      expect(yield* ask(40)).toBe(Status.ok);
      expect([l1.word(0), l1.word(1)]).toEqual([0, 0]);
      expect(yield* l1.unmap(first + 1)).toBe(Status.ok);
      expect(yield* ask(4)).toBe(Status.ok);
      expect(l1.word(0)).toBe(0b1101); // a split leaves its parts as used
    };
    l1Runs([body], 'kpop', { pages: '2m' });
  });

  it('is refused beyond L2, for too many pages, and for more than one range', () => {
    const body = function* body(l1: Caller): Routine<void> {
      const { first, l2Pages } = l1.scene;
      for (const range of [
        [first, 0],
        [first, AGE_LIMIT + 1],
        [l2Pages, 1],
      ] as const) {
        yield* refused(l1, Status.invalid, l1.call(KpopCall.age, [range]));
      }
      const two = [
        [first, 1],
        [first, 1],
      ] as const;
      yield* refused(l1, Status.invalid, l1.call(KpopCall.age, two));
      const at = l1.scene.l1Pages * 4096;
      yield* refused(l1, Status.fault, l1.call(KpopCall.age, [[first, 1]], { at }));
    };
    l1Runs([body]);
  });
});

describe('L1 with huge pages', () => {
  it.each(['xarray', 'rbtree', 'interval', 'flat', 'none'])(
    '2 exits per huge page, as per page without (book=%s)',
    (book) => {
      const pages = 4 * BLOCK;
      const small = exits(`kpop:book=${book}`, `touch:pages=${pages}`);
      const huge = exits(`kpop:book=${book}`, `touch:pages=${pages}`, {
        conditions: { pages: '2m' },
      });
      expect(small).toBe(2 * pages);
      // The guest has touched a page of the first when it booted.
      expect(huge).toBeLessThanOrEqual(2 * (pages / BLOCK + 1));
      expect(huge).toBeGreaterThanOrEqual(2 * (pages / BLOCK - 1));
    },
  );

  it('1 GiB: as 2 MiB, once per GiB', () => {
    const conditions = { pages: '1g' } as const;
    expect(exits('kpop', 'touch:pages=2048', { conditions })).toBeLessThanOrEqual(2);
  });

  it('reclaim takes pages out of huge ones with no more exits than small pages cost', () => {
    const run = exam('kpop', 'reclaim', { vcpus: 2, conditions: { pages: '2m' } });
    const small = exam('kpop', 'reclaim', { vcpus: 2 });
    expect(run.counts.exits).toBeLessThanOrEqual(small.counts.exits);
  });
});
