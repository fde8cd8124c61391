/**
 * Exits, counted: each test states a formula and the conditions under which it holds. No number
 * here stands in the sources: the counts emerge from tables, exits and handlers. Conditions unless
 * said: 4 KiB host pages, L1's memory mapped in L0 (`l1=warm`), fault-around 1, no timer tick, APIC
 * virtualisation, guest processes with their upper tables present.
 */
import { describe, expect, it } from 'vitest';
import { exam, exits, exitsBy } from './exam.ts';

const P = 24;

describe('touch: exits per access', () => {
  it.each([1, 3])('tdp: 1 (vcpus=%i)', (vcpus) => {
    expect(exits('tdp', `touch:pages=${P}`, { vcpus })).toBe(1 * P * vcpus);
  });

  it.each([1, 3])('nested, unsync=off, leaf table present: 4 (vcpus=%i)', (vcpus) => {
    const run = exam('nested:unsync=off', `touch:pages=${P}`, { vcpus });
    expect(run.counts.exits).toBe(4 * P * vcpus);
    // The four: L2's violation, L1's trapped store, L1's VMRESUME, L2's violation filled by L0.
    expect(exitsBy(run, 'EPT_VIOLATION', 2)).toBe(2 * P * vcpus);
    expect(exitsBy(run, 'EPT_VIOLATION', 1)).toBe(P * vcpus);
    expect(exitsBy(run, 'VMRESUME', 1)).toBe(P * vcpus);
    expect(run.counts.nested).toBe(P * vcpus);
  });

  // The leaf table of each vCPU's pages was in step until its first store, which traps once; then
  // it is out of step, L1 stores to it without an exit, and nobody flushes: it stays so.
  it.each([1, 3])('nested, unsync=on, leaf table out of step: 3 (vcpus=%i)', (vcpus) => {
    const run = exam('nested:unsync=on', `touch:pages=${P}`, { vcpus });
    expect(run.counts.exits).toBe(3 * P * vcpus + vcpus);
    expect(exitsBy(run, 'EPT_VIOLATION', 2)).toBe(2 * P * vcpus);
    expect(exitsBy(run, 'EPT_VIOLATION', 1)).toBe(vcpus); // one for each leaf table
    expect(exitsBy(run, 'VMRESUME', 1)).toBe(P * vcpus);
    expect(run.counts.nested).toBe(P * vcpus);
  });

  // L2's access misses the shadow; its own tables lack the page, so L0 injects #PF; the kernel
  // zeroes the page through its map of all memory, which the shadow lacks too; L2's access again.
  it.each([1, 3])('shadow: 3, the kernel’s own access to the page included (vcpus=%i)', (vcpus) => {
    const run = exam('shadow', `touch:pages=${P}`, { vcpus });
    // Of each vCPU's leaf table the first store makes it unsynchronised.
    expect(run.counts.exits).toBe(3 * P * vcpus + vcpus);
    expect(exitsBy(run, 'EXCEPTION_NMI', 1)).toBe(run.counts.exits);
  });

  it('shadow, unsync=off: 4, each store to the leaf table is emulated', () => {
    expect(exits('shadow:unsync=off', `touch:pages=${P}`)).toBe(4 * P);
  });

  it('shadow: of pages that the guest used before, one fault in eight (prefetch)', () => {
    expect(exits('shadow', 'refault:pages=64')).toBe(64 / 8);
  });

  it.each([1, 3])('kpop, run=fused: 2 (vcpus=%i)', (vcpus) => {
    const run = exam('kpop:run=fused', `touch:pages=${P}`, { vcpus });
    expect(run.counts.exits).toBe(2 * P * vcpus);
    expect(run.counts.hypercalls).toBe(P * vcpus);
    expect(run.counts.nested).toBe(P * vcpus);
  });

  it('kpop: run=separate adds exactly the MAP call: 3', () => {
    const fused = exits('kpop:run=fused', `touch:pages=${P}`);
    expect(exits('kpop:run=separate', `touch:pages=${P}`) - fused).toBe(P);
  });

  it.each([1, 16, 64])('kpop: 2 per aligned block of B pages (batch=%i)', (batch) => {
    const pages = 256;
    const run = exam(`kpop:batch=${batch}`, `touch:pages=${pages}`);
    const blocks = run.counts.exits / 2;
    // The first and the last block may be touched in part.
    expect(blocks).toBeGreaterThanOrEqual(pages / batch);
    expect(blocks).toBeLessThanOrEqual(pages / batch + (batch === 1 ? 0 : 1));
    expect([run.counts.hypercalls, run.counts.nested]).toEqual([blocks, blocks]);
  });

  it.each(['rbtree', 'interval', 'flat', 'none'])('kpop: 2 whatever the book (book=%s)', (book) => {
    expect(exits(`kpop:book=${book}`, `touch:pages=${P}`)).toBe(2 * P);
  });

  it('nested: without VMCS shadowing 4 VMREADs of a fault trap, and nothing else', () => {
    const shadowed = exam('nested:vmcs=shadowed', `touch:pages=${P}`);
    const trapped = exam('nested:vmcs=trapped', `touch:pages=${P}`);
    // reason, IDT vectoring, qualification, guest-physical address
    expect(exitsBy(trapped, 'VMREAD', 1)).toBe(4 * P);
    expect(trapped.counts.exits - shadowed.counts.exits).toBe(4 * P);
  });

  it.each(['nested', 'kpop'])('%s: l1=cold adds 1: the first touch of the L1 page', (design) => {
    const warm = exits(design, `touch:pages=${P}`);
    const cold = exits(design, `touch:pages=${P}`, { conditions: { l1: 'cold' } });
    // L1's frames for its own tables are cold too: at most one per spare table it zeroes.
    expect(cold - warm).toBeGreaterThanOrEqual(P);
    expect(cold - warm).toBeLessThanOrEqual(P + 4);
  });
});

