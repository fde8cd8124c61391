/**
 * A preset's prices as plain numbers for the hot path, and its distances between CPUs. A scale on
 * software work serves the reports that repeat every run with all software units at 0 and at 2x.
 */
import { type HardwareAct, type Preset, SOFTWARE } from './preset/price.ts';

export type Hardware = Readonly<Record<HardwareAct, number>>;

export class Cost {
  readonly hardware: Hardware;
  /** Cycles per software unit, by unit index. */
  readonly software: Float64Array;
  readonly #cpusPerSocket: number;

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
    const value = (name: keyof Preset['prices']): number => preset.prices[name].value;
    this.hardware = Object.fromEntries(
      Object.keys(preset.prices).map((name) => [name, value(name as HardwareAct)]),
    ) as Hardware;
    this.software = Float64Array.from(SOFTWARE, (name) => value(name) * softwareScale);
    this.#cpusPerSocket = preset.cpusPerSocket;
  }

  sameSocket(a: number, b: number): boolean {
    return Math.floor(a / this.#cpusPerSocket) === Math.floor(b / this.#cpusPerSocket);
  }

  transfer(from: number, to: number): number {
    if (from === to) return 0;
    return this.sameSocket(from, to) ? this.hardware.lineSameSocket : this.hardware.lineCrossSocket;
  }

  ipi(from: number, to: number): number {
    return this.sameSocket(from, to) ? this.hardware.ipiSameSocket : this.hardware.ipiCrossSocket;
  }
}
