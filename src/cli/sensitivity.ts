/** The search for the prices that a result hangs on, with its runs on threads. */
import type { Outcome, Point, Search } from '../experiment/sensitivity.ts';
import type { Common, NamedDesign, Piece } from './piece.ts';
import { type Batches, runBatches } from './pool.ts';

/** Undefined after an interrupt. */
export async function searchOnThreads<T>(
  search: Search<T>,
  common: Common,
  designs: readonly NamedDesign[],
): Promise<T | undefined> {
  return runBatches(common, asPieces(search, designs));
}

function* asPieces<T>(search: Search<T>, designs: readonly NamedDesign[]): Batches<T> {
  const pieceOf = ({ design, vcpus, values, attributed }: Point): Piece => {
    return { design: designs[design]!, vcpus, softwareScale: 1, values, attributed };
  };
  let step = search.next();
  while (!step.done) {
    const outcomes: readonly Outcome[] = yield step.value.map(pieceOf);
    step = search.next(outcomes);
  }
  return step.value;
}
