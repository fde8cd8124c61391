/** Figures in sentences, the same on every host. */
import type { Compare, Run } from '../../measure/result.ts';
import type { Interval, Ranking } from '../../measure/sensitivity.ts';

/** About three significant digits. */
export function figure(value: number): string {
  if (value === 0) return '0';
  const size = Math.abs(value);
  if (size >= 100) return value.toFixed(0).replace(/\B(?=(\d{3})+$)/g, ',');
  return String(Number(value.toPrecision(size < 0.001 ? 1 : 3)));
}

export function times(ratio: number): string {
  return `${figure(ratio)} times`;
}

export function between({ value, low, high }: Interval): string {
  return `${figure(value)} (${figure(low)} to ${figure(high)})`;
}

/** a; a and b; a, b and c. */
export function listed(parts: readonly string[]): string {
  if (parts.length < 2) return parts.join('');
  return `${parts.slice(0, -1).join(', ')} and ${parts.at(-1)}`;
}

export function per(run: Run, count: number): number {
  return run.operations === 0 ? 0 : count / run.operations;
}

/** `at 8 vCPUs nested needs 4 (2 to 6) times the time of kpop`. */
export function tellRanking({ one, other, ratio, vcpus }: Ranking): string {
  return `with ${vcpus} vCPUs ${other} needs ${between(ratio)} times the time of ${one}`;
}

export function millionsPerSecond(run: Run): string {
  return `${figure(run.operationsPerSecond / 1e6)} M`;
}

export function sizesOf({ runs }: Compare): number[] {
  return [...new Set(runs.map(({ vcpus }) => vcpus))].sort((a, b) => a - b);
}
