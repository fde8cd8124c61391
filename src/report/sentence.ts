/**
 * One sentence that reads a comparison: every clause is a number of the document put into words,
 * and none gives a cause. It names each pair of designs whose order changes with the price of
 * software work, because between those the comparison decides nothing.
 */
import type { Compare } from '../measure/result.ts';
import { factor, rough, several, whole } from './number.ts';
import { type Flip, flips, type Place, ranking, type Scale } from './ranking.ts';
import { designsOf, type Group, groupsOf, largestGroup, perOperation } from './reading.ts';
import { priceClause } from './sensitivity.ts';

const PRICES: Readonly<Record<Scale, string>> = {
  zero: 'price 0',
  one: 'the preset’s price',
  two: 'twice the preset’s price',
};
const NAMED_FLIPS = 3;

export function readComparison(doc: Compare): string {
  const designs = designsOf(doc.runs);
  const group = largestGroup(doc);
  const first = group.rows[0];
  if (first === undefined) return 'No design ran, so there is nothing to compare.';
  const places = ranking(group);
  if (places.length === 0) {
    return `On ${first.run.workload} no design did anything: there is nothing to compare.`;
  }
  if (designs.length < 2) {
    return `Only ${designs[0]} ran on ${first.run.workload}: there is nothing to compare it with.`;
  }
  const clauses = [order(places, first.run.design), exits(group), robustness(doc)];
  const prices = priceClause(doc);
  if (prices !== undefined) clauses.push(prices);
  const scaling = otherSizes(doc);
  if (scaling !== undefined) clauses.splice(1, 0, scaling);
  return `${opening(group)}, ${clauses.join('; ')}.`;
}

function opening(group: Group): string {
  const { run } = group.rows[0]!;
  const done = [...new Set(group.rows.map((row) => row.run.operations))];
  const work =
    done.length === 1
      ? `${several(done[0]!, 'operation')} each`
      : 'unequal numbers of operations, so times are per operation';
  return `On ${run.workload} with ${several(run.vcpus, 'vCPU')} of ${run.machine} (${work})`;
}

function order(places: readonly Place[], reference: string): string {
  const [best, ...rest] = places;
  if (rest.length === 0) {
    return `${list(names(best!))} need the same simulated time to within 1 %`;
  }
  const verb = best!.rows.length === 1 ? 'needs' : 'need';
  const isReference = best!.rows.some((row) => row.run.design === reference);
  const lead = isReference ? '' : `, ${times(best!)} that of ${reference}`;
  const others = rest.map((place, i) => {
    const own = place.rows.some((row) => row.run.design === reference);
    const of = isReference && i === 0 ? ` that of ${reference}` : '';
    return `${list(names(place))}${own ? '' : ` (${times(place)}${of})`}`;
  });
  const follow = isReference || rest.length > 1 ? `, followed by ${list(others)}` : '';
  return `${list(names(best!))} ${verb} the least simulated time${lead}${follow}`;
}

function times(place: Place): string {
  return factor(place.leader.sensitivity.ratio.one);
}

function names(place: Place): readonly string[] {
  return place.rows.map((row) => row.run.design);
}

function exits(group: Group): string {
  const each = group.rows.map(({ run }, i) => {
    const figure = rough(perOperation(run, run.counts.exits));
    return i === 0
      ? `${run.design} leaves for L0 ${figure} times`
      : `${run.design} ${figure} times`;
  });
  return `per operation ${list(each)}`;
}

/** Whether fewer vCPUs rank the designs as the largest number does. */
function otherSizes(doc: Compare): string | undefined {
  const groups = groupsOf(doc);
  const signature = (group: Group): string =>
    ranking(group)
      .map((place) => [...names(place)].sort().join('='))
      .join('<');
  const last = signature(groups.at(-1)!);
  const smaller = groups.slice(0, -1);
  if (smaller.length === 0) return undefined;
  const different = smaller.filter((group) => signature(group) !== last);
  const sizes = (some: readonly Group[]): string => list(some.map((group) => whole(group.vcpus)));
  if (different.length === 0) return `with ${sizes(smaller)} of them the order is the same`;
  return `with ${sizes(different)} of them the order is another`;
}

function robustness(doc: Compare): string {
  const groups = groupsOf(doc);
  const all = groups.flatMap(flips);
  if (all.length === 0) {
    return 'no two designs change places when software work is priced at 0 or at twice its price';
  }
  const pairs = new Map<string, number[]>();
  for (const flip of all) {
    const said = tell(flip);
    pairs.set(said, [...(pairs.get(said) ?? []), flip.vcpus]);
  }
  const told = [...pairs].slice(0, NAMED_FLIPS).map(([said, sizes]) => {
    return groups.length > 1 ? `${said} (${list(sizes.map(whole))} vCPUs)` : said;
  });
  const more = pairs.size - told.length;
  const rest = more > 0 ? `, and so do ${several(more, 'more pair')}` : '';
  return `but the ranking flips with the price of software work: ${told.join(', ')}${rest}, so \
nothing is decided between those`;
}

function tell(flip: Flip): string {
  return `${flip.one} is faster than ${flip.other} at ${PRICES[flip.from]} and slower at \
${PRICES[flip.to]}`;
}

/** a; a and b; a, b and c. */
export function list(parts: readonly string[]): string {
  if (parts.length < 2) return parts.join('');
  return `${parts.slice(0, -1).join(', ')} and ${parts.at(-1)}`;
}
