/**
 * Exits by reason and level, each with the cycles from the exit to the next entry on its CPU: both
 * transitions and all that L0 did between them. An exit after which its CPU enters no guest again
 * within the measured part counts without cycles.
 */
import { defect } from '../base/assert.ts';

export interface ExitRow {
  readonly reason: string;
  /** Level that the exit came from: 1 = L1, 2 = L2. */
  readonly level: number;
  readonly count: number;
  readonly cycles: number;
}

interface Row {
  readonly reason: string;
  readonly level: number;
  count: number;
  cycles: number;
}

export type ExitNames = Readonly<Record<number, string>>;

const LEVELS = 8;

export class ExitProfile {
  readonly #names: ExitNames;
  readonly #rows = new Map<number, Row>();
  /** Per CPU: when the exit now being handled happened, and its row. */
  readonly #since: Float64Array;
  readonly #open: (Row | undefined)[];

  constructor(cpus: number, names: ExitNames) {
    this.#names = names;
    this.#since = new Float64Array(cpus);
    this.#open = new Array<Row | undefined>(cpus).fill(undefined);
  }

  exit(cpu: number, cycle: number, reason: number, level: number): void {
    const row = this.#row(reason, level);
    row.count++;
    this.#open[cpu] = row;
    this.#since[cpu] = cycle;
  }

  entry(cpu: number, cycle: number): void {
    const row = this.#open[cpu];
    if (row === undefined) return; // the exit was before the measured part, or there was none
    row.cycles += cycle - this.#since[cpu]!;
    this.#open[cpu] = undefined;
  }

  /** The most frequent first; ties by name and level. */
  result(): ExitRow[] {
    const rows = [...this.#rows.values()].map((row) => ({ ...row }));
    return rows.sort(
      (a, b) => b.count - a.count || compareText(a.reason, b.reason) || a.level - b.level,
    );
  }

  #row(reason: number, level: number): Row {
    if (level < 0 || level >= LEVELS) defect('ExitProfile', `there is no level ${level}`);
    const key = reason * LEVELS + level;
    const known = this.#rows.get(key);
    if (known !== undefined) return known;
    const row = { reason: this.#names[reason] ?? `REASON_${reason}`, level, count: 0, cycles: 0 };
    this.#rows.set(key, row);
    return row;
  }
}

/** Order by code units: the same on every host, whatever its language. */
function compareText(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
