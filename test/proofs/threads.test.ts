/**
 * Proof a, third engine: the same pair on real worker threads over shared memory, with the same
 * promises at rest. A stress run proves nothing by itself: the weakened twins say what it catches.
 */
import { expect, test } from 'vitest';
import { runThreads } from './threads/run.ts';

test.each([1, 2])('threads: %i guests against an owner: nothing stale at rest', async (guests) => {
  const result = await runThreads({ guests, frames: 500 });
  expect([result.verdict, result.message]).toEqual(['holds', '']);
  expect(result.freed).toBe(500);
  expect(result.interrupts).toBeGreaterThan(0);
});

test('threads: flush.wait dropped is caught', async () => {
  for (let attempt = 0; attempt < 5; attempt++) {
    const weaken = [['flush.wait', 'drop']] as const;
    const result = await runThreads({ guests: 1, frames: 1000, weaken });
    if (result.verdict === 'violated') {
      expect(result.message).toMatch(/freed frames were written by a guest/);
      return;
    }
  }
  expect.fail('five runs saw nothing');
});

test('threads: flush.kick dropped never ends', async () => {
  const weaken = [['flush.kick', 'drop']] as const;
  const result = await runThreads({ guests: 1, frames: 500, weaken, milliseconds: 2000 });
  expect(result.verdict).toBe('stuck');
});
