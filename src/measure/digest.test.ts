/** Digests: equal for equal streams, different for the least difference, the same on every host. */

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Digest } from './digest.ts';

type Recorded = readonly [kind: number, cpu: number, cycle: number, a: number, b: number];

function digestOf(events: readonly Recorded[], words: readonly number[] = []): string {
  const digest = new Digest();
  for (const event of events) digest.event(...event);
  digest.absorb(Int32Array.from(words));
  return digest.hex();
}

const number = fc.oneof(
  fc.integer(),
  fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }),
  fc.double({ min: 0, max: 1e12, noNaN: true }).map((value) => value + 0),
);
const event = fc.tuple(fc.nat(17), fc.nat(1023), number, number, number);

test('digest: any change of any field of any event changes it', () => {
  fc.assert(
    fc.property(fc.array(event, { minLength: 1 }), fc.nat(), fc.nat(4), number, (all, i, f, x) => {
      const at = i % all.length;
      const value = f === 0 ? Math.abs(Math.trunc(x)) % 18 : f === 1 ? (Math.abs(x) % 1024) | 0 : x;
      fc.pre(all[at]![f] !== value);
      const changed = all.map((e, j) => (j === at ? e.with(f, value) : e) as unknown as Recorded);
      expect(digestOf(changed)).not.toBe(digestOf(all));
    }),
  );
});

test('digest: the order of events counts', () => {
  const [a, b]: Recorded[] = [
    [0, 0, 10, 48, 2],
    [0, 1, 10, 48, 2],
  ];
  expect(digestOf([a!, b!])).not.toBe(digestOf([b!, a!]));
});

test('digest: memory counts, its length too, and an event is never taken for memory', () => {
  const all = [
    digestOf([]),
    digestOf([], [0]),
    digestOf([], [0, 0]),
    digestOf([], [1]),
    digestOf([[0, 0, 0, 0, 0]]),
  ];
  expect(new Set(all).size).toBe(all.length);
});

test('digest: reading it changes nothing', () => {
  const digest = new Digest();
  digest.event(1, 2, 3.5, 4, 5);
  const first = digest.hex();
  expect(first).toMatch(/^[0-9a-f]{16}$/);
  expect(digest.hex()).toBe(first);
});

// The value itself is our own; it is pinned because stored results hold digests.
test('digest: values do not change with the version of the code', () => {
  expect(digestOf([[0, 1, 1234.6, 2 ** 40, 2]], [1, -1])).toBe('0853a3600be45664');
});