describe('touch, pages=2m: the host backs whole slots by huge pages', () => {
  it.each([1, 3])('tdp: one exit per 512 pages (vcpus=%i)', (vcpus) => {
    const conditions = { pages: '2m' } as const;
    const run = exam('tdp', 'touch:pages=1024', { vcpus, conditions });
    expect(run.counts.exits).toBe(2 * vcpus);
  });
});

describe('dirty-log: exits of the first pass after logging began', () => {
  const conditions = { pages: '2m' } as const;
  const LOG = 512;

  it.each([1, 3])('tdp, PML, split eagerly: one per full log (vcpus=%i)', (vcpus) => {
    const run = exam('tdp', 'dirty-log:pages=1100', { vcpus, conditions });
    expect(exitsBy(run, 'PML_FULL', 1)).toBe(Math.floor(1100 / LOG) * vcpus);
    expect(exitsBy(run, 'EPT_VIOLATION', 1)).toBe(0);
  });

  it.each([
    ['tdp:split=fault', 1],
    ['tdp:split=zap', 1],
    ['tdp:log=protect', 1],
    ['tdp:log=protect,fast=off', 3],
  ])(
    '%s: one violation per page, and few for the guest’s own tables (vcpus=%i)',
    (design, vcpus) => {
      const run = exam(design, 'dirty-log:pages=512', { vcpus, conditions });
      const violations = exitsBy(run, 'EPT_VIOLATION', 1);
      expect(violations).toBeGreaterThanOrEqual(512 * vcpus);
      expect(violations).toBeLessThanOrEqual((512 + 8) * vcpus + 8);
    },
  );
});

describe('touch, upper=absent: the owner removed tables and recycles their pages', () => {
  // A recycled page that L0 still shadows traps once when L1 zeroes it: one exit per level absent.
  it.each([
    ['2m', 1],
    ['1g', 2],
    ['512g', 3],
  ])('nested, stride=%s, %i upper tables absent: 4 + that; n + 3 at n = 4 levels', (stride, n) => {
    const pages = 6;
    expect(exits('nested', `touch:pages=${pages},stride=${stride}`)).toBe((4 + n) * pages);
  });

  it.each(['2m', '1g', '512g'])('tdp stays at 1 and kpop at 2 (stride=%s)', (stride) => {
    expect(exits('tdp', `touch:pages=6,stride=${stride}`)).toBe(6);
    expect(exits('kpop', `touch:pages=6,stride=${stride}`)).toBe(2 * 6);
  });
});

