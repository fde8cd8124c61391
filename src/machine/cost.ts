/**
 * A preset's prices as plain numbers for the hot path, and its distances between CPUs. A scale on
 * software work serves the reports that repeat every run with all software units at 0 and at 2x.
 */
import { HARDWARE, type HardwareAct, type Preset, SOFTWARE } from './preset/price.ts';

export type Hardware = Readonly<Record<HardwareAct, number>>;

const MOST_CPUS = 1024;

export class Cost {
  readonly hardware: Hardware;
  /** Cycles per software unit, by unit index. */
  readonly software: Float64Array;
  /** Socket of each CPU, and its cluster there. */
  readonly #socket = new Uint16Array(MOST_CPUS);
  readonly #cluster = new Uint16Array(MOST_CPUS);

  constructor(preset: Preset, softwareScale = 1) {
    // An act that the machine does not have has no price: a time that it entered would show it.
    this.hardware = Object.fromEntries(
      HARDWARE.map((name) => [name, preset.prices[name]?.value ?? Number.NaN]),
    ) as Hardware;
    this.software = Float64Array.from(SOFTWARE, (name) => {
      return preset.prices[name].value * softwareScale;
    });
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
    if (from === to) return 0;
    if (!this.sameSocket(from, to)) return this.hardware.lineCrossSocket;
    const isSameCluster = this.#cluster[from] === this.#cluster[to];
    return isSameCluster ? this.hardware.lineSameCluster : this.hardware.lineSameSocket;
  }

  ipi(from: number, to: number): number {
    return this.sameSocket(from, to) ? this.hardware.ipiSameSocket : this.hardware.ipiCrossSocket;
  }
}
