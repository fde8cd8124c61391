/** Numbers as people read them. */

import { expect, test } from 'vitest';
import { bytes, duration, exact, factor, percent, rough, several, short, whole } from './number.ts';

test.each([
  [whole(0), '0'],
  [whole(999), '999'],
  [whole(1234567), '1,234,567'],
  [rough(0), '0'],
  [rough(0.00001), '<0.0001'],
  [rough(0.0022), '0.0022'],
  [rough(0.0123), '0.012'],
  [rough(0.25), '0.25'],
  [rough(9.999), '10.0'],
  [rough(12.34), '12.3'],
  [rough(99.96), '100'],
  [rough(12345.6), '12,346'],
  [exact(0.6), '0.6'],
  [exact(1500), '1,500'],
  [percent(0), '0 %'],
  [percent(0.0001), '<0.1 %'],
  [percent(0.034), '3.4 %'],
  [percent(0.5), '50 %'],
  [factor(0), '-'],
  [factor(0.625), '0.63x'],
  [factor(1), '1.00x'],
  [factor(0.0123), '0.012x'],
  [factor(250), '250x'],
  [duration(0), '0 s'],
  [duration(2.5e-10), '0.25 ns'],
  [duration(13.6e-6), '13.6 µs'],
  [duration(0.9999), '1.00 s'],
  [bytes(0), '0 B'],
  [bytes(1023), '1,023 B'],
  [bytes(4096), '4 KiB'],
  [bytes(4730880), '4.51 MiB'],
  [short(950), '950'],
  [short(9999), '10.0 k'],
  [short(1.5e6), '1.50 M'],
  [several(1, 'vCPU'), '1 vCPU'],
  [several(2, 'vCPU'), '2 vCPUs'],
])('number: %s', (got, wanted) => {
  expect(got).toBe(wanted);
});

test('number: what is not finite is a dash everywhere', () => {
  for (const format of [whole, rough, percent, factor, duration, bytes]) {
    for (const wrong of [Number.NaN, Number.POSITIVE_INFINITY]) expect(format(wrong)).toBe('-');
  }
});
