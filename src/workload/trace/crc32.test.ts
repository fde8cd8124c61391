import { describe, expect, test } from 'vitest';
import { crc32 } from './crc32.ts';

describe('CRC-32', () => {
  test('the check value of the standard', () => {
    const digits = new TextEncoder().encode('123456789');
    expect(crc32(digits, 9)).toBe(0xcbf43926);
    expect(crc32(digits, 0)).toBe(0);
  });

  test('lengths around a round agree with the bit-wise definition', () => {
    const bytes = Uint8Array.from({ length: 13 }, (_, at) => at * 77 + 200);
    for (let end = 0; end <= bytes.length; end++) {
      let crc = -1;
      for (const byte of bytes.subarray(0, end)) {
        crc ^= byte;
        for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
      }
      expect(crc32(bytes, end)).toBe(~crc >>> 0);
    }
  });
});
