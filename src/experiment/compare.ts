/**
 * Designs side by side: every design with every number of vCPUs, each run three times, because the
 * ratios are also given with software work at 0 and at twice its price. The pieces are independent;
 * who runs them, and in which order they come back, does not matter.
 */
import type { Choice } from '../design/index.ts';
import { compareRuns } from '../measure/compare.ts';
import type { Compare, Run } from '../measure/result.ts';
import { runOne, type Task } from './run.ts';

/** Software work at its price comes first: it is what an interrupted comparison can still show. */
export const SOFTWARE_SCALES = [1, 0, 2] as const;

export interface Comparison extends Omit<Task, 'choice' | 'vcpus' | 'softwareScale'> {
  readonly choices: readonly Choice[];
  readonly vcpus: readonly number[];
}

/** All pieces, those of one number of vCPUs together, small ones first. */
export function piecesOf(comparison: Comparison): readonly Task[] {
  const { choices, vcpus, ...common } = comparison;
  const sizes = [...vcpus].sort((a, b) => a - b);
  return sizes.flatMap((size) =>
    choices.flatMap((choice) =>
      SOFTWARE_SCALES.map((softwareScale) => ({ ...common, choice, vcpus: size, softwareScale })),
    ),
  );
}

/** `runs`: of the pieces, in their order; undefined where a piece was not run. */
export function compareOf(runs: readonly (Run | undefined)[]): Compare | undefined {
  const scales = SOFTWARE_SCALES.length;
  const complete: Run[][] = [];
  for (let from = 0; from < runs.length; from += scales) {
    const three = runs.slice(from, from + scales);
    if (three.every((run) => run !== undefined)) complete.push(three);
  }
  if (complete.length === 0) return undefined;
  const [one, zero, two] = SOFTWARE_SCALES.map((_, i) => complete.map((three) => three[i]!));
  return compareRuns(one!, zero!, two!);
}

/** All of it, one piece after the other. */
export function compare(comparison: Comparison): Compare {
  return compareOf(piecesOf(comparison).map((task) => runOne(task)))!;
}
