/**
 * KPOP's hypercalls against an L1 that may pass anything: statuses of primer/x86.md 6.2, the epoch
 * fence, series of UNMAPs with one flush; and a refused call changes no intent and no entry. L1's
 * own code is replaced by the calls of each test; L0, its tables and flushes are the real ones.
 */
import { afterEach, describe, expect, it, vi } from 'vitest';
import {
  answerDetail,
  answerStatus,
  FLAG_MORE,
  FUSED_RECORD_BYTES,
  KpopCall,
  LIST_LIMIT,
  PROT_ALL,
  PROT_READ,
  PROT_WRITE,
  packTarget,
  RUN_REFUSED,
  StatePage,
  Status,
} from '../../src/abi/kpop.ts';
import { OwnerCall } from '../../src/abi/owner.ts';
import { Random } from '../../src/base/random.ts';
import { kpopTree } from '../../src/check/invariant/kpop-tree.ts';
import { vmcall } from '../../src/machine/instruction.ts';
import { num, type Routine } from '../../src/runtime/act.ts';
import { type Body, intentOf, l1Runs, refused } from './l1-caller.ts';

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

const RW = PROT_READ | PROT_WRITE;

describe('MAP', () => {
  it('the same again is ok; another page or other rights are EBUSY', () => {
    const scene = l1Runs([
      function* body(l1): Routine<void> {
        const { first } = l1.scene;
        const [a, b] = [yield* l1.page(), yield* l1.page()];
        expect(yield* l1.map(first, a)).toBe(Status.ok);
        yield* refused(l1, Status.ok, l1.map(first, a));
        yield* refused(l1, Status.busy, l1.map(first, b));
        yield* refused(l1, Status.busy, l1.map(first, a, 0, PROT_READ));
        expect(intentOf(l1.scene, first)!.intent).toMatchObject({ payload: a, prot: RW });
      },
    ]);
    expect(intentOf(scene, scene.first)!.entry.kind).toBe('leaf');
  });

  it('EINVAL: beyond L2, no right to read, more elements than a page holds', () => {
    l1Runs([
      function* body(l1): Routine<void> {
        const a = yield* l1.page();
        const { first, l2Pages } = l1.scene;
        for (const l2gfn of [l2Pages, 2 ** 40, 2 ** 52]) {
          yield* refused(l1, Status.invalid, l1.map(l2gfn, a));
        }
        yield* refused(l1, Status.invalid, l1.map(first, a, 0, PROT_WRITE));
        yield* refused(l1, Status.invalid, l1.map(first, a, 0, 0));
        const header = { count: LIST_LIMIT + 1 };
        yield* refused(l1, Status.invalid, l1.call(KpopCall.map, [[first, a * 8 + RW]], header));
        yield* refused(l1, Status.invalid, l1.call(KpopCall.map, [], { at: a * 4096 + 8 }));
      },
    ]);
  });

  it('EFAULT: an L1 page that is none, an argument page that is no memory', () => {
    l1Runs([
      function* body(l1): Routine<void> {
        const { first, l1Pages } = l1.scene;
        for (const l1gfn of [l1Pages, 2 ** 40]) {
          yield* refused(l1, Status.fault, l1.map(first, l1gfn));
        }
        const at = l1Pages * 4096;
        yield* refused(l1, Status.fault, l1.call(KpopCall.map, [], { at }));
        yield* refused(l1, Status.fault, l1.call(KpopCall.unmap, [], { at: at * 1024 }));
      },
    ]);
  });

  it('a list ends at its first refusal: what came before it holds, what came after is not', () => {
    const scene = l1Runs([
      function* body(l1): Routine<void> {
        const { first, l1Pages } = l1.scene;
        const a = yield* l1.page();
        const target = packTarget(a, RW);
        const bad = packTarget(l1Pages, RW);
        const elements = [first, first + 1, first + 2].map((page, i) => [page, target, i] as const);
        const list = elements.map(([page, good, i]): [number, number] => [
          page,
          i === 1 ? bad : good,
        ]);
        const answer = yield* l1.call(KpopCall.map, list);
        expect([answerStatus(answer), answerDetail(answer)]).toEqual([Status.fault, 1]);
      },
    ]);
    const mapped = [0, 1, 2].map((i) => intentOf(scene, scene.first + i)?.intent.state);
    expect(mapped).toEqual(['valid', undefined, undefined]);
  });
});

