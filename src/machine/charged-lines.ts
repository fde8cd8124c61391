/** Cache lines whose prices are written into a ledger: the same times, explained. */
import { defect } from '../base/assert.ts';
import type { Cost } from './cost.ts';
import type { Ledger } from './ledger.ts';
import { type LinePrices, Lines } from './lines.ts';
import type { Memory } from './memory.ts';
import { Charge } from './preset/price.ts';

/** Cycles by which sums in another order of addition may differ. */
const EXACT = 1e-3;

export class ChargedLines extends Lines {
  readonly #cost: Cost;
  readonly #ledger: Ledger;

  constructor(memory: Memory, cpus: number, prices: LinePrices, cost: Cost, ledger: Ledger) {
    super(memory, cpus, prices);
    this.#cost = cost;
    this.#ledger = ledger;
  }

  override again(cpu: number, now: number): number {
    const took = super.again(cpu, now);
    this.#explain(cpu, now, Charge.l1Hit, now + took);
    return took;
  }

  override read(cpu: number, index: number, now: number): number {
    const { line, isHere, owner, free } = this.state(cpu, index);
    const took = super.read(cpu, index, now);
    if (isHere) {
      this.#explain(cpu, now, Charge.l1Hit, now + took);
    } else if (owner < 0) {
      this.#explain(cpu, now, Charge.llcHit, now + took);
    } else {
      const from = this.#await(cpu, line, now, free);
      this.#explain(cpu, from, this.#cost.transferPrice(owner, cpu), now + took);
    }
    return took;
  }

  override modify(cpu: number, index: number, now: number, locked: boolean): number {
    const { line, isAlone, holder, free } = this.state(cpu, index);
    const took = super.modify(cpu, index, now, locked);
    let from = now;
    if (!isAlone) {
      from = this.#await(cpu, line, now, free);
      const price = holder < 0 ? Charge.llcHit : this.#cost.transferPrice(holder, cpu);
      const arrived = this.freeAt(line);
      this.#explain(cpu, from, price, arrived);
      this.#ledger.moved(cpu, line);
      from = arrived;
    }
    this.#explain(cpu, from, locked ? Charge.rmwLocal : Charge.l1Hit, now + took);
    return took;
  }

  /** Until when the line is still on its way to somebody else. */
  #await(cpu: number, line: number, now: number, free: number): number {
    if (free <= now) return now;
    this.#ledger.awaitLine(cpu, now, line, free);
    return free;
  }

  /** One price (-1: none) explains the time between `from` and `to`. */
  #explain(cpu: number, from: number, price: number, to: number): void {
    const cycles = price < 0 ? 0 : this.#cost.of[price]!;
    if (Math.abs(from + cycles - to) > EXACT) {
      defect('ChargedLines', `${to - from} cycles are not price ${price}`);
    }
    if (price >= 0) this.#ledger.charge(cpu, from, price, 1);
  }
}
