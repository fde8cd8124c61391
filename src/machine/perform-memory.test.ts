/**
 * Memory acts on 64-bit words against arithmetic on BigInt: what each act yields, what it leaves;
 * and waits: who is woken by which store, and when.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Act, num, type Routine, won } from '../runtime/act.ts';
import type { Context } from '../runtime/context.ts';
import { runTimed } from '../schedule/timed.ts';
import { Machine } from './machine.ts';
import { intelCascadeLake } from './preset/intel-cascade-lake.ts';

const AT = 0x5000;
const MASK = (1n << 64n) - 1n;
const word = fc.bigInt({ min: 0n, max: MASK });
const number = fc.nat().chain((low) => fc.nat(2 ** 21 - 1).map((high) => high * 2 ** 32 + low));

function newMachine(cpus = 1): Machine {
  return new Machine({ preset: intelCascadeLake, cpus, trace: { event: () => undefined } });
}

function halves(value: bigint): { lo: number; hi: number } {
  return { lo: Number(value & 0xffffffffn) | 0, hi: Number(value >> 32n) | 0 };
}

function bigOf({ lo, hi }: { lo: number; hi: number }): bigint {
  return (BigInt(hi >>> 0) << 32n) | BigInt(lo >>> 0);
}

/** Performs one act on a word that holds `before`; what it yielded, and the word afterwards. */
function perform(
  before: bigint,
  offer: (cpu: Context) => Act,
): { seen: bigint; ok: boolean; after: bigint } {
  const machine = newMachine();
  const { lo, hi } = halves(before);
  machine.memory.writeHalves(AT, lo, hi);
  let seen = 0n;
  let ok = false;
  machine.hostThread(0, 'host', function* body(me): Routine<void> {
    ok = won(yield offer(me));
    seen = bigOf(me.top.word);
  });
  runTimed(machine);
  const index = machine.memory.indexOf(AT);
  const { words } = machine.memory;
  return { seen, ok, after: bigOf({ lo: words[index]!, hi: words[index + 1]! }) };
}

/** Each act with its operand as the word it leaves, by arithmetic on whole words. */
const ACTS: readonly [
  string,
  (cpu: Context, operand: bigint) => Act,
  (before: bigint, operand: bigint) => bigint,
][] = [
  ['load', (cpu) => cpu.load(AT, 'test.load'), (before) => before],
  ['store', (cpu, x) => cpu.storeWord(AT, halves(x), 'test.store'), (_, x) => x],
  [
    'storeLow',
    (cpu, x) => cpu.storeLow(AT, Number(x & 0xffffffffn), 'test.low'),
    (before, x) => (before & ~0xffffffffn) | (x & 0xffffffffn),
  ],
  ['exchange', (cpu, x) => cpu.exchangeWord(AT, halves(x), 'test.exchange'), (_, x) => x],
  [
    'add',
    (cpu, x) => cpu.addWord(AT, halves(x).lo, halves(x).hi, 'test.add'),
    (before, x) => (before + x) & MASK,
  ],
  [
    'and',
    (cpu, x) => cpu.and(AT, halves(x).lo, halves(x).hi, 'test.and'),
    (before, x) => before & x,
  ],
];