describe('UNMAP', () => {
  it('raises the fence: an older epoch is ESTALE in the whole 2 MiB, the same is ok', () => {
    l1Runs([
      function* body(l1): Routine<void> {
        const { first } = l1.scene;
        const a = yield* l1.page();
        expect(yield* l1.map(first, a, 4)).toBe(Status.ok);
        expect(yield* l1.unmap(first, 1, 5)).toBe(Status.ok);
        expect(intentOf(l1.scene, first)!.entry.kind).toBe('empty');
        yield* refused(l1, Status.stale, l1.map(first, a, 4));
        yield* refused(l1, Status.stale, l1.map(first + 511, a, 4));
        expect(yield* l1.map(first + 512, a, 4)).toBe(Status.ok); // another group
        expect(yield* l1.map(first, a, 5)).toBe(Status.ok);
      },
    ]);
  });

  it('has flushed when it returns; of absent pages it is ok and flushes nothing', () => {
    l1Runs([
      function* body(l1): Routine<void> {
        const { first, space, host } = l1.scene;
        expect(yield* l1.unmap(first, 100)).toBe(Status.ok);
        expect(host.read(space.gen)).toBe(0);
        expect(yield* l1.map(first, yield* l1.page())).toBe(Status.ok);
        expect(yield* l1.unmap(first, 100)).toBe(Status.ok);
        expect([host.read(space.gen), host.read(space.doneGen)]).toEqual([1, 1]);
      },
    ]);
  });

  it('EINVAL: no pages, pages beyond L2; one bad range and the whole call does nothing', () => {
    l1Runs([
      function* body(l1): Routine<void> {
        const { first, l2Pages } = l1.scene;
        expect(yield* l1.map(first, yield* l1.page())).toBe(Status.ok);
        yield* refused(l1, Status.invalid, l1.unmap(first, 0));
        yield* refused(l1, Status.invalid, l1.unmap(l2Pages - 1, 2));
        yield* refused(l1, Status.invalid, l1.unmap(first, 2 ** 51));
        const list = [[first, 1] as const, [l2Pages, 1] as const];
        yield* refused(l1, Status.invalid, l1.call(KpopCall.unmap, list));
      },
    ]);
  });

  it('in series: FLAG_MORE answers with a label and no flush; the call that joins flushes', () => {
    l1Runs([
      function* body(l1): Routine<void> {
        const { first, space, host } = l1.scene;
        for (let i = 0; i < 3; i++) yield* l1.map(first + i, yield* l1.page());
        const one = yield* l1.call(KpopCall.unmap, [[first, 1]], { flags: FLAG_MORE });
        const two = yield* l1.call(KpopCall.unmap, [[first + 1, 1]], { flags: FLAG_MORE });
        expect([answerStatus(one), answerStatus(two)]).toEqual([Status.ok, Status.ok]);
        const join = Math.max(answerDetail(one), answerDetail(two));
        expect([join, host.read(space.doneGen)]).toEqual([1, 0]);
        const future = { join: join + 1 };
        yield* refused(l1, Status.invalid, l1.call(KpopCall.unmap, [], future));
        expect(yield* l1.call(KpopCall.unmap, [[first + 500, 1]], { join })).toBe(Status.ok);
        expect(host.read(space.doneGen)).toBeGreaterThanOrEqual(join);
      },
    ]);
  });

  it('of an emptied page joins the flush that is still owed, and so does a MAP there', () => {
    l1Runs([
      function* body(l1): Routine<void> {
        const { first, space, host } = l1.scene;
        const a = yield* l1.page();
        for (const again of ['unmap', 'map']) {
          yield* l1.map(first, a);
          const owed = yield* l1.call(KpopCall.unmap, [[first, 1]], { flags: FLAG_MORE });
          expect(host.read(space.doneGen)).toBeLessThan(answerDetail(owed));
          expect(yield* again === 'unmap' ? l1.unmap(first) : l1.map(first, a)).toBe(Status.ok);
          expect(host.read(space.doneGen)).toBe(answerDetail(owed));
        }
      },
    ]);
  });
});

describe('PROTECT', () => {
  it('takes rights from intent and entry, and has flushed; gives them to the intent first', () => {
    l1Runs([
      function* body(l1): Routine<void> {
        const { first, space, host } = l1.scene;
        const has = (): unknown[] => {
          const { intent, entry } = intentOf(l1.scene, first)!;
          return [intent.prot, entry.read, entry.write, host.read(space.doneGen)];
        };
        yield* l1.map(first, yield* l1.page());
        expect(yield* l1.protect(first, PROT_READ, 3)).toBe(Status.ok);
        expect(has()).toEqual([PROT_READ, true, false, 1]);
        yield* refused(l1, Status.stale, l1.protect(first, PROT_ALL, 2));
        yield* refused(l1, Status.stale, l1.map(first + 1, yield* l1.page(), 2));
        expect(yield* l1.protect(first, PROT_ALL, 3)).toBe(Status.ok);
        expect(has()).toEqual([PROT_ALL, true, false, 1]);
      },
    ]);
  });

  it('passes over what is absent; EINVAL: no right to read, no pages, pages beyond L2', () => {
    l1Runs([
      function* body(l1): Routine<void> {
        const { first, l2Pages } = l1.scene;
        yield* refused(l1, Status.ok, l1.protect(first, PROT_READ, 0, 600));
        yield* refused(l1, Status.invalid, l1.protect(first, PROT_WRITE));
        yield* refused(l1, Status.invalid, l1.protect(first, PROT_READ, 0, 0));
        yield* refused(l1, Status.invalid, l1.protect(l2Pages - 1, PROT_READ, 0, 2));
      },
    ]);
  });
});

