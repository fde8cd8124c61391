/** A machine without prices, for schedulers that do not ask what things cost. */
import { Lines } from '../lines.ts';
import { Memory } from '../memory.ts';
import { intelCascadeLake } from '../preset/intel-cascade-lake.ts';
import type { Preset } from '../preset/price.ts';

export const FREE: Preset = {
  ...intelCascadeLake,
  id: 'free',
  prices: Object.fromEntries(
    Object.entries(intelCascadeLake.prices).map(([name, price]) => [name, { ...price, value: 0 }]),
  ) as Preset['prices'],
};

/** Cache lines that cost nothing and are nobody's: a copy of a machine keeps no books of them. */
class FreeLines extends Lines {
  constructor() {
    const nothing = { l1: 0, rmw: 0, llc: 0, transfer: () => 0 };
    super(new Memory({ frames: 0, slots: 0 }), 1, nothing);
  }

  override read(): number {
    return 0;
  }

  override modify(): number {
    return 0;
  }

  override own(): void {
    // nobody asks whose a line is
  }
}

/** For any number of machines: they hold no state. */
export const FREE_LINES: Lines = new FreeLines();
