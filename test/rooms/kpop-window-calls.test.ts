/**
 * WINDOW by hypercall, on tables of the manual's size: what is refused, what UNMAP and PROTECT
 * leave of a window, and that a first touch below one is an exit into L0 and none into L1.
 */
import { afterEach, describe, expect, it, vi } from 'vitest';
import {
  KpopCall,
  KpopExit,
  PROT_ALL,
  PROT_READ,
  packTarget,
  StatePage,
  Status,
} from '../../src/abi/kpop.ts';
import { WINDOW_CALL, WINDOW_LIMIT, WINDOW_PAGES } from '../../src/abi/kpop-window.ts';
import type { GuestContext } from '../../src/machine/guest.ts';
import { cpuid, vmcall } from '../../src/machine/instruction.ts';
import type { Routine } from '../../src/runtime/act.ts';
import { Event } from '../../src/runtime/trace.ts';
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

const PAGES = 16;

interface Wanted {
  readonly first: number;
  readonly pages?: number;
  readonly l1gfn: number;
  readonly prot?: number;
  readonly epoch?: number;
}

function open(l1: Caller, { first, pages = PAGES, l1gfn, prot, epoch = 0 }: Wanted) {
  const target = packTarget(l1gfn, prot ?? PROT_ALL);
  const elements = [[first, pages] as const, [target, 0] as const];
  return l1.call(WINDOW_CALL, elements, { epoch, count: 1 });
}

/** Windows in force, from the first page of the data range on: pages, L1 pages, rights. */
function windowsOf({ scene: { space, host, first } }: Caller, l1gfn: number): number[][] {
  return space.windows!.peek(host).map((each) => {
    return [each.first - first, each.end - first, each.l1gfn - l1gfn, each.prot];
  });
}

function run(body: (l1: Caller) => Routine<void>): void {
  l1Runs([body], 'kpop', { pages: '4k' }, { windows: true });
}

describe('WINDOW', () => {
  it('is trimmed by UNMAP and narrowed by PROTECT of a part', () => {
    run(function* body(l1): Routine<void> {
      const { first } = l1.scene;
      const l1gfn = yield* l1.page(); // any memory of L1 will do
      expect(yield* open(l1, { first, l1gfn })).toBe(Status.ok);
      expect(windowsOf(l1, l1gfn)).toEqual([[0, PAGES, 0, PROT_ALL]]);
      expect(yield* l1.unmap(first + 4, 2, 1)).toBe(Status.ok);
      expect(yield* l1.protect(first + 8, PROT_READ, 1, 2)).toBe(Status.ok);
      expect(windowsOf(l1, l1gfn)).toEqual([
        [0, 4, 0, PROT_ALL],
        [6, 8, 6, PROT_ALL],
        [8, 10, 8, PROT_READ],
        [10, PAGES, 10, PROT_ALL],
      ]);
      expect(yield* l1.protect(first, PROT_ALL, 1, PAGES)).toBe(Status.ok); // gives nothing back
      expect(windowsOf(l1, l1gfn)).toHaveLength(4);
      expect(yield* l1.unmap(first, PAGES, 2)).toBe(Status.ok);
      expect(windowsOf(l1, l1gfn)).toEqual([]);
    });
  });

  it('refuses what meets another, comes late, or is no range, memory or right', () => {
    run(function* body(l1): Routine<void> {
      const { first, l2Pages, l1Pages } = l1.scene;
      const l1gfn = yield* l1.page();
      expect(yield* open(l1, { first, l1gfn })).toBe(Status.ok);
      yield* refused(l1, Status.busy, open(l1, { first: first + PAGES - 1, l1gfn }));
      const other = first + 2 * PAGES;
      for (const pages of [0, WINDOW_PAGES + 1, l2Pages]) {
        yield* refused(l1, Status.invalid, open(l1, { first: other, pages, l1gfn }));
      }
      yield* refused(l1, Status.invalid, open(l1, { first: other, l1gfn, prot: 2 }));
      yield* refused(l1, Status.fault, open(l1, { first: other, l1gfn: l1Pages - PAGES + 1 }));
      expect(yield* l1.unmap(other, 1, 5)).toBe(Status.ok);
      yield* refused(l1, Status.stale, open(l1, { first: other, l1gfn, epoch: 4 }));
      expect(windowsOf(l1, l1gfn)).toEqual([[0, PAGES, 0, PROT_ALL]]);
    });
  });

  it('there are so many, and an UNMAP that would leave more is BUSY', () => {
    run(function* body(l1): Routine<void> {
      const { first } = l1.scene;
      const l1gfn = yield* l1.page();
      for (let i = 0; i < WINDOW_LIMIT; i++) {
        const window = { first: first + 4 * i, pages: 3, l1gfn };
        expect(yield* open(l1, window)).toBe(Status.ok);
      }
      yield* refused(l1, Status.busy, open(l1, { first: first + 4 * WINDOW_LIMIT, l1gfn }));
      yield* refused(l1, Status.busy, l1.unmap(first + 1, 1, 1));
      yield* refused(l1, Status.busy, l1.protect(first + 1, PROT_READ, 1));
      expect(yield* l1.unmap(first, 2, 1)).toBe(Status.ok); // at its edge: no more than before
    });
  });
});

describe('a first touch below a window', () => {
  it.each([1, 4, 16])('is one exit into L0 and none into L1 (%i pages)', (pages) => {
    let at = 0;
    let faults = 0;
    const l2 = function* touch(me: GuestContext): Routine<void> {
      for (let i = 0; i < pages; i++) yield me.store((at + i) * 4096, 1, 'test.touch');
      for (;;) yield cpuid(me, 0, 'test.l2');
    };
    const reasons: number[] = [];
    l1Runs(
      [
        function* body(l1): Routine<void> {
          const { first, hypervisor } = l1.scene;
          at = first;
          expect(yield* open(l1, { first, l1gfn: yield* l1.page() })).toBe(Status.ok);
          yield vmcall(l1.me, KpopCall.run, [0], 'test.run');
          reasons.push(l1.me.read(hypervisor.statePage(0) + StatePage.exitReason));
        },
      ],
      'kpop',
      { pages: '4k' },
      {
        windows: true,
        l2,
        trace: {
          event(kind, _cpu, _cycle, reason, level): void {
            if (kind === Event.exit && level === 2 && reason === KpopExit.fault) faults++;
          },
        },
      },
    );
    // L1's RUN ends with what L2 does after it has touched all.
    expect(reasons).toEqual([KpopExit.cpuid]);
    expect(faults).toBe(pages);
  });
});
