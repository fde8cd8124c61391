/**
 * Real KVM's shadow MMU, recorded (data/traces/kvm), against the design `shadow` running the same
 * guest program: the same number of each event in each phase, and the same events in the same order
 * with the same fields, but for what is the host's own.
 */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { traceNames } from '../../src/design/assemble.ts';
import { parseDesign } from '../../src/design/index.ts';
import { holdAgainst, runMarks } from '../../src/experiment/against.ts';
import { countFtrace, ftraceLines } from '../../src/measure/ftrace.ts';
import { FtraceText } from '../../src/measure/ftrace-text.ts';

const DESIGN = parseDesign('shadow:supervisor=emulated');

function textOf(name: string): string {
  const file = new URL(`../../data/traces/kvm/${name}.walk.trace.gz`, import.meta.url);
  return gunzipSync(readFileSync(file)).toString('utf8');
}

/** Lines from the first mark on, without what is the host's: its frames and its addresses. */
function eventsOf(text: string): string[] {
  const lines = [...ftraceLines(text, 'trace')].map(({ event, fields }) => `${event}: ${fields}`);
  return lines
    .slice(lines.findIndex((line) => line.startsWith('tracing_mark_write')))
    .filter((line) => !line.startsWith('tlb_flush'))
    .map((line) =>
      line
        .replace(/pfn [0-9a-f]+/, 'pfn')
        .replace(/spte [0-9a-f]+(?=[0-9a-f]{3} )/, 'spte ')
        .replace(/ at [0-9a-f]{4,}$/, '')
        .replace(/ unmap range: .*/, '')
        .trim(),
    );
}

/**
 * At the end user space unmaps the pages of `kvm_run` as well. The notifier of KVM hears of any
 * range of the process, and says so; no memory of the guest lies there, and the model has no such
 * pages.
 */
const KVM_RUN_UNMAPPED = {
  phase: 'phase=teardown',
  event: 'kvm_unmap_hva_range',
  recorded: 1,
  simulated: 0,
  why: expect.stringContaining('kvm_run'),
};

describe('recordings of KVM: shadow', () => {
  it.each(['seq', 'build-remap-switch'])('%s: every event, in order, with its fields', (name) => {
    const recorded = textOf(name);
    const phases = countFtrace(recorded, name);
    const marks = phases.map(({ phase }) => phase);
    const sink = new FtraceText({ phases: marks, hertz: 1e9, role: traceNames.role });
    runMarks(DESIGN, marks, sink);
    const expected = eventsOf(recorded);
    const last = expected.lastIndexOf('kvm_unmap_hva_range: mmu notifier');
    expect(last).toBeGreaterThan(0);
    expected.splice(last, 1); // KVM_RUN_UNMAPPED
    expect(expected.length).toBeGreaterThan(1000);
    expect(eventsOf(sink.text())).toEqual(expected);
  });

  it('counts by phase: one difference, and its reason', () => {
    const { rows } = holdAgainst('seq', countFtrace(textOf('seq'), 'seq'), DESIGN);
    expect(rows.length).toBeGreaterThan(20);
    expect(rows.filter((row) => row.recorded !== row.simulated)).toEqual([KVM_RUN_UNMAPPED]);
  });

  it('without unsync the same guest is told apart', () => {
    const phases = countFtrace(textOf('build-remap-switch'), 'build');
    const off = parseDesign('shadow:supervisor=emulated,unsync=off');
    const { rows } = holdAgainst('build', phases, off);
    const of = (event: string): number =>
      rows.filter((row) => row.event === event).reduce((sum, row) => sum + row.simulated, 0);
    expect(of('kvm_mmu_unsync_page')).toBe(0);
    expect(of('kvm_emulate_insn')).toBeGreaterThan(7 + 1 + 86 + 57);
  });
});
