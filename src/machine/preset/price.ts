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

/** Hardware acts of every machine. */
export const COMMON = [
  'vmExit',
  'vmEntry',
  'invlpg',
  'loadCr3',
  'ipiSend',
  'ipiSameSocket',
  'ipiCrossSocket',
  'lineSameCluster',
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

/** Those of one vendor's processors. `asidFlush`: what TLB_CONTROL adds to VMRUN. */
export const OF_VENDOR = {
  intel: ['vmcsAccess', 'vmcsLoad', 'invept', 'invvpid'],
  amd: ['vmload', 'vmsave', 'globalInterruptFlag', 'asidFlush', 'invlpga', 'invlpgb', 'tlbsync'],
} as const;

export const HARDWARE = [...COMMON, ...OF_VENDOR.intel, ...OF_VENDOR.amd] as const;

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

export type VendorId = keyof typeof OF_VENDOR;
export type HardwareAct = (typeof HARDWARE)[number];
type CommonAct = (typeof COMMON)[number];
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
  /** Whose processors: VMX and EPT, or SVM and NPT. */
  readonly vendor: VendorId;
  /** Cycles per second of the clock that all prices count. */
  readonly hertz: number;
  readonly cpusPerSocket: number;
  /** CPUs that share a last-level cache, if fewer than a socket's. */
  readonly cpusPerCluster?: number;
  /** Sockets to which CPUs are dealt in turn; unless given, one is filled after the other. */
  readonly dealtTo?: number;
  readonly maxPhyBits: number;
  /** Most levels of tables that its processors walk. */
  readonly levels: number;
  readonly tlb: { readonly sets: number; readonly ways: number; readonly structures: number };
  readonly leavesOut: string;
  readonly prices: Readonly<Record<CommonAct | SoftwareUnit, Price>> &
    Readonly<Partial<Record<HardwareAct, Price>>>;
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
    Object.entries(preset.prices).map(([name, price]: [string, Price]) => {
      return [name, { ...price, value: values[name as PriceName] ?? price.value }];
    }),
  ) as unknown as Preset['prices'];
  return { ...preset, prices };
}
