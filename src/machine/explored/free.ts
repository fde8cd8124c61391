/** A machine without prices, for schedulers that do not ask what things cost. */
import { Lines } from '../lines.ts';
import { Memory } from '../memory.ts';
import { amdMilan } from '../preset/amd-milan.ts';
import { intelCascadeLake } from '../preset/intel-cascade-lake.ts';
import type { Preset, VendorId } from '../preset/price.ts';

function withoutPrices(preset: Preset): Preset {
  const prices = Object.fromEntries(
    Object.entries(preset.prices).map(([name, price]) => [name, { ...price, value: 0 }]),
  ) as unknown as Preset['prices'];
  return { ...preset, id: 'free', prices };
}

export const FREE: Preset = withoutPrices(intelCascadeLake);
export const FREE_OF: Readonly<Record<VendorId, Preset>> = {
  intel: FREE,
  amd: withoutPrices(amdMilan),
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