describe('RUN', () => {
  it('ESTALE for a vCPU that is none, or that has no number', () => {
    l1Runs([
      function* body(l1): Routine<void> {
        for (const handle of [1, -1, 0.5, 2 ** 40]) {
          const answer = num(yield vmcall(l1.me, KpopCall.run, [handle], 'test.run'));
          expect(answer).toBe(Status.stale);
        }
      },
    ]);
  });

  it('EBUSY for a vCPU that another one of L1 runs already', () => {
    const answers: number[] = [];
    const body: Body = function* run({ me, scene }): Routine<void> {
      const state = scene.hypervisor.statePage(0);
      for (let i = 0; i < 200; i++) {
        answers.push(num(yield vmcall(me, KpopCall.run, [0], 'test.run')));
        me.write(state + StatePage.fusedCount, 0);
      }
    };
    l1Runs([body, body]);
    expect(answers.filter((answer) => answer === Status.busy).length).toBeGreaterThan(20);
    expect(answers.filter((answer) => answer === Status.ok).length).toBeGreaterThan(20);
  });

  it('records: each status replaces its operation up to the first that fails', () => {
    l1Runs([
      function* body(l1): Routine<void> {
        const { me, scene } = l1;
        const state = scene.hypervisor.statePage(me.seat);
        const a = yield* l1.page();
        const records = [
          [KpopCall.map, scene.first, packTarget(a, RW), 0],
          [KpopCall.unmap, scene.first, 1, 0],
          [KpopCall.map, scene.first + 1, packTarget(a, RW), 0],
        ];
        records.flat().forEach((word, i) => {
          me.write(state + StatePage.fused + i * 8, word);
        });
        me.write(state + StatePage.fusedCount, records.length);
        const answer = num(yield vmcall(me, KpopCall.run, [0], 'test.run'));
        const words = records.map((_, i) =>
          me.read(state + StatePage.fused + i * FUSED_RECORD_BYTES),
        );
        expect([answer, me.read(state + StatePage.exitReason), words]).toEqual([
          Status.ok,
          RUN_REFUSED,
          [Status.ok, Status.invalid, KpopCall.map],
        ]);
      },
    ]);
  });
});

describe('several vCPUs of L1', () => {
  it('two MAPs of one page at once: the same is ok for both, another is EBUSY for one', () => {
    const answers: number[] = [];
    let shared = 0;
    const same: Body = function* body(l1): Routine<void> {
      shared = shared === 0 ? yield* l1.page() : shared;
      answers.push(yield* l1.map(l1.scene.first, shared));
    };
    const own: Body = function* body(l1): Routine<void> {
      answers.push(yield* l1.map(l1.scene.first + 1, yield* l1.page()));
    };
    l1Runs([own, own, own]);
    expect([...answers].sort()).toEqual([Status.ok, Status.busy, Status.busy]);
    answers.length = 0;
    l1Runs([
      same,
      function* later(l1): Routine<void> {
        while (shared === 0) yield l1.me.fence('test.until');
        yield* same(l1);
      },
    ]);
    expect(answers).toEqual([Status.ok, Status.ok]);
  });

  it.each(['kpop', 'kpop:lock=vm', 'kpop:lock=global'])(
    '%s: random MAPs, UNMAPs and reclaims by four: K1, K4 and the generations hold',
    (design) => {
      const body: Body = function* churn(l1): Routine<void> {
        const random = new Random(5, l1.me.seat);
        const own: number[] = [];
        for (let i = 0; i < 6; i++) own.push(yield* l1.page());
        const list = (yield* l1.page()) * 4096;
        for (let i = 0; i < 120; i++) {
          const l2gfn = l1.scene.first + random.below(8) * 150;
          const l1gfn = own[random.below(own.length)]!;
          const what = random.below(8);
          if (what < 4) yield* l1.map(l2gfn, l1gfn, 2 ** 30);
          else if (what < 7) yield* l1.unmap(l2gfn, 1 + random.below(3));
          else {
            l1.me.write(list, l1gfn);
            l1.me.write(list + 8, 1);
            yield vmcall(l1.me, OwnerCall.reclaim, [list, 1], 'test.reclaim');
          }
        }
      };
      const scene = l1Runs([body, body, body, body], design);
      const leaves = kpopTree(scene.host, scene.space).places.filter(
        ({ table, entry }) => table.level === 0 && entry.kind === 'leaf',
      );
      expect(leaves.length).toBeGreaterThan(0);
      expect(scene.host.read(scene.space.gen)).toBeGreaterThan(20);
    },
  );
});
