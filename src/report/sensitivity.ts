/**
 * What a result hangs on, in words: the prices that move it, the intervals that follow, and the
 * pairs of designs whose order nobody can tell before a price is better known.
 */
import type { Compare, Run } from '../measure/result.ts';
import type { Interval, PriceEffect, Ranking, Turn } from '../measure/sensitivity.ts';
import { exact, factor, rough, several, whole } from './number.ts';

/** What the search leaves open; it stands below every table of it. */
export const SEARCH_LIMITS =
  'Each price goes through its own interval, alone and at the corner worst for the ratio; ' +
  'prices that move together and extremes inside an interval are not looked for.';

/** Whether anybody asked. */
export function hasPrices(doc: Compare): boolean {
  return doc.rankings !== undefined;
}

export interface PriceRow {
  readonly price: string;
  readonly range: string;
  readonly kind: string;
  readonly elasticity: string;
  /** The figure with the price at its low and at its high end. */
  readonly low: string;
  readonly high: string;
  readonly source: string;
}

/** One row for each price of a run, the strongest first; figures are cycles per operation. */
export function runRows(run: Run): readonly PriceRow[] {
  return (run.sensitivity?.prices ?? []).map((effect) => {
    const { low, high } = effect.cyclesPerOperation;
    return rowOf(effect, rough(low), rough(high));
  });
}

/** The same of a design of a comparison; figures are ratios to the first design, if it has them. */
export function ratioRows(effects: readonly PriceEffect[]): readonly PriceRow[] {
  return effects.map((effect) => {
    const { ratio, cyclesPerOperation: own } = effect;
    return ratio === undefined
      ? rowOf(effect, rough(own.low), rough(own.high))
      : rowOf(effect, factor(ratio.low), factor(ratio.high));
  });
}

function rowOf(effect: PriceEffect, low: string, high: string): PriceRow {
  return {
    price: `${effect.name} ${exact(effect.value)} ${effect.unit}`,
    range: `${exact(effect.low)} to ${exact(effect.high)}`,
    kind: effect.kind,
    elasticity: effect.elasticity.toFixed(2),
    low,
    high,
    source: effect.source,
  };
}

export function span({ value, low, high }: Interval): string {
  return `${factor(value)} (${factor(low)} to ${factor(high)})`;
}

/** `kpop needs 1.68x (1.52x to 1.83x) the time of tdp: decided`. */
export function tellRanking(ranking: Ranking): string {
  const { one, other, ratio, vcpus, decided, turnedBy } = ranking;
  const where = `with ${several(vcpus, 'vCPU')}`;
  const said = `${other} needs ${span(ratio)} the time of ${one} ${where}`;
  if (decided) return `${said}: ${isEqual(ratio) ? 'equal, decided' : 'decided'}`;
  return `${said}: undecided, it hangs on ${turnedBy.map(tellTurn).join('; or on ')}`;
}

function isEqual({ low, high }: Interval): boolean {
  return low >= 0.99 && high <= 1.01;
}

function tellTurn({ prices, ratio }: Turn): string {
  const told = prices.map(({ name, value }) => `${name} (at ${exact(value)})`).join(' and ');
  const many = prices.length > 1 ? `, these ${whole(prices.length)} together` : '';
  return `${told}${many}: ${factor(ratio)}`;
}

/** One clause for the sentence that reads a comparison; undefined if nobody asked. */
export function priceClause(doc: Compare): string | undefined {
  const { rankings } = doc;
  if (rankings === undefined || rankings.length === 0) return undefined;
  const open = rankings.filter(({ decided }) => !decided);
  if (open.length === 0) {
    return 'and no price within its interval, nor all of them together, turns an order round';
  }
  const names = open.map(
    ({ one, other, vcpus }) => `${one} and ${other} (${several(vcpus, 'vCPU')})`,
  );
  const prices = new Set(open.flatMap(({ turnedBy }) => turnedBy.flatMap((turn) => turn.prices)));
  const hung = [...new Set([...prices].map(({ name }) => name))];
  return `but the order of ${names.join(', ')} is undecided: it hangs on ${hung.join(', ')}`;
}
