/** A machine without prices, for schedulers that do not ask what things cost. */
import { intelCascadeLake } from '../preset/intel-cascade-lake.ts';
import type { Preset } from '../preset/price.ts';

export const FREE: Preset = {
  ...intelCascadeLake,
  id: 'free',
  prices: Object.fromEntries(
    Object.entries(intelCascadeLake.prices).map(([name, price]) => [name, { ...price, value: 0 }]),
  ) as Preset['prices'],
};
