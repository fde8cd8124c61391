import { describe, expect, it } from 'vitest';
import { Random } from './random.ts';

const drawn = (random: Random): number[] => Array.from({ length: 8 }, () => random.next());

describe('random: seeded, the same everywhere', () => {
  it('a seed and an actor determine the sequence', () => {
    expect(drawn(new Random(1, 3))).toEqual(drawn(new Random(1, 3)));
    const others = [new Random(2, 3), new Random(1, 4), new Random(2 ** 40 + 1, 3)].map(drawn);
    for (const other of others) expect(other).not.toEqual(drawn(new Random(1, 3)));
  });

  it('numbers are of 32 bits, and half of their bits are set', () => {
    const random = new Random(1);
    let set = 0;
    for (let i = 0; i < 10_000; i++) {
      const word = random.next();
      expect(word >= 0 && word < 2 ** 32 && Number.isInteger(word)).toBe(true);
      for (let bits = word; bits !== 0; bits &= bits - 1) set++;
    }
    expect(Math.abs(set - 160_000)).toBeLessThan(1500);
  });

  it('below: in range, and every value about equally often', () => {
    const random = new Random(5);
    const counts = new Array<number>(7).fill(0);
    for (let i = 0; i < 70_000; i++) counts[random.below(7)]!++;
    for (const count of counts) expect(Math.abs(count - 10_000)).toBeLessThan(500);
    expect(random.below(1)).toBe(0);
  });
});
