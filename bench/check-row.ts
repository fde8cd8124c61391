/** What `npm run bench:check` measures, whoever explores: sizes of the scene, and one row each. */

/** Unmappers, vCPUs, and rounds of each unmapper; a vCPU stores twice. */
export interface Size {
  readonly unmappers: number;
  readonly vcpus: number;
  readonly rounds: number;
}

export const SIZES: readonly Size[] = [
  { unmappers: 1, vcpus: 1, rounds: 1 },
  { unmappers: 2, vcpus: 1, rounds: 1 },
  { unmappers: 1, vcpus: 2, rounds: 1 },
  { unmappers: 1, vcpus: 2, rounds: 2 },
  { unmappers: 2, vcpus: 2, rounds: 1 },
];

export function nameOf({ unmappers, vcpus, rounds }: Size): string {
  return `U${unmappers}A${vcpus}R${rounds}`;
}

/** One exploration of one size. */
export interface Row {
  /** `U1A2R1`. */
  readonly size: string;
  /** Who explored, and how: `spin, expert model, reduced`. */
  readonly engine: string;
  readonly verdict: 'holds' | 'violated' | 'unfinished';
  /** Executions begun; undefined for an engine that has no such thing. */
  readonly executions: number | undefined;
  readonly states: number | undefined;
  /** Moves taken. */
  readonly transitions: number | undefined;
  /** Wall-clock time of the exploration alone. */
  readonly seconds: number;
  /** The same with all that comes before it: compilation, or the start of the process. */
  readonly totalSeconds: number;
}