describe('one act on a word of 64 bits', () => {
  it.each(ACTS)(
    '%s: leaves what whole words say; who reads gets the old word',
    (name, offer, to) => {
      fc.assert(
        fc.property(word, word, (before, operand) => {
          const { seen, after } = perform(before, (cpu) => offer(cpu, operand));
          expect(after).toBe(to(before, operand));
          if (!name.startsWith('store')) expect(seen).toBe(before);
        }),
        { numRuns: 60 },
      );
    },
  );

  it('compare-and-swap: swaps exactly when both halves are as expected', () => {
    const expectation = fc.tuple(word, word, fc.constantFrom('same', 'low', 'high', 'other'));
    fc.assert(
      fc.property(expectation, word, ([before, other, kind], next) => {
        const low = (before & ~0xffffffffn) | (other & 0xffffffffn);
        const high = (other & ~0xffffffffn) | (before & 0xffffffffn);
        const expected = { same: before, low, high, other }[kind];
        const { seen, ok, after } = perform(before, (cpu) =>
          cpu.casWord(AT, halves(expected), halves(next), 'test.cas'),
        );
        expect([seen, ok]).toEqual([before, before === expected]);
        expect(after).toBe(before === expected ? next : before);
      }),
      { numRuns: 120 },
    );
  });

  it('numbers below 2^53: the forms with a number mean the same word', () => {
    fc.assert(
      fc.property(number, number, (before, operand) => {
        const x = BigInt(operand);
        const on = (offer: (cpu: Context) => Act) => perform(BigInt(before), offer);
        expect(on((cpu) => cpu.store(AT, operand, 'test.store')).after).toBe(x);
        expect(on((cpu) => cpu.exchange(AT, operand, 'test.exchange')).after).toBe(x);
        expect(on((cpu) => cpu.or(AT, operand, 'test.or')).after).toBe(BigInt(before) | x);
        const swapped = on((cpu) => cpu.cas(AT, before, operand, 'test.cas'));
        expect([swapped.ok, swapped.after]).toEqual([true, x]);
      }),
      { numRuns: 60 },
    );
  });

  it('add of a small negative number subtracts', () => {
    fc.assert(
      fc.property(number, fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }), (before, delta) => {
        const { after } = perform(BigInt(before), (cpu) => cpu.add(AT, delta, 'test.add'));
        expect(after).toBe((BigInt(before) + BigInt(delta)) & MASK);
      }),
      { numRuns: 60 },
    );
  });
});

describe('wait', () => {
  /** CPU 0 stores 1, 2, 3 … to the word; the others wait, each for a value of its own. */
  function wakings(wanted: readonly number[], stores: number): { who: string; value: number }[] {
    const machine = newMachine(wanted.length + 1);
    const woken: { who: string; value: number }[] = [];
    wanted.forEach((value, i) => {
      machine.hostThread(i + 1, `waiter.${i}`, function* body(me): Routine<void> {
        yield me.wait([AT], () => me.peek(AT) >= value, 'test.wait');
        woken.push({ who: me.name, value: num(yield me.load(AT, 'test.woken')) });
      });
    });
    machine.hostThread(0, 'writer', function* body(me): Routine<void> {
      for (let value = 1; value <= stores; value++) {
        me.spend(0, 20); // far enough apart that a waiter reads between two stores
        yield me.store(AT, value, 'test.store');
      }
    });
    expect(runTimed(machine).stuck).toEqual(
      wanted.flatMap((value, i) => (value > stores ? [`waiter.${i}`] : [])),
    );
    return woken;
  }

  it('whoever waits for a value goes on at the store that brings it, not before', () => {
    expect(wakings([2, 1, 3], 3)).toEqual([
      { who: 'waiter.1', value: 1 },
      { who: 'waiter.0', value: 2 },
      { who: 'waiter.2', value: 3 },
    ]);
  });

  it('a store that frees several frees all; one that frees nobody wakes nobody', () => {
    expect(wakings([2, 2, 9], 4).map(({ who }) => who)).toEqual(['waiter.0', 'waiter.1']);
  });

  it('a store to a word beside it on the line changes nothing', () => {
    const machine = newMachine(2);
    machine.hostThread(0, 'waiter', function* body(me): Routine<void> {
      yield me.wait([AT], () => me.peek(AT) !== 0, 'test.wait');
    });
    machine.hostThread(1, 'writer', function* body(me): Routine<void> {
      yield me.store(AT + 8, 1, 'test.beside');
    });
    expect(runTimed(machine).stuck).toEqual(['waiter']);
  });
});
