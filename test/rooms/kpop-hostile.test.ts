/**
 * An L1 that means no good: its vCPUs make random and nearly right calls, in argument pages that
 * the others rewrite meanwhile, with garbage in state pages, and reclaims of L1's own pages in
 * between. Whatever it does, every answer is a documented one, no assertion of L0 fails, and when
 * it is over books agree with tables (`complaints`).
 *
 * KPOP_DEEP makes it more than a million calls.
 */
import { afterEach, expect, it, vi } from 'vitest';
import {
  answerStatus,
  FUSED_RECORD_BYTES,
  KpopCall,
  LIST_HEADER_BYTES,
  PROT_ALL,
  packPage,
  packTarget,
  StatePage,
  Status,
} from '../../src/abi/kpop.ts';
import { OwnerCall } from '../../src/abi/owner.ts';
import { Random } from '../../src/base/random.ts';
import { vmcall } from '../../src/machine/instruction.ts';
import { num, type Routine } from '../../src/runtime/act.ts';
import { type Body, type Caller, l1Runs } from './l1-caller.ts';

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

const VCPUS = 3;
const CALLS = process.env['KPOP_DEEP'] === undefined ? 4_000 : 350_000;
const OPERATIONS = Object.values(KpopCall);
/** Numbers at which something might go wrong. */
const EDGES = [
  0,
  1,
  7,
  511,
  512,
  2 ** 18,
  2 ** 31,
  2 ** 32,
  2 ** 40,
  2 ** 46,
  2 ** 52,
  2 ** 53 - 1,
];

/** What one vCPU of L1 does, out of one source of chance. */
class Villain {
  readonly #l1: Caller;
  readonly #random: Random;
  readonly #pages: readonly number[];

  constructor(l1: Caller, pages: readonly number[]) {
    this.#l1 = l1;
    this.#random = new Random(11, l1.me.seat);
    this.#pages = pages;
  }

  below(limit: number): number {
    return this.#random.below(limit);
  }

  oneOf<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)]!;
  }

  #any(): number {
    return this.below(3) === 0 ? this.oneOf(EDGES) : this.below(2 ** 20);
  }

  #l2gfn(): number {
    return this.#l1.scene.first + 512 * this.below(3) + this.below(12);
  }

  #prot(): number {
    return this.below(4) === 0 ? this.below(8) : PROT_ALL;
  }

  /** Words of an element: as the grammar has them, or anything. */
  element(operation: number): readonly [number, number] {
    if (this.below(80) === 0) return [this.#any(), this.#any()];
    const first = this.#l2gfn();
    const most = this.below(2) === 0 ? this.#l1.scene.l2Pages - first : 40;
    const pages = this.below(80) === 0 ? this.#any() : 1 + this.below(most);
    switch (operation) {
      case KpopCall.map: {
        const huge = this.below(6) === 0;
        const order = this.oneOf([9, 18, 5]);
        const word = huge ? packPage(first - (first % 512), order, this.below(5)) : first;
        const own = this.oneOf(this.#pages);
        const l1gfn = this.below(20) === 0 ? this.#any() : huge ? own - (own % 512) : own;
        return [word, packTarget(l1gfn, this.#prot())];
      }
      case KpopCall.protect:
        return [packTarget(first, this.#prot()), pages];
      default:
        return [first, pages];
    }
  }

  /** Overwrites a few words of an argument page, which another vCPU may be passing just now. */
  scribble(page: number): void {
    const { me } = this.#l1;
    const words = (LIST_HEADER_BYTES + 64) / 8;
    for (let i = this.below(4); i >= 0; i--) {
      const value = this.below(2) === 0 ? this.#any() : this.#l2gfn();
      me.write(page + this.below(words) * 8, value);
    }
  }

  *run(): Routine<number> {
    const { me, scene } = this.#l1;
    const state = scene.hypervisor.statePage(this.below(VCPUS));
    me.write(state + StatePage.fusedCount, this.below(8) === 0 ? this.#any() : this.below(4));
    for (let i = 0; i < 3; i++) {
      const operation = this.oneOf(OPERATIONS);
      const [first, second] = this.element(operation);
      const at = state + StatePage.fused + i * FUSED_RECORD_BYTES;
      [operation, first, second, this.#epoch(operation)].forEach((word, n) => {
        me.write(at + n * 8, word);
      });
    }
    me.write(state + StatePage.dirty, this.below(4));
    me.write(state + StatePage.inject, this.#any());
    const index = this.below(8) === 0 ? this.#any() : this.below(VCPUS);
    return num(yield vmcall(me, KpopCall.run, [index], 'test.run'));
  }

  /** An announced epoch shuts out older MAPs for ever: large ones are announced seldom. */
  #epoch(operation: number): number {
    const isMap = operation === KpopCall.map;
    if (this.below(isMap ? 10 : 1000) === 0) return this.#any();
    return isMap && this.below(3) > 0 ? 2 ** 30 : this.below(64);
  }

  *call(operation: number, pages: readonly number[]): Routine<number> {
    if (operation === KpopCall.run) return yield* this.run();
    const elements = Array.from({ length: this.below(this.oneOf([2, 5, 25])) }, () => {
      return this.element(operation);
    });
    const header = {
      epoch: this.#epoch(operation),
      flags: this.below(10) === 0 ? this.#any() : this.below(4),
      join: this.below(10) === 0 ? this.#any() : 0,
      ...(this.below(10) === 0 ? { count: this.#any() } : {}),
      ...(this.below(3) === 0 ? { at: this.oneOf(pages) + (this.below(20) === 0 ? 8 : 0) } : {}),
    };
    if (operation === KpopCall.flush) {
      return num(yield vmcall(this.#l1.me, operation, [this.#any()], 'test.flush'));
    }
    return yield* this.#l1.call(operation, elements, header);
  }
}

it(`${VCPUS * CALLS} hostile calls: documented answers, nothing out of order at the end`, () => {
  const documented = new Set<number>(Object.values(Status));
  const answers = new Map<string, number>();
  const lists: number[] = [];
  const body: Body = function* hostile(l1): Routine<void> {
    const own: number[] = [];
    for (let i = 0; i < 12; i++) own.push(yield* l1.page());
    lists.push((yield* l1.page()) * 4096);
    const reclaimed = (yield* l1.page()) * 4096;
    const villain = new Villain(l1, own);
    for (let i = 0; i < CALLS; i++) {
      const page = villain.oneOf(lists);
      if (villain.below(3) === 0) villain.scribble(page);
      if (villain.below(40) === 0) {
        l1.me.write(reclaimed, villain.oneOf(own));
        l1.me.write(reclaimed + 8, 1);
        yield vmcall(l1.me, OwnerCall.reclaim, [reclaimed, 1], 'test.reclaim');
        continue;
      }
      const operation = villain.oneOf(OPERATIONS);
      const status = answerStatus(yield* villain.call(operation, lists));
      if (!documented.has(status)) throw new Error(`operation ${operation} answered ${status}`);
      const key = `${operation} ${status}`;
      answers.set(key, (answers.get(key) ?? 0) + 1);
    }
  };
  l1Runs(Array.from({ length: VCPUS }, () => body)); // says what is out of order
  // Calls of every kind went through, and every kind of refusal was met.
  const met = (status: number): number[] => {
    return OPERATIONS.filter((operation) => answers.has(`${operation} ${status}`));
  };
  expect(met(Status.ok)).toEqual(OPERATIONS);
  const refusals = Object.values(Status).filter((status) => status !== Status.ok);
  expect(refusals.filter((status) => met(status).length === 0)).toEqual([]);
}, 3_600_000);
