/**
 * What a preset prices: primitive hardware acts and named units of software work that the code
 * itself counts (DESIGN.md law 3). One price per unit for all designs; no price belongs to a
 * design.
 */

export const PRICE_KINDS = ['measured', 'published', 'manual', 'assumed'] as const;

/** Where a figure comes from; an assumed one spans at least a factor of 4 from low to high. */
export interface Price {
  readonly value: number;
  readonly unit: 'cycles';
  readonly low: number;
  readonly high: number;
  readonly kind: (typeof PRICE_KINDS)[number];
  readonly source: string;
}

/** Hardware acts. */
export const HARDWARE = [
  'vmExit',
  'vmEntry',
  'vmcsAccess',
  'vmcsLoad',
  'invept',
  'invvpid',
  'invlpg',
  'loadCr3',
  'ipiSend',
  'ipiSameSocket',
  'ipiCrossSocket',
  'lineSameSocket',
  'lineCrossSocket',
  'l1Hit',
  'rmwLocal',
  'llcHit',
  'fence',
  'walkReference',
  'exception',
  'cpuid',
  'instruction',
  'systemCall',
] as const;

/** Units of software work, counted where the work is done. */
export const SOFTWARE = [
  'exitDispatch',
  'fieldCopied',
  'controlChecked',
  'listElement',
  'levelWalked',
  'instructionEmulated',
  'pageAllocated',
  'objectAllocated',
  'zeroPage',
  'guestFaultWork',
  'copyPage',
] as const;

export type HardwareAct = (typeof HARDWARE)[number];
export type SoftwareUnit = (typeof SOFTWARE)[number];

export type PriceName = HardwareAct | SoftwareUnit;

/** All that is priced: hardware acts, then units of software work. */
export const PRICES: readonly PriceName[] = [...HARDWARE, ...SOFTWARE];

/** Index of a price in PRICES: what a ledger counts by. */
export const Charge = Object.fromEntries(PRICES.map((name, i) => [name, i])) as Record<
  PriceName,
  number
>;
/** Index of the first unit of software work in PRICES. */
export const FIRST_UNIT: number = HARDWARE.length;

/** Index of a unit, as `Context.spend` takes it. */
export const Unit = Object.fromEntries(SOFTWARE.map((name, i) => [name, i])) as Record<
  SoftwareUnit,
  number
>;

export interface Preset {
  readonly id: string;
  readonly title: string;
  /** Cycles per second of the clock that all prices count. */
  readonly hertz: number;
  readonly cpusPerSocket: number;
  readonly maxPhyBits: number;
  readonly tlb: { readonly sets: number; readonly ways: number; readonly structures: number };
  readonly leavesOut: string;
  readonly prices: Readonly<Record<PriceName, Price>>;
}

export function assumed(value: number, low: number, high: number, source: string): Price {
  return { value, unit: 'cycles', low, high, kind: 'assumed', source };
}

export function published(value: number, low: number, high: number, source: string): Price {
  return { value, unit: 'cycles', low, high, kind: 'published', source };
}

/** The same machine with some prices at other values; their bounds and sources stay. */
export function repriced(
  preset: Preset,
  values: Readonly<Partial<Record<PriceName, number>>>,
): Preset {
  const prices = Object.fromEntries(
    PRICES.map((name) => {
      const price = preset.prices[name];
      return [name, { ...price, value: values[name] ?? price.value }];
    }),
  ) as Preset['prices'];
  return { ...preset, prices };
}
