import { describe, expect, it } from 'vitest';
import { Random } from '../../base/random.ts';
import { UNSET, Visited } from './visited.ts';

describe('visited: a set of 64-bit keys with numbers', () => {
  it('tells apart what differs in one bit of either lane', () => {
    const visited = new Visited();
    visited.enter(0, 0);
    for (let bit = 0; bit < 32; bit++) {
      visited.enter(1 << bit, 0);
      expect(visited.isNew).toBe(true);
      if (bit > 0) visited.enter(0, 1 << bit); // lanes 0, 1 stand for 0, 0 too
      expect(visited.isNew).toBe(true);
    }
    expect(visited.count).toBe(64);
    visited.enter(0, 0);
    expect(visited.isNew).toBe(false);
    visited.enter(-1, 2 ** 32 - 1);
    expect(visited.isNew).toBe(true);
    visited.enter(2 ** 32 - 1, -1); // the same 64 bits
    expect(visited.isNew).toBe(false);
  });

  it('keeps keys and numbers while it grows, as a Map does', () => {
    const random = new Random(3);
    const visited = new Visited(2);
    const expected = new Map<string, number>();
    let wrong = 0;
    for (let i = 0; i < 60_000; i++) {
      const low = random.next() & 0xff; // lanes that are anything but well mixed
      const high = random.next() << 24;
      const key = `${low | 0}:${high | 0 || (low === 0 ? 1 : 0)}`;
      const slot = visited.enter(low, high);
      const kept = visited.valueAt(slot, 1);
      if (visited.isNew === expected.has(key) || kept !== (expected.get(key) ?? UNSET)) wrong++;
      if (visited.valueAt(slot, 0) !== UNSET) wrong++;
      visited.setValue(slot, 1, i);
      expected.set(key, i);
    }
    expect(wrong).toBe(0);
    expect(visited.count).toBe(expected.size);
    expect(visited.count).toBeGreaterThan(30_000);
  });

  it('bounds the probability of a collision: n^2 / 2^65', () => {
    const visited = new Visited();
    expect(visited.collision).toBe(0);
    for (let i = 0; i < 1024; i++) visited.enter(i, i);
    expect(visited.collision).toBe(2 ** (20 - 65));
    expect(visited.bits).toBe(64);
    expect(visited.bytes).toBe(8 * 2048);
  });
});
