/**
 * Coverings of axes: rows in which every pair of values of two axes occurs, and all rows that there
 * are. The first row takes the first value of each axis.
 */

/** One row per element of the product of the axes. */
export function product(axes: readonly (readonly string[])[]): string[][] {
  return axes.reduce<string[][]>(
    (rows, values) => rows.flatMap((row) => values.map((value) => [...row, value])),
    [[]],
  );
}

/** Few rows that hold every pair: greedily the row that holds most of those still missing. */
export function pairwise(axes: readonly (readonly string[])[]): string[][] {
  const rows = product(axes);
  const missing = new Set(rows.flatMap(pairsOf));
  const chosen: string[][] = [];
  while (chosen.length === 0 || missing.size > 0) {
    let best = rows[0]!;
    let most = -1;
    for (const row of rows) {
      const gain = pairsOf(row).filter((pair) => missing.has(pair)).length;
      if (gain > most) [best, most] = [row, gain];
    }
    chosen.push(best);
    for (const pair of pairsOf(best)) missing.delete(pair);
  }
  return chosen;
}

/** Pairs of values of a row; with one axis alone, its value. */
function pairsOf(row: readonly string[]): string[] {
  if (row.length === 1) return [`0=${row[0]}`];
  const pairs: string[] = [];
  for (let i = 0; i < row.length; i++) {
    for (let j = i + 1; j < row.length; j++) pairs.push(`${i}=${row[i]},${j}=${row[j]}`);
  }
  return pairs;
}
