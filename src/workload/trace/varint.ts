/**
 * The number forms of the trace file: little-endian groups of seven bits, the top bit of a byte
 * set when another follows; signed numbers with the sign moved to bit 0. Exact up to 2^53.
 */

/** Bytes that `writeVarint` needs for `value`. */
export function varintLength(value: number): number {
  let length = 1;
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) length++;
  return length;
}

/** Writes `value` (an integer from 0 to 2^53 - 1) at `at`; returns the offset after it. */
export function writeVarint(bytes: Uint8Array, at: number, value: number): number {
  let rest = value;
  let next = at;
  while (rest >= 128) {
    bytes[next++] = (rest % 128) + 128;
    rest = Math.floor(rest / 128);
  }
  bytes[next++] = rest;
  return next;
}

/** A varint read from `bytes`: its value and the offset after it; null if it has no end. */
export function readVarint(
  bytes: Uint8Array,
  at: number,
  end: number,
): { value: number; next: number } | null {
  let value = 0;
  let scale = 1;
  for (let next = at; next < end && scale <= 2 ** 49; next++) {
    value += (bytes[next] & 127) * scale;
    if (bytes[next] < 128)
      return value <= Number.MAX_SAFE_INTEGER ? { value, next: next + 1 } : null;
    scale *= 128;
  }
  return null;
}

/** Signed to unsigned, small magnitudes to small numbers: 0, -1, 1, -2 … become 0, 1, 2, 3 … */
export function foldSign(value: number): number {
  return value < 0 ? -2 * value - 1 : 2 * value;
}

export function unfoldSign(value: number): number {
  return value % 2 === 1 ? -(value + 1) / 2 : value / 2;
}
