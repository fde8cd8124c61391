/** The queue of processors against a sorted array. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Queue } from './queue.ts';

const CAPACITY = 12;
const step = fc.oneof(
  { weight: 3, arbitrary: fc.record({ id: fc.nat(CAPACITY - 1), time: fc.nat(20) }) },
  { weight: 2, arbitrary: fc.constant('pop' as const) },
);

it('queue: any pushes and pops give the earliest, ties by id; a later push moves nobody', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const queue = new Queue(CAPACITY);
      let sorted: { id: number; time: number }[] = [];
      for (const what of steps) {
        if (what === 'pop') {
          if (sorted.length > 0) expect(queue.pop()).toBe(sorted.shift()!.id);
        } else {
          queue.push(what.id, what.time);
          const old = sorted.find(({ id }) => id === what.id);
          const time = Math.min(what.time, old?.time ?? what.time);
          sorted = [...sorted.filter(({ id }) => id !== what.id), { id: what.id, time }];
          sorted.sort((a, b) => a.time - b.time || a.id - b.id);
        }
        expect(queue.size).toBe(sorted.length);
        expect(queue.earliest).toBe(sorted[0]?.time ?? Number.POSITIVE_INFINITY);
        if (sorted.length > 0) expect(queue.first).toBe(sorted[0]!.id);
      }
    }),
    { numRuns: 300 },
  );
});
