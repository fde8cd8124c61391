/**
 * KPOP's logs of writes lose nothing: what `kpop check` has no time for, and what each guard is
 * there for. K5 of primer/x86.md 6.10.
 */
import { describe, expect, test } from 'vitest';
import { caught, explored } from './explored.ts';

describe('every write is in the log', () => {
  test.each([
    ['log-start-write', 'kpop'],
    ['log-start-fault', 'kpop'],
    ['log-harvest-write', 'kpop'],
    ['log-harvest-pages', 'kpop'],
    ['log-start-write', 'kpop:log=pml'],
    ['log-start-fault', 'kpop:log=pml'],
    ['log-harvest-write', 'kpop:log=pml'],
    ['log-harvest-pages', 'kpop:log=pml'],
    ['log-start-write', 'kpop:log=protect'],
    ['log-harvest-write', 'kpop:log=protect'],
    ['log-protect', 'kpop:log=protect'],
    ['log-huge-start', 'kpop'],
    ['log-huge-harvest', 'kpop'],
    ['log-huge-fill', 'kpop:log=pml'],
    ['log-promote', 'kpop'],
    ['host-log-write', 'kpop:log=pml'],
  ] as const)('%s under %s, to two preemptions, SC and TSO', (litmus, design) => {
    for (const order of ['sc', 'tso'] as const) {
      const report = explored({ design, litmus, order, preemptions: 2 });
      expect(report).toEqual({ verdict: 'holds', message: '' });
    }
  });

  test.each([
    ['log-harvest-harvest', 'kpop'],
    ['log-harvest-drop', 'kpop'],
    ['log-harvest-taken', 'kpop'],
    ['log-harvest-unmap', 'kpop:log=pml'],
    ['log-harvest-protect', 'kpop:log=protect'],
    ['log-harvest-remove', 'kpop'],
    ['log-harvest-age', 'kpop'],
    ['log-both', 'kpop:log=protect'],
    ['log-both', 'kpop:log=pml'],
    ['log-huge-unmap', 'kpop'],
  ] as const)('%s under %s, on three CPUs, to one preemption under TSO', (litmus, design) => {
    const report = explored({ design, litmus, order: 'tso', preemptions: 1 });
    expect(report).toEqual({ verdict: 'holds', message: '' });
  });
});

describe('what each guard is there for', () => {
  test.each([
    // The flush after a harvest, joined by whoever finds the bits gone already.
    ['kpop.kick.wait', 'drop', 'log-harvest-write', 'kpop', 2, 'kpop.log'],
    ['kpop.harvest.relabel', 'drop', 'log-start-write', 'kpop', 2, 'kpop.log'],
    // Whoever takes an entry away notes what it said: in L1's log, and in the host's.
    ['kpop.log.note', 'drop', 'log-drop', 'kpop', 2, 'kpop.collected'],
    ['kpop.log.note', 'drop', 'log-protect', 'kpop:log=protect', 2, 'kpop.collected'],
    ['kpop.log.note-host', 'drop', 'host-log-write', 'kpop', 2, 'kpop.host-log'],
    ['kpop.log.on', 'drop', 'log-harvest-write', 'kpop', 2, 'kpop.log'],
    ['kpop.host-log.on', 'drop', 'host-log-write', 'kpop', 2, 'kpop.host-log'],
    // Bits that are set between the look and the clearing.
    ['kpop.log.note', 'split', 'log-harvest-two', 'kpop', 2, 'kpop.log'],
    ['kpop.listed.take', 'split', 'log-harvest-pages', 'kpop:log=pml', 3, 'kpop.log'],
    // Who has emptied an entry has not noted yet what it said: its lock is waited for.
    ['kpop.harvest.recheck', 'drop', 'log-harvest-taken', 'kpop', 2, 'kpop.collected'],
    // The table page is gone from the tree, and what its entries said is not noted yet.
    ['kpop.removals.wait', 'drop', 'log-harvest-remove', 'kpop', 2, 'kpop.collected'],
    // PML: lists are drained, and what was drained while the flush went on is named.
    ['kpop.listed.note', 'drop', 'log-harvest-write', 'kpop:log=pml', 2, 'kpop.log'],
    ['bits.look-only', 'drop', 'log-harvest-write', 'kpop:log=pml', 2, 'kpop.collected'],
    ['kpop.harvest.clear', 'drop', 'log-harvest-write', 'kpop:log=pml', 2, 'kpop.log'],
    // A huge leaf that is not split is dirty for ever.
    ['kpop.harvest.above', 'drop', 'log-huge-start', 'kpop', 2, 'kpop.log'],
    // AGE exchanges the whole entry, D among it.
    ['kpop.age.clear', 'blind', 'log-harvest-age', 'kpop', 1, 'kpop.log'],
  ] as const)('%s (%s), %s under %s', (label, how, litmus, design, preemptions, promise) => {
    expect(caught({ design, litmus, preemptions, weaken: [{ label, how }] })).toBe(promise);
  });

  test('an entry that waits in a store buffer is cached after the flush of somebody else', () => {
    const of = { design: 'kpop', litmus: 'log-start-flush', order: 'tso' } as const;
    const weaken = [{ label: 'kpop.harvest.clear', how: 'unordered' }];
    expect(caught({ ...of, preemptions: 2, weaken })).toBe('kpop.log');
  });

  test('a fill that has seen no reader is waited for: its entry is dirty and not listed', () => {
    const of = { design: 'kpop:log=pml', litmus: 'log-start-fault', order: 'tso' } as const;
    const weaken = [{ label: 'kpop.harvest.before', how: 'drop' }];
    expect(caught({ ...of, preemptions: 2, weaken })).toBe('kpop.log');
  });
});
