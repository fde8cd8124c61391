/**
 * KPOP's windows: no fill outlives the UNMAP that takes its page out of a window (K15), and what
 * each guard of that is there for.
 */
import { describe, expect, test } from 'vitest';
import { kpopWindowLitmus } from '../../src/litmus/kpop-window.ts';
import { caught, explored } from './explored.ts';

test.each(
  kpopWindowLitmus.map(({ id, guests, hosts }) => [id, guests.length + hosts.length] as const),
)('%s holds, SC and TSO', (litmus, cpus) => {
  for (const order of ['sc', 'tso'] as const) {
    const report = explored({ design: 'kpop', litmus, order, preemptions: cpus > 2 ? 1 : 3 });
    expect(report).toEqual({ verdict: 'holds', message: '' });
  }
});

describe('what each guard is there for', () => {
  test.each([
    // A fill looks under the lock whether the array is the one that it read.
    ['kpop.window.recheck', 'stale', 'window-fill-unmap', 'sc', 'kpop.revoked'],
    ['kpop.window.recheck', 'stale', 'window-write-unmap', 'sc', 'kpop.revoked'],
    ['kpop.window.recheck', 'stale', 'window-fill-protect', 'sc', 'kpop.withdrawn'],
    // Both halves of the pair are full barriers: the lock, then the look; the array, then entries.
    ['kpop.entry.locked', 'unordered', 'window-fill-unmap', 'tso', 'kpop.revoked'],
    ['kpop.window.publish', 'unordered', 'window-fill-unmap', 'tso', 'kpop.revoked'],
    // An array is exchanged only for what was made of it.
    ['kpop.window.publish', 'blind', 'window-fill-part', 'sc', 'kpop.window'],
    // A WINDOW that comes late: the fence is raised before the array is looked at, and looked at
    // after the window was put there.
    ['kpop.window.epoch', 'drop', 'window-open-unmap', 'sc', 'kpop.window'],
    ['kpop.unmap.fence', 'drop', 'window-open-unmap', 'sc', 'kpop.window'],
    ['kpop.unmap.fence', 'unordered', 'window-open-unmap', 'tso', 'kpop.window'],
  ] as const)('%s (%s), %s under %s: breaks %s', (label, how, litmus, order, promise) => {
    const weaken = [{ label, how }];
    expect(caught({ design: 'kpop', litmus, order, preemptions: 3, weaken })).toBe(promise);
  });
});
