/**
 * What a guest's kernel does, counted: exits of fork, exec, mmap churn, remapping, page cache and
 * system calls, and of memory that is taken while it is used. Conditions as in counts.test.ts.
 */
import { describe, expect, it } from 'vitest';
import { exam, exits, exitsBy } from './exam.ts';

const DESIGNS = ['tdp', 'nested', 'kpop'] as const;
/** Exits of a fault that the owner must decide, where its tables are there (counts.test.ts). */
const FAULT = { tdp: 1, nested: 4, kpop: 2 } as const;

describe('with the second stage warm a guest kernel is its own business: 0 exits', () => {
  it.each(
    DESIGNS.flatMap((design) =>
      [
        'fork:pages=20,written=8,parent=8,rounds=3',
        'exec:rounds=3',
        'churn:pages=8,rounds=20,life=2',
        'remap:pages=20,rounds=3',
        'syscall:count=20',
        'touch-shared:pages=40,warm=yes',
        'touch-shared:pages=40,warm=yes,by=processes',
      ].map((workload) => [design, workload] as const),
    ),
  )('%s %s', (design, workload) => {
    expect(exits(design, workload, { vcpus: 2 })).toBe(0);
  });
});

describe('shadow paging pays for it exit by exit, but not for system calls', () => {
  it.each(['fork:rounds=2', 'exec:rounds=2', 'churn:rounds=2', 'remap:rounds=2'])('%s', (work) => {
    expect(exits('shadow', work)).toBeGreaterThan(2 * 16);
    expect(exits('shadow', 'syscall:count=20')).toBe(0);
  });
});

describe('fork: copies, by what was written', () => {
  const P = 20;
  const R = 3;

  it.each([
    [8, 8],
    [0, 5],
    [20, 0],
  ])('child writes %i: as many copies; parent writes %i after its end: none', (written, parent) => {
    const work = `fork:pages=${P},written=${written},parent=${parent},rounds=${R}`;
    const run = exam('tdp', work, { vcpus: 2 });
    expect(run.counts.pagesCopied).toBe(2 * R * written);
    expect(run.counts.copyBytes).toBe(2 * R * written * 4096);
  });

  it.each(DESIGNS)('%s, second stage cold: one fault per frame that is new', (design) => {
    // New to the guest: the copies, and of the child a root, three tables and its list of areas.
    const run = exam(design, `fork:pages=${P},written=8,parent=0,rounds=1,warm=no`);
    expect(run.counts.exits).toBe((8 + 5) * FAULT[design]);
  });
});

describe('page cache: P pages of a file cost one fault each, whoever maps them', () => {
  it.each(DESIGNS)('%s', (design) => {
    for (const vcpus of [1, 4]) {
      const run = exam(design, 'touch-shared:pages=64,by=processes', { vcpus });
      expect(run.operations).toBe(64 * vcpus);
      expect(run.counts.exits).toBe(64 * FAULT[design]);
    }
  });

  it.each(DESIGNS)('%s: threads of one process: as with one vCPU, and races', (design) => {
    const run = exam(design, 'touch-shared:pages=64', { vcpus: 4 });
    // Who loses a race for a page has a frame of its own to give back, which had to fault too.
    expect(run.counts.exits).toBeGreaterThanOrEqual(64 * FAULT[design]);
    expect(run.counts.exits).toBeLessThanOrEqual((64 + 4) * FAULT[design]);
  });
});

describe('reclaim: r rounds of b pages from V vCPUs that wait in guest mode', () => {
  const r = 4;
  const b = 16;
  const R = r * b;

  it.each([1, 3])('V=%i', (V) => {
    const work = `reclaim:pages=64,rounds=${r},batch=${b},passes=0`;
    const options = { vcpus: V + 1 };
    // The call that starts a round, what unmapping costs (counts.test.ts), and R faults.
    expect(exits('tdp', work, options)).toBe(r * (1 + V) + R * FAULT.tdp);
    expect(exits('kpop', work, options)).toBe(r * (2 + 1 + V) + R * FAULT.kpop);
    expect(exits('nested', work, options)).toBe(r * (2 + 3 * V + 1) + R + R * FAULT.nested);
  });

  it.each(DESIGNS)('%s: while pages are in use, at least as many faults as pages', (design) => {
    const run = exam(design, 'reclaim:pages=64,rounds=4,batch=16', { vcpus: 3 });
    const level = design === 'tdp' ? 1 : 2;
    expect(exitsBy(run, 'EPT_VIOLATION', level)).toBeGreaterThanOrEqual(R);
  });
});
