/**
 * Calls that are too long for one piece: UNMAP and PROTECT answer CONTINUE with how far they have
 * come, every time farther, and what is counted is done. L0 keeps nothing in between.
 */
import { afterEach, describe, expect, it, vi } from 'vitest';
import {
  answerDetail,
  answerStatus,
  KpopCall,
  PROT_ALL,
  PROT_READ,
  packCount,
  packTarget,
  Status,
  unpackProgress,
} from '../../src/abi/kpop.ts';
import type { Routine } from '../../src/runtime/act.ts';
import { type Caller, intentOf, l1Runs, refused } from './l1-caller.ts';

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

/** Pages of a leaf table, and leaf tables: more than one call's budget of 4096 entries. */
const TABLE = 512;
const TABLES = 20;

/** A page in each of many leaf tables. */
function* spread(l1: Caller): Routine<void> {
  for (let i = 0; i < TABLES; i++) {
    expect(yield* l1.map(i * TABLE + 5, yield* l1.page(), 0, PROT_ALL)).toBe(Status.ok);
  }
}

/** Makes a call until nothing is left over; how many calls that took. */
function* series(
  l1: Caller,
  operation: number,
  elements: readonly (readonly [number, number])[],
  after: (pages: number) => void = () => undefined,
): Routine<number> {
  let count = packCount(elements.length);
  let before = -1;
  for (let calls = 1; ; calls++) {
    const answer = yield* l1.call(operation, elements, { count });
    if (answerStatus(answer) !== Status.continue) {
      expect(answer).toBe(Status.ok);
      return calls;
    }
    const progress = unpackProgress(answerDetail(answer));
    const done = progress.elements * 2 ** 18 + progress.pages;
    expect(done).toBeGreaterThan(before);
    before = done;
    after(progress.pages);
    count = packCount(elements.length, progress);
  }
}

describe('CONTINUE', () => {
  it('UNMAP of many table pages: bounded pieces, each visible when it is counted', () => {
    l1Runs([
      function* body(l1): Routine<void> {
        yield* spread(l1);
        const all = [[0, TABLES * TABLE]] as const;
        const calls = yield* series(l1, KpopCall.unmap, all, (pages) => {
          for (let i = 0; i * TABLE < pages; i++) {
            expect(intentOf(l1.scene, i * TABLE + 5)).toBeUndefined();
          }
        });
        expect(calls).toBe(Math.ceil((TABLES * TABLE) / 4096));
        for (let i = 0; i < TABLES; i++) {
          expect(intentOf(l1.scene, i * TABLE + 5)).toBeUndefined();
        }
      },
    ]);
  });

  it('PROTECT of many pages, and a continuation made twice', () => {
    l1Runs([
      function* body(l1): Routine<void> {
        yield* spread(l1);
        const all = [[packTarget(0, PROT_READ), TABLES * TABLE]] as const;
        expect(yield* series(l1, KpopCall.protect, all)).toBeGreaterThan(2);
        const half = packCount(1, { elements: 0, pages: TABLE, isStale: false });
        yield* l1.call(KpopCall.protect, all, { count: half });
        for (let i = 0; i < TABLES; i++) {
          expect(intentOf(l1.scene, i * TABLE + 5)!.intent.prot).toBe(PROT_READ);
        }
      },
    ]);
  });

  it('a progress that no call has answered is refused, and MAP has none', () => {
    l1Runs([
      function* body(l1): Routine<void> {
        const beyond = packCount(1, { elements: 2, pages: 0, isStale: false });
        const far = packCount(1, { elements: 0, pages: 2 ** 18, isStale: false });
        for (const count of [beyond, far]) {
          yield* refused(l1, Status.invalid, l1.call(KpopCall.unmap, [[0, 1]], { count }));
        }
        const one = packCount(1, { elements: 0, pages: 1, isStale: false });
        const target = packTarget(yield* l1.page(), PROT_ALL);
        yield* refused(l1, Status.invalid, l1.call(KpopCall.map, [[0, target]], { count: one }));
      },
    ]);
  });
});
