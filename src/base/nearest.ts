/** Suggestions for names that nobody knows: the nearest known one by edits of single letters. */

/**
 * Insertions, deletions and replacements of one character and swaps of two neighbours that turn `a`
 * into `b` (Levenshtein distance with transpositions, no part edited twice).
 */
export function distance(a: string, b: string): number {
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      const isSwap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      const swapped = isSwap ? before[j - 2]! + 1 : replaced;
      next.push(Math.min(replaced, swapped, row[j]! + 1, next[j - 1]! + 1));
    }
    before = row;
    row = next;
  }
  return row[b.length]!;
}

/** The known name that `given` may have meant: a third of its letters may differ, but never all. */
export function nearest(given: string, known: readonly string[]): string | undefined {
  let best: string | undefined;
  let least = Math.max(1, Math.floor(given.length / 3)) + 1;
  for (const name of known) {
    const apart = distance(given.toLowerCase(), name.toLowerCase());
    if (apart < least && apart < name.length) {
      best = name;
      least = apart;
    }
  }
  return best;
}

/** `; did you mean tdp?` if a known name is near, else `; known are: tdp, kpop`. */
export function suggestion(given: string, known: readonly string[]): string {
  const near = nearest(given, known);
  if (near !== undefined) return `; did you mean ${near}?`;
  return known.length === 0 ? '' : `; known are: ${known.join(', ')}`;
}
