/**
 * Numbers as people read them, the same on every host: no locale takes part. What is not a finite
 * number is printed as a dash, never as NaN.
 */

const MISSING = '-';

/** A count: 1,234,567. */
export function whole(value: number): string {
  if (!Number.isFinite(value)) return MISSING;
  return value.toFixed(0).replace(/\B(?=(\d{3})+$)/g, ',');
}

/** About three significant digits, without an exponent: 0.0123, 1.23, 12.3, 1,234. */
export function rough(value: number): string {
  if (!Number.isFinite(value)) return MISSING;
  if (value === 0) return '0';
  const size = Math.abs(value);
  if (size >= 99.95) return whole(value);
  if (size >= 9.995) return value.toFixed(1);
  if (size >= 0.0995) return value.toFixed(2);
  if (size >= 0.00005) return value.toFixed(size >= 0.00995 ? 3 : 4);
  return value > 0 ? '<0.0001' : '>-0.0001';
}

/** A figure exactly as it was given: 0.6, 1,500. */
export function exact(value: number): string {
  return Number.isInteger(value) ? whole(value) : String(value);
}

/** A share of a whole: 12.3 %. */
export function percent(share: number): string {
  if (!Number.isFinite(share)) return MISSING;
  const value = share * 100;
  if (value === 0) return '0 %';
  if (value < 0.05) return '<0.1 %';
  return `${value < 9.95 ? value.toFixed(1) : whole(value)} %`;
}

/** A factor: 0.62x. Zero stands for a ratio that nobody knows. */
export function factor(ratio: number): string {
  if (!Number.isFinite(ratio) || ratio === 0) return MISSING;
  return ratio < 0.0995
    ? `${rough(ratio)}x`
    : `${ratio < 99.95 ? ratio.toFixed(2) : whole(ratio)}x`;
}

const TIMES: readonly [number, string][] = [
  [1, 's'],
  [1e-3, 'ms'],
  [1e-6, 'µs'],
  [1e-9, 'ns'],
];

/** A duration in the unit that suits it: 1.23 ms. */
export function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return MISSING;
  if (seconds === 0) return '0 s';
  const [size, unit] = TIMES.find(([unitSize]) => seconds >= unitSize * 0.9995) ?? TIMES.at(-1)!;
  return `${rough(seconds / size)} ${unit}`;
}

const SIZES: readonly [number, string][] = [
  [2 ** 30, 'GiB'],
  [2 ** 20, 'MiB'],
  [2 ** 10, 'KiB'],
];

/** An amount of memory: 1.23 MiB. */
export function bytes(amount: number): string {
  if (!Number.isFinite(amount)) return MISSING;
  const found = SIZES.find(([size]) => amount >= size);
  if (found === undefined) return `${whole(amount)} B`;
  const [size, unit] = found;
  const value = amount / size;
  return `${Number.isInteger(value) ? whole(value) : rough(value)} ${unit}`;
}

/** A large figure in few characters: 1.23 M. */
export function short(value: number): string {
  if (value >= 999.5e6) return `${rough(value / 1e9)} G`;
  if (value >= 999.5e3) return `${rough(value / 1e6)} M`;
  if (value >= 9.995e3) return `${rough(value / 1e3)} k`;
  return rough(value);
}

/** `1 vCPU`, `2 vCPUs`. */
export function several(amount: number, thing: string): string {
  return `${whole(amount)} ${thing}${amount === 1 ? '' : 's'}`;
}
