/**
 * On which prices a result hangs. First every design runs once with a ledger: the counts of charges
 * say how much a price can matter (`screen`). Each price that may is then run for real at its low
 * and at its high end; then, for each pair of designs, all of them at once at those ends that lower
 * or raise the ratio most; and where only several together turn an order round, the fewest that do.
 *
 * The search is a generator: it yields points to run and is given their outcomes, so that whoever
 * has threads can run them there. The same outcomes give the same answer.
 */
import type { Preset, Price } from '../machine/preset/price.ts';
import type { Compare, Run } from '../measure/result.ts';
import {
  type Charges,
  type Ends,
  type Interval,
  movement,
  order,
  type PriceEffect,
  type PriceNote,
  type Ranking,
  type RunSensitivity,
  THRESHOLD,
  type Turn,
} from '../measure/sensitivity.ts';

/** Prices that could move a time by less than this are not run. A quarter of what is reported. */
const SCREEN = THRESHOLD / 4;

export type Values = Readonly<Partial<Record<string, number>>>;

/** One run to be made: a design (by its place in the comparison) at some prices. */
export interface Point {
  readonly design: number;
  readonly vcpus: number;
  /** Prices that are not the preset's. */
  readonly values: Values;
  /** Whether its charges are wanted. */
  readonly attributed: boolean;
}

export interface Outcome {
  readonly run: Run;
  readonly charges?: Charges | undefined;
}

export interface Found {
  /** By number of vCPUs, then design, as they were given. */
  readonly rows: readonly {
    readonly vcpus: number;
    readonly design: number;
    readonly sensitivity: RunSensitivity;
    /** Of its ratio to the first design. */
    readonly ratio: Interval;
  }[];
  readonly rankings: readonly Ranking[];
}

export type Search<T> = Generator<readonly Point[], T, readonly Outcome[]>;

export function notesOf(preset: Preset): readonly PriceNote[] {
  return Object.entries(preset.prices).map(([name, price]: [string, Price]) => ({
    name,
    ...price,
  }));
}

/** `designs`: their names; every number of vCPUs is a comparison of its own. */
export function* findSensitivity(
  designs: readonly string[],
  vcpus: readonly number[],
  prices: readonly PriceNote[],
): Search<Found> {
  const rows: Found['rows'][number][] = [];
  const rankings: Ranking[] = [];
  for (const size of vcpus) {
    const group = new GroupSearch(designs, size, prices);
    yield* group.search();
    rows.push(...group.rows());
    rankings.push(...group.rankings);
  }
  return { rows, rankings };
}

/** The lower or the upper end of a ratio: prices at those ends that drive it there. */
type Side = 'low' | 'high';
const SIDES: readonly Side[] = ['low', 'high'];

/** Ratio of the first design to itself. */
const ITSELF: Interval = { value: 1, low: 1, high: 1 };

/** A corner of the box of prices, the strongest price first. */
interface Corner {
  readonly drives: readonly { readonly name: string; readonly value: number }[];
  readonly ratio: number;
}

class GroupSearch {
  readonly #designs: readonly string[];
  readonly #vcpus: number;
  readonly #prices: readonly PriceNote[];
  readonly #baseline: Outcome[] = [];
  #candidates: readonly PriceNote[] = [];
  /** Cycles per operation by design and prices. */
  readonly #known = new Map<string, number>();
  #runs = 0;
  readonly #corners = new Map<string, Corner>();
  readonly rankings: Ranking[] = [];

  constructor(designs: readonly string[], vcpus: number, prices: readonly PriceNote[]) {
    this.#designs = designs;
    this.#vcpus = vcpus;
    this.#prices = prices;
  }

  *search(): Search<void> {
    yield* this.#runBaseline();
    this.#candidates = this.#prices.filter((price) => this.#mayMatter(price));
    const ends = this.#candidates.flatMap((price) =>
      SIDES.map((side) => ({ [price.name]: price[side] })),
    );
    yield* this.#run(this.#everyDesign.flatMap((design) => ends.map((v) => [design, v] as const)));
    yield* this.#runCorners();
    for (const [one, other] of this.#pairs()) {
      this.rankings.push(yield* this.#rank(one, other));
    }
  }

