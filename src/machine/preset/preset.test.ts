/**
 * Presets: every price has a source and lies within its own bounds, an assumed one within wide
 * ones; and the figures are frozen.
 *
 * The hash below is that of the preset as it was first committed. A change of a preset needs a
 * source that is no validation target (no figure that kpop's results are compared with), a raised
 * MODEL_VERSION (src/experiment/run.ts), and then the new hash here.
 */
import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { presets } from './index.ts';
import { COMMON, OF_VENDOR, type Price, SOFTWARE } from './price.ts';

const FROZEN: Readonly<Record<string, string>> = {
  'intel-cascade-lake': '0324a2f3ab600f1f743eccae73a59c5419d28055d6b5635cba6ca07c0b24619e',
  'amd-milan': '2ebe70a8b2953a7b014cb8948b9dba24287387472f7dc89e9b676e698c9abd29',
};
/** Machines that differ from another in nothing but where their CPUs are. */
const SAME_PRICES = /-2s$/;

/** JSON with keys in order, so that the hash is one of what is said and not of how. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, each: unknown) =>
    typeof each === 'object' && each !== null && !Array.isArray(each)
      ? Object.fromEntries(Object.entries(each).sort(([a], [b]) => (a < b ? -1 : 1)))
      : each,
  );
}

describe.each(presets.map((preset) => [preset.id, preset] as const))('%s', (id, preset) => {
  const prices = Object.entries(preset.prices) as [string, Price][];

  it('prices exactly the hardware acts and units of software work that exist', () => {
    expect(prices.map(([name]) => name).sort()).toEqual(
      [...COMMON, ...OF_VENDOR[preset.vendor], ...SOFTWARE].sort(),
    );
  });

  it.each(prices)('%s: sourced, low <= value <= high, wide if assumed', (_name, price) => {
    expect(price.source.trim().length).toBeGreaterThan(10);
    expect(price.unit).toBe('cycles');
    expect(price.low).toBeGreaterThan(0);
    expect(price.low).toBeLessThanOrEqual(price.value);
    expect(price.value).toBeLessThanOrEqual(price.high);
    if (price.kind === 'assumed') expect(price.high / price.low).toBeGreaterThanOrEqual(4);
  });

  it('is frozen: see the note above before changing the hash', () => {
    const { dealtTo: _, ...one } = preset;
    const base = presets.find((each) => each.id === id.replace(SAME_PRICES, ''))!;
    const same = { ...one, id: base.id, title: base.title };
    expect(createHash('sha256').update(canonical(same)).digest('hex')).toBe(FROZEN[base.id]);
  });
});
