import { expect, test } from 'vitest';
import { Random } from '../base/random.ts';
import { Queue } from './queue.ts';

test('queue: entries leave by time and number, whether pushed or parked', () => {
  const random = new Random(3, 0);
  const queue = new Queue(40);
  const model = new Map<number, number>();
  const earliest = (): [number, number] => {
    return [...model].sort(([a, s], [b, t]) => s - t || a - b)[0]!;
  };
  for (let id = 0; id < 40; id++) {
    const time = random.below(50);
    queue.push(id, time);
    model.set(id, time);
  }
  for (let round = 0; round < 2000 && model.size > 0; round++) {
    const [first, time] = earliest();
    expect([queue.first, queue.earliest, queue.size]).toEqual([first, time, model.size]);
    expect(queue.pop()).toBe(first);
    model.delete(first);
    if (model.size === 0 || random.below(20) === 0) continue;
    // What runs on goes back in: behind the earliest with the next pop, or before it at once.
    const [next, soonest] = earliest();
    const later = time + random.below(30);
    model.set(first, later);
    if (later > soonest || (later === soonest && first > next)) queue.park(first, later);
    else queue.push(first, later);
    if (later > soonest || (later === soonest && first > next)) {
      expect(queue.pop()).toBe(next);
      model.set(next, soonest + 7);
      queue.push(next, soonest + 7);
    }
  }
  expect(model.size).toBe(0);
});
