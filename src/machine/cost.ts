/**
 * A preset's prices as plain numbers for the hot path, and its distances between CPUs. A scale on
 * software work serves the reports that repeat every run with all software units at 0 and at 2x.
 */
import { HARDWARE, type HardwareAct, type Preset, SOFTWARE } from './preset/price.ts';

export type Hardware = Readonly<Record<HardwareAct, number>>;

export class Cost {
  readonly hardware: Hardware;
  /** Cycles per software unit, by unit index. */
  readonly software: Float64Array;
  readonly #cpusPerSocket: number;
  readonly #cpusPerCluster: number;

  constructor(preset: Preset, softwareScale = 1) {
    // An act that the machine does not have has no price: a time that it entered would show it.
    this.hardware = Object.fromEntries(
      HARDWARE.map((name) => [name, preset.prices[name]?.value ?? Number.NaN]),
    ) as Hardware;
    this.software = Float64Array.from(SOFTWARE, (name) => {
      return preset.prices[name].value * softwareScale;
    });
    this.#cpusPerSocket = preset.cpusPerSocket;
    this.#cpusPerCluster = preset.cpusPerCluster ?? preset.cpusPerSocket;
  }

  sameSocket(a: number, b: number): boolean {
    return Math.floor(a / this.#cpusPerSocket) === Math.floor(b / this.#cpusPerSocket);
  }

  transfer(from: number, to: number): number {
    if (from === to) return 0;
    if (!this.sameSocket(from, to)) return this.hardware.lineCrossSocket;
    const per = this.#cpusPerCluster;
    const isSameCluster = Math.floor(from / per) === Math.floor(to / per);
    return isSameCluster ? this.hardware.lineSameCluster : this.hardware.lineSameSocket;
  }

  ipi(from: number, to: number): number {
    return this.sameSocket(from, to) ? this.hardware.ipiSameSocket : this.hardware.ipiCrossSocket;
  }
}
