/**
 * Nested SVM, counted: exits of KVM on KVM over SVM, and what one ASID for L1 and L2 costs. The
 * formulas are of the hardware and of KVM's nested_svm_vmrun and nested_svm_vmexit; no number here
 * stands in the sources.
 */
import { describe, expect, it } from 'vitest';
import { parseDesign } from '../../src/design/index.ts';
import { attributeOne, DEFAULT_CONDITIONS } from '../../src/experiment/run.ts';
import { findPreset } from '../../src/machine/preset/index.ts';
import { parseWorkload } from '../../src/workload/index.ts';
import { exam, exits, exitsBy } from './exam.ts';

const AMD = 'amd-milan';
const INTEL = 'intel-cascade-lake';
/** CLGI, VMLOAD of the guest's state, VMSAVE, VMLOAD of its own, STGI: around each VMRUN of L1. */
const AROUND = 5;
const P = 24;
const C = 10;

describe('nested over SVM: exits', () => {
  it.each([1, 3])('touch: 4 per access, as over VMX (vcpus=%i)', (vcpus) => {
    const run = exam('nested', `touch:pages=${P}`, { vcpus, machine: AMD });
    expect(run.counts.exits).toBe(4 * P * vcpus);
    expect(exitsBy(run, 'NPF', 2)).toBe(2 * P * vcpus);
    expect(exitsBy(run, 'NPF', 1)).toBe(P * vcpus);
    expect(exitsBy(run, 'VMRUN', 1)).toBe(P * vcpus);
    expect(run.counts.nested).toBe(P * vcpus);
  });

  it.each([
    ['2m', 1],
    ['1g', 2],
  ])('touch, stride=%s, %i upper tables recycled: 4 + that', (stride, n) => {
    const workload = `touch:pages=6,stride=${stride}`;
    expect(exits('nested', workload, { machine: AMD })).toBe((4 + n) * 6);
  });

  it('cpuid: 2; without vGIF and virtual VMLOAD every VMRUN of L1 costs 5 exits more', () => {
    const virtual = exam('nested', `cpuid:count=${C}`, { machine: AMD });
    const trapped = exam('nested:svm=trapped', `cpuid:count=${C}`, { machine: AMD });
    expect(virtual.counts.exits).toBe(2 * C);
    expect(trapped.counts.exits - virtual.counts.exits).toBe(AROUND * exitsBy(trapped, 'VMRUN', 1));
  });

  it.each([
    [1, 1],
    [10, 3],
  ])('unmap: 2V + r stores: no INVEPT, L1 asks by TLB_CONTROL (r=%i, V=%i)', (r, V) => {
    const count = (ranges: number): number =>
      exits('nested', `unmap:ranges=${ranges}`, { vcpus: V + 1, machine: AMD });
    expect(count(r) - count(0)).toBe(2 * V + r);
  });

  it('axes of one vendor are refused on the other', () => {
    expect(() => exits('nested:vmcs=trapped', 'touch:pages=1', { machine: AMD })).toThrow(/vmcs/);
    expect(() => exits('nested:svm=trapped', 'touch:pages=1')).toThrow(/svm/);
  });
});

describe('nested over SVM: one ASID for L1 and L2', () => {
  const references = (design: string, machine: string, count: number, levels: '4' | '5') =>
    attributeOne({
      choice: parseDesign(design),
      work: parseWorkload(`cpuid:count=${count}`),
      recordings: new Map(),
      vcpus: 1,
      preset: findPreset(machine),
      seed: 1,
      conditions: { ...DEFAULT_CONDITIONS, levels },
      softwareScale: 1,
    }).charges.path['walkReference']!;
  /** Of one more CPUID of L2, reflected and handled by L1. */
  const each = (design: string, machine: string, levels: '4' | '5'): number =>
    (references(design, machine, 2 * C, levels) - references(design, machine, C, levels)) / C;

  it('each VMRUN and each #VMEXIT of L1 drops everything: two flushes per nested exit', () => {
    for (const workload of [`touch:pages=${P}`, `cpuid:count=${C}`]) {
      const over = (machine: string) => exam('nested', workload, { vcpus: 2, machine }).counts;
      expect(over(AMD).flushes).toBe(2 * over(AMD).nested);
      expect(over(INTEL).flushes).toBe(0);
    }
  });

  it.each(['4', '5'] as const)('L1 walks anew for every page it uses, %s references each', (n) => {
    // Its vCPU's words by loads and locked operations; VMCB12 and its own save area by VMLOAD.
    expect(each('nested', AMD, n)).toBe(3 * Number(n));
    // L0 emulates VMLOAD and VMSAVE: hardware translates the words of the vCPU alone.
    expect(each('nested:svm=trapped', AMD, n)).toBe(Number(n));
    // VPIDs and EP4TAs, or KPOP with a tag of its own for L2: the TLB stays warm.
    expect(each('nested', INTEL, n)).toBe(0);
    expect(each('kpop', AMD, n)).toBe(0);
  });
});
