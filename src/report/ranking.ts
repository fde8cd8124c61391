/**
 * Who needs the least simulated time per operation, and whether that hangs on what software work
 * costs. Two designs whose times differ by less than one part in a hundred are equal: no price in a
 * preset is better known than that.
 */
import type { AtSoftware } from '../measure/result.ts';
import type { Group, Row } from './reading.ts';

export type Scale = keyof AtSoftware;
const SCALES: readonly Scale[] = ['zero', 'one', 'two'];
const EQUAL = 0.01;

/** Designs with equal times; `leader` is the fastest of them. */
export interface Place {
  readonly leader: Row;
  readonly rows: readonly Row[];
}

function pace(row: Row, scale: Scale): number {
  return row.sensitivity.ratio[scale];
}

/** -1: a is faster than b, 1: slower, 0: equal as far as a model can tell. */
export function against(a: Row, b: Row, scale: Scale): -1 | 0 | 1 {
  const [x, y] = [pace(a, scale), pace(b, scale)];
  if (Math.abs(x - y) <= EQUAL * Math.max(x, y)) return 0;
  return x < y ? -1 : 1;
}

/** Rows that did something, the fastest first, equal ones together. */
export function ranking(group: Group, scale: Scale = 'one'): readonly Place[] {
  const sorted = group.rows
    .filter((row) => pace(row, 'one') > 0)
    .sort((a, b) => pace(a, scale) - pace(b, scale));
  const places: { leader: Row; rows: Row[] }[] = [];
  for (const row of sorted) {
    const last = places.at(-1);
    if (last !== undefined && against(last.leader, row, scale) === 0) last.rows.push(row);
    else places.push({ leader: row, rows: [row] });
  }
  return places;
}

/** Two designs whose order is not the same at every price of software work. */
export interface Flip {
  readonly vcpus: number;
  /** Ahead at the price `from`, behind at the price `to`. */
  readonly one: string;
  readonly other: string;
  readonly from: Scale;
  readonly to: Scale;
}

export function flips(group: Group): readonly Flip[] {
  const rows = group.rows.filter((row) => pace(row, 'one') > 0);
  const found: Flip[] = [];
  rows.forEach((a, i) => {
    for (const b of rows.slice(i + 1)) {
      const from = SCALES.find((scale) => against(a, b, scale) !== 0);
      if (from === undefined) continue;
      const sign = against(a, b, from);
      const to = SCALES.findLast((scale) => against(a, b, scale) === -sign);
      if (to === undefined) continue;
      const [one, other] = sign < 0 ? [a, b] : [b, a];
      found.push({ vcpus: group.vcpus, one: one.run.design, other: other.run.design, from, to });
    }
  });
  return found;
}
