/**
 * What reports read out of a result beyond its fields: rates, shares, and runs grouped by their
 * number of vCPUs. Nothing here divides by zero: what is unknown is 0 or undefined, and says so.
 */
import type { LockResult } from '../measure/locks.ts';
import type { Compare, Run, Sensitivity } from '../measure/result.ts';

/** One run of a comparison with its ratios to the first design. */
export interface Row {
  readonly run: Run;
  readonly sensitivity: Sensitivity;
}

/** The runs with one number of vCPUs, in the order of the document. */
export interface Group {
  readonly vcpus: number;
  readonly rows: readonly Row[];
}

export function groupsOf(doc: Compare): readonly Group[] {
  const groups = new Map<number, Row[]>();
  doc.runs.forEach((run, i) => {
    const row = { run, sensitivity: doc.sensitivity[i] ?? unpriced(run) };
    const group = groups.get(run.vcpus);
    if (group === undefined) groups.set(run.vcpus, [row]);
    else group.push(row);
  });
  return [...groups].map(([vcpus, rows]) => ({ vcpus, rows })).sort((a, b) => a.vcpus - b.vcpus);
}

/** The group that shows most of what many CPUs do to each other. */
export function largestGroup(doc: Compare): Group {
  return groupsOf(doc).at(-1) ?? { vcpus: 0, rows: [] };
}

function unpriced(run: Run): Sensitivity {
  const nothing = { zero: 0, one: 0, two: 0 };
  return { design: run.design, vcpus: run.vcpus, cyclesPerOperation: nothing, ratio: nothing };
}

export function perOperation(run: Run, count: number): number {
  return run.operations === 0 ? 0 : count / run.operations;
}

/** Simulated seconds of a number of cycles; undefined where the run tells no clock. */
export function secondsOf(run: Run, cycles: number): number | undefined {
  return run.cycles > 0 && run.seconds > 0 ? (cycles * run.seconds) / run.cycles : undefined;
}

/** Cycles that the CPUs which carried the guest's vCPUs had in the measured part. */
export function cpuCycles(run: Run): number {
  return run.cycles * Math.min(run.vcpus, run.cpus);
}

/** Share of that time. */
export function shareOf(run: Run, cycles: number): number {
  const all = cpuCycles(run);
  return all === 0 ? 0 : cycles / all;
}

/**
 * Cycles from wanting a lock to having it: waiting for its holder, or, where it was free, for its
 * cache line. The latter is all there is to see of readers that hold a lock together.
 */
export function gettingCycles(lock: LockResult): number {
  return lock.waitCycles + lock.takeCycles;
}

export function lockWait(run: Run): number {
  return run.locks.reduce((sum, lock) => sum + gettingCycles(lock), 0);
}

/** The lock class that cost most time to get; undefined if no lock was taken. */
export function worstLock(run: Run): LockResult | undefined {
  const wanted = run.locks.filter((lock) => gettingCycles(lock) > 0);
  return wanted.reduce<LockResult | undefined>(
    (worst, lock) =>
      worst === undefined || gettingCycles(lock) > gettingCycles(worst) ? lock : worst,
    undefined,
  );
}

export interface ReasonRow {
  /** The reason and the level that it came from. */
  readonly name: string;
  /** Exits per operation, by row of the group. */
  readonly perOperation: readonly number[];
}

/** Exits per operation by reason for all runs of a group, the most frequent reason first. */
export function reasonsOf(group: Group): readonly ReasonRow[] {
  const table = new Map<string, number[]>();
  group.rows.forEach(({ run }, i) => {
    for (const exit of run.exitsByReason) {
      const name = `${exit.reason} from L${exit.level}`;
      const known = table.get(name) ?? group.rows.map(() => 0);
      known[i] = (known[i] ?? 0) + perOperation(run, exit.count);
      table.set(name, known);
    }
  });
  const sum = (row: ReasonRow): number => row.perOperation.reduce((a, b) => a + b, 0);
  return [...table]
    .map(([name, values]) => ({ name, perOperation: values }))
    .sort((a, b) => sum(b) - sum(a) || (a.name < b.name ? -1 : 1));
}

/** Sentences said of some designs, each once, with the designs that it is said of. */
export function saidOf(
  runs: readonly Run[],
  pick: (run: Run) => readonly string[],
): readonly { readonly text: string; readonly designs: readonly string[] }[] {
  const said = new Map<string, Set<string>>();
  for (const run of runs) {
    for (const text of pick(run)) {
      const designs = said.get(text) ?? new Set();
      designs.add(run.design);
      said.set(text, designs);
    }
  }
  return [...said].map(([text, designs]) => ({ text, designs: [...designs] }));
}

export function designsOf(runs: readonly Run[]): readonly string[] {
  return [...new Set(runs.map((run) => run.design))];
}
