/** Runs one design on one workload under stated conditions: what the counting tests are made of. */
import { parseDesign } from '../../src/design/index.ts';
import type { Conditions } from '../../src/design/system.ts';
import { DEFAULT_CONDITIONS, runOne } from '../../src/experiment/run.ts';
import { DEFAULT_PRESET, findPreset } from '../../src/machine/preset/index.ts';
import type { Run } from '../../src/measure/result.ts';
import { parseWorkload } from '../../src/workload/index.ts';

export interface Exam {
  readonly vcpus?: number;
  readonly conditions?: Partial<Conditions>;
  readonly softwareScale?: number;
  readonly seed?: number;
  readonly machine?: string;
}

export function exam(design: string, workload: string, options: Exam = {}): Run {
  return runOne({
    choice: parseDesign(design),
    work: parseWorkload(workload),
    recordings: new Map(),
    vcpus: options.vcpus ?? 1,
    preset: findPreset(options.machine ?? DEFAULT_PRESET),
    seed: options.seed ?? 1,
    conditions: { ...DEFAULT_CONDITIONS, ...options.conditions },
    softwareScale: options.softwareScale ?? 1,
  });
}

export function exits(design: string, workload: string, options: Exam = {}): number {
  return exam(design, workload, options).counts.exits;
}

/** Exits of one reason from one level. */
export function exitsBy(run: Run, reason: string, level: number): number {
  const row = run.exitsByReason.find((each) => each.reason === reason && each.level === level);
  return row?.count ?? 0;
}
