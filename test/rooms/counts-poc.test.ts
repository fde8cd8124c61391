/**
 * Exits of KPOP's proof of concept, counted: formulas with their conditions, those of
 * counts.test.ts. It maps by hypercall and enters by emulated VMX, so an event that is not of
 * memory costs what it costs in `nested`.
 */
import { describe, expect, it } from 'vitest';
import { exam, exits, exitsBy } from './exam.ts';

const P = 24;
const POC = 'kpop-poc';
const REPAIRED = 'kpop-poc:invalidate=all';

describe('touch: exits per access', () => {
  it.each([1, 3])('3: violation, MAP, VMRESUME (vcpus=%i)', (vcpus) => {
    const run = exam(POC, `touch:pages=${P}`, { vcpus });
    expect(run.counts.exits).toBe(3 * P * vcpus);
    expect(exitsBy(run, 'EPT_VIOLATION', 2)).toBe(P * vcpus);
    expect(exitsBy(run, 'VMCALL', 1)).toBe(P * vcpus);
    expect(exitsBy(run, 'VMRESUME', 1)).toBe(P * vcpus);
    expect([run.counts.hypercalls, run.counts.nested]).toEqual([P * vcpus, P * vcpus]);
  });

  it.each(['2m', '1g', '512g'])('3 whatever tables are absent: L1 has none (stride=%s)', (s) => {
    expect(exits(POC, `touch:pages=6,stride=${s}`)).toBe(3 * 6);
  });

  it('without VMCS shadowing 4 VMREADs of a fault trap, as in nested', () => {
    const trapped = exam('kpop-poc:vmcs=trapped', `touch:pages=${P}`);
    expect(exitsBy(trapped, 'VMREAD', 1)).toBe(4 * P);
    expect(trapped.counts.exits).toBe((3 + 4) * P);
  });

  it('on AMD 3 as well: NPF, VMMCALL, VMRUN', () => {
    expect(exits(POC, `touch:pages=${P}`, { machine: 'amd-milan' })).toBe(3 * P);
  });
});

describe('refault: the host has taken the second-stage entries and kept the pages', () => {
  it('invalidate=all: 3, as L0 has no intents and L1 has to map again', () => {
    const run = exam(REPAIRED, `refault:pages=${P}`, { vcpus: 2 });
    expect(run.counts.exits).toBe(3 * 2 * P);
    expect(run.counts.pagesZeroed).toBe(0);
  });

  it('invalidate=l1: 0, as L2 goes on using what the host has taken', () => {
    expect(exits(POC, `refault:pages=${P}`, { vcpus: 2 })).toBe(0);
  });
});

describe('what is not of memory costs what it costs in nested', () => {
  it.each(['cpuid:count=10', 'msr:count=10', 'tick:ticks=4,hz=20000'])('%s', (work) => {
    expect(exits(POC, work)).toBe(exits('nested', work));
  });
});

describe('unmap: r ranges taken back with V vCPUs in guest mode, beside a call with none', () => {
  function cost(r: number, V: number): number {
    const vcpus = V + 1;
    const none = exits(POC, 'unmap:ranges=0', { vcpus });
    return exits(POC, `unmap:ranges=${r}`, { vcpus }) - none;
  }

  it.each([1, 2, 4])('one range: the call, and one kick of each (V=%i)', (V) => {
    expect(cost(1, V)).toBe(1 + V);
  });

  // Each call flushes before it returns; who was kicked is back in L2 when the next one comes.
  it.each([
    [10, 1],
    [10, 3],
    [64, 2],
  ])('r calls, each with a flush of its own: r (1 + V) (r=%i, V=%i)', (r, V) => {
    expect(cost(r, V)).toBe(r * (1 + V));
  });
});
