/**
 * A recording of real KVM held against a design: the guest program that the recording's marks name
 * runs under the design, and the events of each phase are counted in both.
 */
import { badInput } from '../base/bad-input.ts';
import type { Choice } from '../design/index.ts';
import { DEFAULT_PRESET, findPreset } from '../machine/preset/index.ts';
import { PhaseCounter, type PhaseCounts, TRACEPOINT_NAMES } from '../measure/tracepoints.ts';
import type { TraceSink } from '../runtime/trace.ts';
import { parseWorkload } from '../workload/index.ts';
import { planOf as planOfMarks } from '../workload/shadow-guest.ts';
import { DEFAULT_CONDITIONS, runOne, type Task } from './run.ts';

/** One kind of event in one phase. */
export interface Row {
  readonly phase: string;
  readonly event: string;
  readonly recorded: number;
  readonly simulated: number;
  /** Where they differ and it is known why. */
  readonly why?: string;
}

/** A difference that is known: so many events of the recording, no more, have no cause here. */
interface Explained {
  readonly phase: string;
  readonly event: string;
  readonly missing: number;
  readonly why: string;
}

const EXPLAINED: readonly Explained[] = [
  {
    phase: 'phase=teardown',
    event: 'kvm_unmap_hva_range',
    missing: 1, // one vCPU, one `kvm_run`
    why:
      'user space unmaps the pages of kvm_run at its end; the notifier hears of every range of ' +
      'its process, though no memory of the guest lies there, and the model has no such pages',
  },
];

export interface Against {
  readonly schema: 'kpop.against/1';
  readonly recording: string;
  readonly design: string;
  readonly rows: readonly Row[];
  /** Rows whose counts differ. */
  readonly differences: number;
  /** Events of the recording that no part of the model stands for. */
  readonly notModelled: readonly string[];
}

/**
 * `phases`: what the recording holds; events that it never has, because they were off, are none.
 */
export function holdAgainst(
  recording: string,
  phases: readonly PhaseCounts[],
  choice: Choice,
): Against {
  if (phases.length === 0) badInput(`${recording}: no phase is marked in it (tracing_mark_write)`);
  const marks = phases.map(({ phase }) => phase);
  const simulated = simulate(choice, marks);
  const modelled = new Set(Object.values(TRACEPOINT_NAMES));
  const seen = new Set(phases.flatMap(({ counts }) => [...counts.keys()]));
  const rows = phases.flatMap(({ phase, counts }, i) => {
    const mine = simulated[i]?.counts ?? new Map<string, number>();
    return [...new Set([...counts.keys(), ...mine.keys()])]
      .filter((event) => modelled.has(event) && seen.has(event))
      .sort()
      .map((event) => rowOf(phase, event, counts.get(event) ?? 0, mine.get(event) ?? 0));
  });
  return {
    schema: 'kpop.against/1',
    recording,
    design: choice.name,
    rows,
    differences: rows.filter((row) => row.recorded !== row.simulated).length,
    notModelled: [...seen].filter((event) => !modelled.has(event)).sort(),
  };
}

function rowOf(phase: string, event: string, recorded: number, simulated: number): Row {
  const row = { phase, event, recorded, simulated };
  if (recorded === simulated) return row;
  const known = EXPLAINED.find((each) => each.phase === phase && each.event === event);
  return known?.missing === recorded - simulated ? { ...row, why: known.why } : row;
}

/** The events of each phase under a design. */
function simulate(choice: Choice, marks: readonly string[]): readonly PhaseCounts[] {
  const counter = new PhaseCounter(marks);
  runMarks(choice, marks, counter);
  return counter.result();
}

/**
 * Runs the guest program that the marks of a recording name; `sink` is told of all that happens.
 */
export function runMarks(choice: Choice, marks: readonly string[], sink: TraceSink): void {
  const task: Task = {
    choice,
    work: parseWorkload('shadow-guest'),
    recordings: new Map(),
    vcpus: 1,
    preset: findPreset(DEFAULT_PRESET),
    seed: 1,
    conditions: DEFAULT_CONDITIONS,
    softwareScale: 1,
  };
  runOne(task, sink, planOfMarks(marks, 1));
}
