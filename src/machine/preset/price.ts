/**
 * What a preset prices: primitive hardware acts and named units of software work that the code
 * itself counts (DESIGN.md law 3). One price per unit for all designs; no price belongs to a
 * design.
 */

/** Where a figure comes from; an assumed one spans at least a factor of 4 from low to high. */
export interface Price {
  readonly value: number;
  readonly unit: 'cycles';
  readonly low: number;
  readonly high: number;
  readonly kind: 'measured' | 'published' | 'manual' | 'assumed';
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
  'msr',
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
  'guestTickWork',
] as const;

export type HardwareAct = (typeof HARDWARE)[number];
export type SoftwareUnit = (typeof SOFTWARE)[number];

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
  readonly prices: Readonly<Record<HardwareAct | SoftwareUnit, Price>>;
}

export function assumed(value: number, low: number, high: number, source: string): Price {
  return { value, unit: 'cycles', low, high, kind: 'assumed', source };
}

export function published(value: number, low: number, high: number, source: string): Price {
  return { value, unit: 'cycles', low, high, kind: 'published', source };
}
