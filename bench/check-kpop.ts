/** The rows of kpop's own engines in `npm run bench:check`: none until they run this scene. */
import type { Row, Size } from './check-row.ts';

/** Explores the scene in every size; one row for each engine that can. */
export function kpopRows(_sizes: readonly Size[]): Row[] {
  return [];
}
