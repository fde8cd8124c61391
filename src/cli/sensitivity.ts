/** The search for the prices that a result hangs on, with its runs on threads. */
import type { Outcome, Point, Search } from '../experiment/sensitivity.ts';
import type { Common, NamedDesign, Piece } from './piece.ts';
import { runPieces } from './pool.ts';

/** Undefined after an interrupt. */
export async function searchOnThreads<T>(
  search: Search<T>,
  common: Common,
  designs: readonly NamedDesign[],
): Promise<T | undefined> {
  const pieceOf = ({ design, vcpus, values, attributed }: Point): Piece => {
    return { design: designs[design]!, vcpus, softwareScale: 1, values, attributed };
  };
  let step = search.next();
  while (!step.done) {
    const { outcomes, interrupted } = await runPieces(common, step.value.map(pieceOf));
    if (interrupted) return undefined;
    step = search.next(outcomes as readonly Outcome[]);
  }
  return step.value;
}
