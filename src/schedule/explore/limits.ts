/** What goes on for ever is cut: how often each hart has performed the labels that have a limit. */
import type { Limit } from './harts-options.ts';

export class Limits {
  /** Per hart and limit: how often the label was performed; part of the state. */
  readonly passed: Int32Array;
  /** Whether any state so far had a hart held at a limit. */
  wasHeld = false;
  readonly #limits: readonly Limit[];

  constructor(limits: readonly Limit[], harts: number) {
    this.#limits = limits;
    this.passed = new Int32Array(harts * limits.length);
  }

  has(label: string): boolean {
    return this.#limits.some((limit) => limit.label === label);
  }

  /** Whether a hart has come to the limit of the act that it offers. */
  isHeld(hart: number, label: string): boolean {
    for (let i = 0; i < this.#limits.length; i++) {
      const { label: limited, times } = this.#limits[i]!;
      if (limited !== label || this.passed[hart * this.#limits.length + i]! < times) continue;
      this.wasHeld = true;
      return true;
    }
    return false;
  }

  count(hart: number, label: string): void {
    for (let i = 0; i < this.#limits.length; i++) {
      if (this.#limits[i]!.label !== label) continue;
      const at = hart * this.#limits.length + i;
      this.passed[at] = this.passed[at]! + 1;
    }
  }
}
