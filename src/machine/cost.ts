/**
 * A preset's prices as plain numbers for the hot path, and its distances between CPUs. A scale on
 * software work serves the reports that repeat every run with all software units at 0 and at 2x.
 */
import type { Ledger } from './ledger.ts';
import {
  Charge,
  FIRST_UNIT,
  HARDWARE,
  type HardwareAct,
  PRICES,
  type Preset,
} from './preset/price.ts';

/** What `pay` needs of a machine and of a CPU. */
interface Payer {
  readonly cost: Cost;
  readonly ledger: Ledger | undefined;
}
interface Clock {
  readonly id: number;
  now: number;
}

/** Moves a CPU's clock by a price, given by its index, as often as it is due. */
export function pay(m: Payer, cpu: Clock, price: number, count = 1): void {
  if (m.ledger !== undefined) m.ledger.charge(cpu.id, cpu.now, price, count);
  cpu.now += m.cost.of[price]! * count;
}

export type Hardware = Readonly<Record<HardwareAct, number>>;

const MOST_CPUS = 1024;

export class Cost {
  readonly hardware: Hardware;
  /** Cycles of every price, by its index in PRICES. */
  readonly of: Float64Array;
  /** Cycles per software unit, by unit index. */
  readonly software: Float64Array;
  /** Socket of each CPU, and its cluster there. */
  readonly #socket = new Uint16Array(MOST_CPUS);
  readonly #cluster = new Uint16Array(MOST_CPUS);

  static readonly #known = new WeakMap<Preset, Map<number, Cost>>();

  /** Prices do not change: one object for all machines of a preset. */
  static of(preset: Preset, softwareScale: number): Cost {
    let scales = Cost.#known.get(preset);
    if (scales === undefined) {
      scales = new Map();
      Cost.#known.set(preset, scales);
    }
    let cost = scales.get(softwareScale);
    if (cost === undefined) {
      cost = new Cost(preset, softwareScale);
      scales.set(softwareScale, cost);
    }
    return cost;
  }

  constructor(preset: Preset, softwareScale = 1) {
    // An act that the machine does not have has no price: a time that it entered would show it.
    this.hardware = Object.fromEntries(
      HARDWARE.map((name) => [name, preset.prices[name]?.value ?? Number.NaN]),
    ) as Hardware;
    this.of = Float64Array.from(PRICES, (name, i) => {
      const value = preset.prices[name]?.value ?? Number.NaN;
      return i < FIRST_UNIT ? value : value * softwareScale;
    });
    this.software = this.of.subarray(FIRST_UNIT);
    const { cpusPerSocket, cpusPerCluster = cpusPerSocket, dealtTo } = preset;
    for (let cpu = 0; cpu < MOST_CPUS; cpu++) {
      this.#socket[cpu] = dealtTo === undefined ? Math.floor(cpu / cpusPerSocket) : cpu % dealtTo;
      const inSocket = dealtTo === undefined ? cpu % cpusPerSocket : Math.floor(cpu / dealtTo);
      this.#cluster[cpu] = Math.floor(inSocket / cpusPerCluster);
    }
  }

  sameSocket(a: number, b: number): boolean {
    return this.#socket[a] === this.#socket[b];
  }

  transfer(from: number, to: number): number {
    return from === to ? 0 : this.of[this.transferPrice(from, to)]!;
  }

  ipi(from: number, to: number): number {
    return this.sameSocket(from, to) ? this.hardware.ipiSameSocket : this.hardware.ipiCrossSocket;
  }

  /** Index of the price of a line's transfer between two CPUs; -1 if they are one. */
  transferPrice(from: number, to: number): number {
    if (from === to) return -1;
    if (!this.sameSocket(from, to)) return Charge.lineCrossSocket;
    const isSameCluster = this.#cluster[from] === this.#cluster[to];
    return isSameCluster ? Charge.lineSameCluster : Charge.lineSameSocket;
  }

  ipiPrice(from: number, to: number): number {
    return this.sameSocket(from, to) ? Charge.ipiSameSocket : Charge.ipiCrossSocket;
  }
}