describe('refault: second-stage entries absent, host pages resident', () => {
  it.each(['tdp', 'nested', 'kpop'])('%s: 1 exit per access, no page zeroed', (design) => {
    const run = exam(design, `refault:pages=${P}`, { vcpus: 2 });
    expect(run.counts.exits).toBe(2 * P);
    expect(run.counts.pagesZeroed).toBe(0);
  });
});

describe('cpuid, decided by the owner', () => {
  const C = 10;

  it('tdp 1, nested 2, kpop 2 without policy tables, 1 with', () => {
    expect(exits('tdp', `cpuid:count=${C}`)).toBe(C);
    expect(exits('nested', `cpuid:count=${C}`)).toBe(2 * C);
    expect(exits('kpop', `cpuid:count=${C}`)).toBe(2 * C);
    expect(exits('kpop:policy=tables', `cpuid:count=${C}`)).toBe(C);
  });

  it('nested without VMCS shadowing: 2 + the VMREADs and VMWRITEs that L1 executed', () => {
    const run = exam('nested:vmcs=trapped', `cpuid:count=${C}`);
    const accesses = exitsBy(run, 'VMREAD', 1) + exitsBy(run, 'VMWRITE', 1);
    expect(accesses).toBe((4 + 1) * C); // reason, vectoring, length, RIP; RIP advanced
    expect(run.counts.exits).toBe(2 * C + accesses);
  });
});

describe('unmap: r ranges taken back with V vCPUs in guest mode, beside a call with none', () => {
  /** What the unmapping itself costs: the same guest call with nothing to take is subtracted. */
  function cost(design: string, r: number, V: number, conditions = {}): number {
    const vcpus = V + 1; // the caller, whose thread does the work, and V that run
    const none = exits(design, 'unmap:ranges=0', { vcpus, conditions });
    return exits(design, `unmap:ranges=${r}`, { vcpus, conditions }) - none;
  }

  it.each([
    [1, 1],
    [10, 3],
    [300, 2],
  ])('tdp: V (r=%i, V=%i)', (r, V) => {
    expect(cost('tdp', r, V)).toBe(V);
  });

  it.each([
    [1, 1],
    [10, 3],
    [254, 2],
    [255, 2],
    [600, 4],
  ])('kpop: ceil(r / 254) + V (r=%i, V=%i)', (r, V) => {
    expect(cost('kpop', r, V)).toBe(Math.ceil(r / 254) + V);
  });

  it.each([
    [10, 3],
    [600, 4],
  ])('kpop: flush=request adds exactly the call for the flush (r=%i, V=%i)', (r, V) => {
    expect(cost('kpop:flush=request', r, V)).toBe(Math.ceil(r / 254) + 1 + V);
  });

  it.each(['rbtree', 'interval', 'flat', 'none'])('kpop: the same with book=%s', (book) => {
    expect(cost(`kpop:book=${book}`, 300, 2)).toBe(Math.ceil(300 / 254) + 2);
  });

  it.each([
    [1, 1],
    [10, 3],
    [64, 4],
  ])('nested: 3V + 1 + r trapped table stores, with APIC virtualisation (r=%i, V=%i)', (r, V) => {
    expect(cost('nested', r, V)).toBe(3 * V + 1 + r);
  });

  it.each([
    [1, 1],
    [10, 3],
    [64, 4],
  ])('nested: 4V + 1 + r without (r=%i, V=%i)', (r, V) => {
    expect(cost('nested', r, V, { apicv: 'off' })).toBe(4 * V + 1 + r);
  });

  it('nested: KVM 6.12 flushes at each trapped store of a mapped entry: r * V more', () => {
    const r = 10;
    const V = 3;
    expect(cost('nested:storeflush=now', r, V) - cost('nested', r, V)).toBe(r * V);
  });
});
