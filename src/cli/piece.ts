/**
 * One simulation as it travels to a thread: everything by name or as shared memory, because a
 * design is code and code does not travel.
 */

import { Violation } from '../base/assert.ts';
import { BadInput } from '../base/bad-input.ts';
import { type Choice, designs, parseDesign } from '../design/index.ts';
import type { Conditions, Design } from '../design/system.ts';
import { attributeOne, runOne, type Task } from '../experiment/run.ts';
import type { Outcome, Values } from '../experiment/sensitivity.ts';
import { findPreset } from '../machine/preset/index.ts';
import { repriced } from '../machine/preset/price.ts';
import { parseWorkload } from '../workload/index.ts';
import type { Recordings } from '../workload/workload.ts';
import { type Failure, failureOf } from './failure.ts';
import { inDesign, loadDesign, type UserBundle } from './user-design.ts';

/** How a design was named on the command line; `bundle` if it is a file. */
export interface NamedDesign {
  readonly text: string;
  readonly axes: string | undefined;
  readonly bundle: UserBundle | undefined;
}

/** What all simulations of one command share. */
export interface Common {
  readonly workload: string;
  readonly recordings: Recordings;
  readonly machine: string;
  readonly cpus: number | undefined;
  readonly seed: number;
  readonly conditions: Conditions;
}

export interface Piece {
  readonly design: NamedDesign;
  readonly vcpus: number;
  readonly softwareScale: number;
  /** Prices that are not the preset's. */
  readonly values?: Values;
  /** Whether to say what its time is made of. */
  readonly attributed?: boolean;
}

export type Answer = Outcome | { readonly failure: Failure };

export async function chooseDesign(
  named: NamedDesign,
  known: readonly Design[] = designs,
): Promise<Choice> {
  return named.bundle === undefined
    ? parseDesign(named.text, known)
    : await loadDesign(named.bundle, named.axes);
}

export async function taskOf(common: Common, piece: Piece): Promise<Task> {
  const { recordings, seed, conditions, cpus } = common;
  const { vcpus, softwareScale, values, attributed } = piece;
  const preset = findPreset(common.machine);
  return {
    choice: await chooseDesign(piece.design),
    work: parseWorkload(common.workload),
    preset: values === undefined ? preset : repriced(preset, values),
    recordings,
    vcpus,
    ...(cpus === undefined ? {} : { cpus }),
    seed,
    conditions,
    softwareScale,
    ...(values !== undefined || attributed === true ? { purpose: 'figure' } : {}),
  };
}

/** Simulates; whatever a user's own design throws is the user's to mend. */
export async function answerPiece(common: Common, piece: Piece): Promise<Answer> {
  try {
    const task = await taskOf(common, piece);
    return piece.attributed === true ? attributeOne(task) : { run: runOne(task) };
  } catch (error) {
    const { bundle } = piece.design;
    const isTheirs = !(error instanceof BadInput || error instanceof Violation);
    if (bundle === undefined || !isTheirs) return { failure: failureOf(error) };
    const failure = failureOf(error);
    if (failure.status === 2) return { failure };
    return { failure: { ...failureOf(inDesign(bundle, error)), stack: failure.stack } };
  }
}
