/** What a look at a piece covered and what it did not, in sentences. */
import type { Look } from './look.ts';
import type { Piece } from './pieces.ts';

export interface Reached {
  /** A vCPU came to the most entries. */
  readonly wasHeld: boolean;
  /** The search was ended because code kept coming to new local states. */
  readonly isEndless: boolean;
  /** What is known about livelocks, and about races; '' if nothing is to be said. */
  readonly liveness: string;
  readonly races: string;
}

export function limitsOf(
  { bounds, memory }: Piece,
  look: Look,
  { wasHeld, isEndless, liveness, races }: Reached,
): string[] {
  const limits = [coverageOf(look)];
  const { sample } = look;
  if (sample.runs > 0) {
    const chance = sample.overall < 0.001 ? 'hardly' : `with at least ${percent(sample.overall)}`;
    limits.push(
      `${sample.runs} random executions (PCT, seed ${bounds.seed}) find a bug of depth ` +
        `${sample.depth} ${chance}`,
    );
  }
  if (look.states > 0) {
    limits.push(
      'states are told apart by 64-bit hashes: two of them were taken for one with probability ' +
        `below ${look.collision.toExponential(0)}`,
    );
  }
  if (Number.isFinite(look.depth)) limits.push(`executions were cut after ${look.depth} moves`);
  if (wasHeld) limits.push(`a vCPU enters its guest at most ${bounds.entries} times`);
  if (isEndless) {
    limits.push(
      'given up: its code keeps coming to new local states; has it a counter that grows?',
    );
  }
  if (liveness !== '') limits.push(liveness);
  if (races !== '') limits.push(races);
  if (memory === 'tso') limits.push('stores wait in a buffer; plain words are not reordered');
  return limits;
}

function coverageOf({ preemptions, verdict }: Look): string {
  if (preemptions === Number.POSITIVE_INFINITY) return 'exhausted: every interleaving';
  if (verdict === 'violated') return 'the search ended with the first broken promise';
  if (preemptions < 0) return 'not exhausted, not even without preemptions';
  const least = preemptions === 0 ? 'no preemption' : `at most ${preemptions} preemptions`;
  return `exhausted: every interleaving with ${least}; others were not all looked at`;
}

function percent(part: number): string {
  return `${(part * 100).toPrecision(2)} %`;
}
