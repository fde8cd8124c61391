/** Litmus programs explored to the end, or with a labelled primitive weakened until that shows. */
import { explorable, parseDesign } from '../../src/design/index.ts';
import { buildScene } from '../../src/experiment/check/scene.ts';
import { litmusPrograms } from '../../src/litmus/index.ts';
import type { Weakening } from '../../src/machine/explored/weakening.ts';
import { exploreStateful } from '../../src/schedule/explore/stateful.ts';

export interface Exploration {
  /** A design with its axes. */
  readonly design: string;
  readonly litmus: string;
  readonly order?: 'sc' | 'tso';
  readonly weaken?: readonly { readonly label: string; readonly how: string }[];
  /** Everything, unless bounded by so many. */
  readonly preemptions?: number;
}

export interface Explanation {
  readonly verdict: string;
  readonly message: string;
}

const STEPS = 3_000_000;

export function explored(exploration: Exploration): Explanation {
  const { design, litmus, order, weaken, preemptions } = exploration;
  const program = litmusPrograms.find(({ id }) => id === litmus);
  if (program === undefined) throw new Error(`no litmus program ${litmus}`);
  const { harts } = buildScene({
    choice: parseDesign(design, explorable),
    litmus: program,
    order: order ?? 'sc',
    weaken: (weaken ?? []) as readonly Weakening[],
    entries: 3,
  });
  const { verdict, message } = exploreStateful(harts, {
    steps: STEPS,
    ...(preemptions === undefined ? {} : { preemptions }),
  });
  return { verdict, message };
}

/** The promise that is broken; '' if all hold. */
export function caught(exploration: Exploration): string {
  const { message } = explored(exploration);
  return message.slice(0, Math.max(0, message.indexOf(':')));
}
