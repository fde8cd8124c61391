/**
 * DIRTY by hypercall, on tables of the manual's size: what is refused, which bit is which page,
 * what stands in for a fault's exit while L2 is logged; and what the log of a migration costs.
 */
import { afterEach, describe, expect, it, vi } from 'vitest';
import {
  answerDetail,
  answerStatus,
  FLAG_MORE,
  KpopCall,
  MAP_EXACT_ORDER,
  MAP_PROMOTE,
  PROT_ALL,
  packPage,
  packTarget,
  Status,
} from '../../src/abi/kpop.ts';
import { DIRTY_CALL, DIRTY_LIMIT, DirtyMode } from '../../src/abi/kpop-dirty.ts';
import type { Routine } from '../../src/runtime/act.ts';
import { exam, exits } from './exam.ts';
import { type Caller, l1Runs, refused } from './l1-caller.ts';

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

function dirty(l1: Caller, flags: number, first: number, pages = 1, join = 0): Routine<number> {
  return l1.call(DIRTY_CALL, [[first, pages]], { flags, join });
}

/** Pages that the last COLLECT has named, counted from its first; the answer fills the page. */
function named(l1: Caller, pages: number): number[] {
  return Array.from({ length: pages }, (_, i) => i).filter((i) => {
    return Math.floor(l1.answer(Math.floor(i / 32)) / 2 ** (i % 32)) % 2 === 1;
  });
}

function logged(body: (l1: Caller) => Routine<void>, pages: '4k' | '2m' = '4k'): void {
  l1Runs([body], 'kpop', { pages }, { logs: true });
}

describe('DIRTY', () => {
  it('names pages from the first of the range on, once', () => {
    logged(function* body(l1): Routine<void> {
      const { first } = l1.scene;
      const mapped = [3, 31, 32, 70];
      for (const page of mapped) {
        expect(yield* l1.map(first + page, yield* l1.page(), 0, PROT_ALL)).toBe(Status.ok);
      }
      // The log is of another range: what is mapped elsewhere was written to for all it knows.
      expect(yield* dirty(l1, DirtyMode.on, first + 100)).toBe(Status.ok);
      const answer = yield* dirty(l1, DirtyMode.collect, first + 2, 90);
      expect([answerStatus(answer), answerDetail(answer)]).toEqual([Status.ok, 4]);
      expect(named(l1, 90)).toEqual(mapped.map((page) => page - 2));
      expect(answerDetail(yield* dirty(l1, DirtyMode.collect, first + 2, 90))).toBe(0);
      expect(named(l1, 90)).toEqual([]);
      // Taken away while it was clean: there is nothing to name.
      expect(yield* l1.unmap(first + 3, 1, 1)).toBe(Status.ok);
      expect(answerDetail(yield* dirty(l1, DirtyMode.collect, first, 90))).toBe(0);
    });
  });

  it('begins anew with ON, and in a series waits for one flush', () => {
    logged(function* body(l1): Routine<void> {
      const { first } = l1.scene;
      expect(yield* l1.map(first, yield* l1.page(), 0, PROT_ALL)).toBe(Status.ok);
      const more = yield* dirty(l1, DirtyMode.on + FLAG_MORE, first, 8);
      expect(answerStatus(more)).toBe(Status.ok);
      expect(answerDetail(more)).toBeGreaterThan(0);
      expect(yield* dirty(l1, DirtyMode.on, first + 8, 8, answerDetail(more))).toBe(Status.ok);
      expect(answerDetail(yield* dirty(l1, DirtyMode.collect, first, 16))).toBe(0);
      expect(yield* dirty(l1, DirtyMode.off, first)).toBe(Status.ok);
    });
  });

  it('refuses ranges, modes and labels that there are not, and COLLECT without ON', () => {
    logged(function* body(l1): Routine<void> {
      const { first, l2Pages } = l1.scene;
      yield* refused(l1, Status.invalid, dirty(l1, DirtyMode.collect, first));
      for (const flags of [0, 1, DirtyMode.on + DirtyMode.off, 2 * DirtyMode.collect]) {
        yield* refused(l1, Status.invalid, dirty(l1, flags, first));
      }
      for (const pages of [0, DIRTY_LIMIT + 1, l2Pages]) {
        yield* refused(l1, Status.invalid, dirty(l1, DirtyMode.on, first, pages));
      }
      yield* refused(l1, Status.invalid, dirty(l1, DirtyMode.on, first, 1, 99));
      expect(yield* dirty(l1, DirtyMode.on, first)).toBe(Status.ok);
      yield* refused(l1, Status.invalid, dirty(l1, DirtyMode.collect + FLAG_MORE, first));
    });
  });

  it('splits huge leaves, and lets none come while L2 is logged', () => {
    logged(function* body(l1): Routine<void> {
      const { first } = l1.scene;
      const block = yield* l1.block(512);
      const map = (flags: number): Routine<number> =>
        l1.call(KpopCall.map, [[packPage(first, 9, flags), packTarget(block, PROT_ALL)]]);
      expect(yield* map(0)).toBe(Status.ok);
      expect(yield* dirty(l1, DirtyMode.on, first, 512)).toBe(Status.ok);
      expect(answerDetail(yield* dirty(l1, DirtyMode.collect, first, 512))).toBe(0);
      yield* refused(l1, Status.order, map(MAP_PROMOTE));
      yield* refused(l1, Status.order, map(MAP_PROMOTE + MAP_EXACT_ORDER));
      expect(yield* dirty(l1, DirtyMode.off, first)).toBe(Status.ok);
      expect(yield* map(MAP_PROMOTE)).toBe(Status.ok);
    }, '2m');
  });
});

describe('exits of a migration, V vCPUs that write n pages each', () => {
  const N = 512;
  const first = `dirty-log:pages=${N},rounds=0`;

  it.each([1, 4])('D: no exit per write (V=%i)', (vcpus) => {
    expect(exits('kpop', first, { vcpus })).toBe(0);
  });

  it.each([1, 4])('PML: one per 512 pages that were clean (V=%i)', (vcpus) => {
    expect(exits('kpop:log=pml', first, { vcpus })).toBe(vcpus);
  });

  it.each([1, 4])('protection: one per page, as in tdp (V=%i)', (vcpus) => {
    const is = exits('kpop:log=protect', first, { vcpus });
    expect(is).toBeGreaterThanOrEqual(vcpus * N);
    expect(is).toBe(exits('tdp:log=protect', first, { vcpus }));
  });

  it.each([1, 4])('a COLLECT: the call, and V that are flushed (V=%i)', (vcpus) => {
    // Long enough that every vCPU is in its second pass all the while.
    const { counts } = exam('kpop', 'dirty-log:pages=2048,rounds=1', { vcpus });
    expect(counts.ipis).toBe(vcpus);
    expect(counts.exits).toBe(counts.hypercalls + vcpus);
  });
});