  rows(): Found['rows'] {
    return this.#everyDesign.map((design) => ({
      vcpus: this.#vcpus,
      design,
      sensitivity: this.#sensitivityOf(design),
      ratio: design === 0 ? ITSELF : this.#span(0, design, this.#ratio(0, design, {})),
    }));
  }

  get #everyDesign(): readonly number[] {
    return this.#designs.map((_, i) => i);
  }

  #pairs(): readonly (readonly [number, number])[] {
    return this.#everyDesign.flatMap((one) =>
      this.#everyDesign.slice(one + 1).map((other) => [one, other] as const),
    );
  }

  *#runBaseline(): Search<void> {
    const points = this.#everyDesign.map((design): Point => {
      return { design, vcpus: this.#vcpus, values: {}, attributed: true };
    });
    const outcomes = yield points;
    outcomes.forEach((outcome, design) => {
      this.#baseline.push(outcome);
      this.#known.set(keyOf(design, {}), pace(outcome.run));
    });
    this.#runs += points.length;
  }

  /** A price that nobody was charged cannot. */
  #mayMatter(price: PriceNote): boolean {
    return this.#baseline.some((outcome) => possibleMovement(outcome, price) > SCREEN);
  }

  /** Runs what is not known yet; a price that a design is never charged changes nothing. */
  *#run(wanted: readonly (readonly [design: number, values: Values])[]): Search<void> {
    const points = new Map<string, Point>();
    for (const [design, values] of wanted) {
      const charged = this.#chargedOf(design, values);
      const key = keyOf(design, charged);
      if (this.#known.has(key)) continue;
      points.set(key, { design, vcpus: this.#vcpus, values: charged, attributed: false });
    }
    if (points.size === 0) return;
    const outcomes = yield [...points.values()];
    [...points.keys()].forEach((key, i) => {
      this.#known.set(key, pace(outcomes[i]!.run));
    });
    this.#runs += points.size;
  }

  #chargedOf(design: number, values: Values): Values {
    const { charges } = this.#baseline[design]!;
    return Object.fromEntries(
      Object.entries(values).filter(([name]) => (charges?.all[name] ?? 0) > 0),
    );
  }

  #pace(design: number, values: Values): number {
    return this.#known.get(keyOf(design, this.#chargedOf(design, values)))!;
  }

  #ratio(one: number, other: number, values: Values): number {
    const of = this.#pace(one, values);
    return of === 0 ? 0 : this.#pace(other, values) / of;
  }

  /** A design alone is compared with itself at the preset's prices. */
  #figure(one: number, other: number, values: Values): number {
    return one === other ? this.#pace(one, values) : this.#ratio(one, other, values);
  }

  *#runCorners(): Search<void> {
    const single = this.#everyDesign.map((design) => [design, design] as const);
    const figures = [...single, ...this.#pairs()];
    const plans = figures.flatMap(([one, other]) =>
      SIDES.map((side) => ({ one, other, side, drives: this.#drives(one, other, side) })),
    );
    yield* this.#run(
      plans.flatMap(({ one, other, drives }) => {
        const values = valuesOf(drives);
        return [[one, values] as const, [other, values] as const];
      }),
    );
    for (const { one, other, side, drives } of plans) {
      const ratio = this.#figure(one, other, valuesOf(drives));
      this.#corners.set(`${one} ${other} ${side}`, { drives, ratio });
    }
  }

  /** Each price at the end that moves the figure to this side, the strongest first. */
  #drives(one: number, other: number, side: Side): Corner['drives'] {
    const base = this.#figure(one, other, {});
    const sign = side === 'low' ? -1 : 1;
    return this.#candidates
      .flatMap((price) =>
        SIDES.map((end) => {
          const value = price[end];
          const gain = sign * (this.#figure(one, other, { [price.name]: value }) - base);
          return { name: price.name, value, gain };
        }),
      )
      .filter(({ gain }) => gain > 0)
      .sort((a, b) => b.gain - a.gain)
      .filter(({ name }, i, all) => all.findIndex((each) => each.name === name) === i)
      .map(({ name, value }) => ({ name, value }));
  }

  /** All figures that were run, of prices one at a time and at both corners. */
  #span(one: number, other: number, value: number): Interval {
    const figures = this.#candidates.flatMap((price) =>
      SIDES.map((side) => this.#figure(one, other, { [price.name]: price[side] })),
    );
    const corners = SIDES.map((side) => this.#corners.get(`${one} ${other} ${side}`)!.ratio);
    const all = [value, ...figures, ...corners];
    return { value, low: Math.min(...all), high: Math.max(...all) };
  }

  *#rank(one: number, other: number): Search<Ranking> {
    const ratio = this.#span(one, other, this.#ratio(one, other, {}));
    const base = order(ratio.value);
    const turnedBy: Turn[] = [];
    for (const side of SIDES) {
      const sign = side === 'low' ? -1 : 1;
      const isTurned = base === 0 ? this.#leansBothWays(ratio) : sign === -base;
      if (isTurned) turnedBy.push(...(yield* this.#turnsTo(one, other, side)));
    }
    const decided = turnedBy.length === 0;
    const names = { one: this.#designs[one]!, other: this.#designs[other]! };
    return { vcpus: this.#vcpus, ...names, ratio, decided, turnedBy };
  }

  /** Equal at the preset's prices, and either may win elsewhere. */
  #leansBothWays({ low, high }: Interval): boolean {
    return order(low) < 0 && order(high) > 0;
  }

  /** Prices that turn the order by themselves; else the fewest of the corner that do together. */
  *#turnsTo(one: number, other: number, side: Side): Search<readonly Turn[]> {
    const sign = side === 'low' ? -1 : 1;
    const { drives } = this.#corners.get(`${one} ${other} ${side}`)!;
    const alone = drives
      .map((drive): Turn => {
        return { prices: [drive], ratio: this.#ratio(one, other, valuesOf([drive])) };
      })
      .filter(({ ratio }) => order(ratio) === sign);
    if (alone.length > 0) return alone;
    if (order(this.#ratio(one, other, valuesOf(drives))) !== sign) return [];
    let least = 2;
    let most = drives.length;
    while (least < most) {
      const middle = (least + most) >> 1;
      const values = valuesOf(drives.slice(0, middle));
      yield* this.#run([
        [one, values],
        [other, values],
      ]);
      if (order(this.#ratio(one, other, values)) === sign) most = middle;
      else least = middle + 1;
    }
    const prices = drives.slice(0, most);
    return [{ prices, ratio: this.#ratio(one, other, valuesOf(prices)) }];
  }

  #sensitivityOf(design: number): RunSensitivity {
    const { run, charges } = this.#baseline[design]!;
    const value = this.#pace(design, {});
    const isCompared = this.#designs.length > 1;
    const effects = this.#candidates.map((price) => this.#effectOf(design, price));
    const strength = (effect: PriceEffect): number => {
      const own = movement(value, effect.cyclesPerOperation);
      if (effect.ratio === undefined) return own;
      return Math.max(own, movement(this.#ratio(0, design, {}), effect.ratio));
    };
    const listed = effects
      .map((effect) => ({ effect, by: strength(effect) }))
      .filter(({ by }) => by > THRESHOLD)
      .sort((a, b) => b.by - a.by)
      .map(({ effect: { ratio, ...rest } }) => {
        return isCompared && ratio !== undefined ? { ...rest, ratio } : rest;
      });
    return {
      cyclesPerOperation: this.#span(design, design, value),
      prices: listed,
      threshold: THRESHOLD,
      unattributed: run.cycles === 0 ? 0 : (charges?.unattributed ?? 0) / run.cycles,
      runs: this.#runs,
    };
  }

  #effectOf(design: number, price: PriceNote): PriceEffect {
    const { run, charges } = this.#baseline[design]!;
    const { name } = price;
    const at = (side: Side): Values => ({ [name]: price[side] });
    const ends = (figure: (values: Values) => number): Ends => ({
      low: figure(at('low')),
      high: figure(at('high')),
    });
    const path = charges?.path[name] ?? 0;
    return {
      ...price,
      elasticity: run.cycles === 0 ? 0 : (path * price.value) / run.cycles,
      chargedPerOperation: run.operations === 0 ? 0 : (charges?.all[name] ?? 0) / run.operations,
      cyclesPerOperation: ends((values) => this.#pace(design, values)),
      ...(design === 0 ? {} : { ratio: ends((values) => this.#ratio(0, design, values)) }),
    };
  }
}

/**
 * How far a price can move a run's time, relatively, as its charges tell: those of the chain that
 * bounds the run, or a CPU's share of all of them, if others bound it once the price is another.
 */
function possibleMovement({ run, charges }: Outcome, price: PriceNote): number {
  if (run.cycles === 0) return 0;
  const path = Math.abs(charges?.path[price.name] ?? 0);
  const share = (charges?.all[price.name] ?? 0) / run.vcpus;
  const span = Math.max(price.value - price.low, price.high - price.value);
  return (Math.max(path, share) * span) / run.cycles;
}

function valuesOf(drives: Corner['drives']): Values {
  return Object.fromEntries(drives.map(({ name, value }) => [name, value]));
}

function keyOf(design: number, values: Values): string {
  const told = Object.entries(values).map(([name, value]) => `${name}=${value}`);
  return `${design}: ${told.sort().join(' ')}`;
}

function pace(run: Run): number {
  return run.operations === 0 ? 0 : run.cycles / run.operations;
}

/** A comparison with what was found about it. */
export function withPrices(doc: Compare, found: Found): Compare {
  const designs = [...new Set(doc.runs.map((run) => run.design))];
  const sensitivity = doc.sensitivity.map((row) => {
    const { sensitivity: by, ratio } = found.rows.find((each) => {
      return each.vcpus === row.vcpus && designs[each.design] === row.design;
    })!;
    return { ...row, interval: ratio, prices: by.prices, unattributed: by.unattributed };
  });
  const { rankings } = found;
  return { ...doc, sensitivity, decided: rankings.every((each) => each.decided), rankings };
}

/** Searches with everything run on the spot, one point after the other. */
export function searchHere<T>(search: Search<T>, run: (point: Point) => Outcome): T {
  let step = search.next();
  while (!step.done) step = search.next(step.value.map(run));
  return step.value;
}
