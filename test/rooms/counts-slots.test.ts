/**
 * Exits of a guest whose memory changes below it, counted: each test states a formula and the
 * conditions under which it holds (see counts.test.ts).
 */
import { describe, expect, it } from 'vitest';
import { exam, exits, exitsBy } from './exam.ts';

describe('mmio: N reads of registers in D pages, emulated in user space', () => {
  it.each([
    [1, 1, 10],
    [3, 2, 10],
  ])('tdp: N exits; N - D of them are misconfigurations (vcpus=%i, D=%i)', (vcpus, D, N) => {
    const run = exam('tdp', `mmio:count=${N},pages=${D}`, { vcpus });
    expect(run.counts.exits).toBe(N * vcpus);
    expect(exitsBy(run, 'EPT_VIOLATION', 1)).toBe(D * vcpus);
    expect(exitsBy(run, 'EPT_MISCONFIG', 1)).toBe((N - D) * vcpus);
    expect(run.counts.userspace).toBe(N * vcpus);
  });

  it('tdp over NPT: all of them are nested page faults', () => {
    const run = exam('tdp', 'mmio:count=10', { vcpus: 2, machine: 'amd-milan' });
    expect(exitsBy(run, 'NPF', 1)).toBe(20);
    expect([run.counts.exits, run.counts.userspace]).toEqual([20, 20]);
  });

  it('takes no lock once the entry is there', () => {
    const locks = (count: number): number =>
      exam('tdp', `mmio:count=${count}`).locks.reduce((sum, each) => sum + each.acquisitions, 0);
    expect(locks(100)).toBe(locks(2));
  });
});

describe('hotplug: T turns in which a slot is added and deleted, V vCPUs in guest mode', () => {
  const P = 24;

  it.each([
    [1, 2],
    [3, 2],
  ])('slot=all: V interrupts and every page again (vcpus=%i, T=%i)', (vcpus, T) => {
    const run = exam('tdp', `hotplug:pages=${P},turns=${T}`, { vcpus });
    expect(exitsBy(run, 'EXTERNAL_INTERRUPT', 1)).toBe(vcpus * T);
    const faults = exitsBy(run, 'EPT_VIOLATION', 1);
    expect(faults).toBeGreaterThanOrEqual(P * vcpus * T);
    // The guest’s own tables, too; and who loses a race for a missing table tries again.
    expect(faults).toBeLessThanOrEqual((P + 4) * vcpus * T + 8);
  });

  it('slot=range: none, as nobody has touched the slot', () => {
    expect(exits('tdp:slot=range', `hotplug:pages=${P},turns=3`, { vcpus: 3 })).toBe(0);
  });
});

describe('execute, pages=2m: B huge pages per vCPU, T turns of the worker', () => {
  const conditions = { pages: '2m' } as const;
  const B = 2;

  it.each([1, 3])('nxhuge=off: none (vcpus=%i)', (vcpus) => {
    expect(exits('tdp', 'execute:pages=1024,turns=2', { vcpus, conditions })).toBe(0);
  });

  it.each([
    [1, 0],
    [1, 2],
    [3, 2],
  ])('nxhuge=on, ratio=1: B, and 1 + 2B per turn (vcpus=%i, T=%i)', (vcpus, T) => {
    const workload = `execute:pages=1024,turns=${T},ratio=1`;
    const run = exam('tdp:nxhuge=on', workload, { vcpus, conditions });
    // A turn: the interrupt; of each page the write that maps it, and the fetch that splits it.
    expect(run.counts.exits).toBe(vcpus * (B + T * (1 + 2 * B)));
  });

  it('nxhuge=on, ratio=60: the oldest page alone at each turn', () => {
    const run = exam('tdp:nxhuge=on', 'execute:pages=1024,turns=3', { conditions });
    expect(run.counts.exits).toBe(B + 3 * (1 + 2));
  });

  it('nxhuge=on: pages of 4 KiB are executable', () => {
    expect(exits('tdp:nxhuge=on', 'execute:pages=64,turns=1')).toBe(0);
  });
});
