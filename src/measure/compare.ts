/**
 * Puts runs side by side: the ratios of every design to the first one at equal work, with software
 * work priced at 0, 1 and 2 times its price. Time per operation is compared, so a design that did
 * other work than the rest gains nothing by it.
 */
import { defect } from '../base/assert.ts';
import type { AtSoftware, Compare, Run, Sensitivity } from './result.ts';

/**
 * `runs` at the machine's prices, and the same runs in the same order with software work at 0 and
 * at twice its price.
 */
export function compareRuns(
  runs: readonly Run[],
  atZero: readonly Run[],
  atTwo: readonly Run[],
): Compare {
  const rows = runs.map((run, i) => {
    const { zero, two } = { zero: atZero[i], two: atTwo[i] };
    if (!isSame(run, zero) || !isSame(run, two)) {
      defect('compareRuns', `${run.design} with ${run.vcpus} vCPUs lacks its other prices`);
    }
    return { run, cycles: { zero: pace(zero), one: pace(run), two: pace(two) } };
  });
  const sensitivity = rows.map(({ run, cycles }): Sensitivity => {
    const base = rows.find((row) => row.run.vcpus === run.vcpus)!.cycles;
    return {
      design: run.design,
      vcpus: run.vcpus,
      cyclesPerOperation: cycles,
      ratio: divide(cycles, base),
    };
  });
  return { schema: 'kpop.compare/1', runs, sensitivity };
}

function isSame(run: Run, other: Run | undefined): other is Run {
  return other?.design === run.design && other.vcpus === run.vcpus;
}

function pace(run: Run): number {
  return run.operations === 0 ? 0 : run.cycles / run.operations;
}

function divide(a: AtSoftware, b: AtSoftware): AtSoftware {
  const ratio = (x: number, y: number): number => (y === 0 ? 0 : x / y);
  return {
    zero: ratio(a.zero, b.zero),
    one: ratio(a.one, b.one),
    two: ratio(a.two, b.two),
  };
}
