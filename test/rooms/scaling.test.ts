/**
 * Lock scaling: throughput of second-stage faults against the number of vCPUs, on `refault` (one
 * exit per fault in every design, so that only the fault path differs) and on `touch` (where L1
 * decides). Targets are those of the work item; figures of one run stand in docs/locks-measured.md.
 */
import { describe, expect, it } from 'vitest';
import { intelCascadeLake } from '../../src/machine/preset/intel-cascade-lake.ts';
import { exam } from './exam.ts';

const POINTS = [1, 2, 4, 8, 16, 32, 64] as const;
const PAGES = 48;

/** Cycles in which the machine completes one fault, over all vCPUs: 1 / throughput. */
function cyclesPerFault(design: string, workload: string, vcpus: number): number {
  const run = exam(design, `${workload}:pages=${PAGES}`, { vcpus });
  return run.cycles / run.operations;
}

describe('refault', () => {
  it.each(POINTS)('kpop:lock=entry,shards=gib reaches 0.9 of tdp (vcpus=%i)', (vcpus) => {
    const ratio =
      cyclesPerFault('tdp', 'refault', vcpus) /
      cyclesPerFault('kpop:lock=entry,shards=gib', 'refault', vcpus);
    expect(ratio).toBeGreaterThanOrEqual(0.9);
  });

  it('tdp: the read lock moves one line twice per fault, and that is its ceiling', () => {
    const { lineSameSocket, rmwLocal } = intelCascadeLake.prices;
    const predicted = 2 * lineSameSocket.value; // lock and unlock: two transfers of one line
    const measured = cyclesPerFault('tdp', 'refault', 32);
    expect(measured).toBeGreaterThanOrEqual(predicted);
    expect(measured).toBeLessThanOrEqual(predicted + 2 * rmwLocal.value);
  });

  it.each(['kpop:lock=vm', 'kpop:lock=global', 'tdp:lock=write', 'nested'])(
    '%s has a ceiling: 32 vCPUs are no faster than 16',
    (design) => {
      const at16 = cyclesPerFault(design, 'refault', 16);
      expect(cyclesPerFault(design, 'refault', 32)).toBeGreaterThan(0.95 * at16);
    },
  );

  it('kpop:lock=entry has none up to 32 on one socket', () => {
    const one = cyclesPerFault('kpop', 'refault', 1);
    expect(cyclesPerFault('kpop', 'refault', 32)).toBeLessThan((one / 32) * 1.05);
  });
});

describe('touch', () => {
  it('one array for all of L2: its spinlock is the ceiling; an array per GiB has none', () => {
    const sharded = cyclesPerFault('kpop:shards=gib', 'touch', 64);
    expect(cyclesPerFault('kpop:shards=1', 'touch', 64)).toBeGreaterThan(3 * sharded);
  });

  it('with few vCPUs tdp wins: L1 in the path costs an exit and its own work', () => {
    const ratio = cyclesPerFault('tdp', 'touch', 1) / cyclesPerFault('kpop', 'touch', 1);
    expect(ratio).toBeLessThan(0.9);
    expect(ratio).toBeGreaterThan(0.5);
  });
});
