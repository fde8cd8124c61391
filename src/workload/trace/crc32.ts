/**
 * CRC-32 as in gzip and PNG (polynomial 0xEDB88320, reflected): finds a damaged trace file. Four
 * bytes per round, because loading a trace waits for it.
 */

/** Row k, at 256 * k: what a byte does to the CRC when k more bytes follow it in the round. */
const TABLE = new Int32Array(4 * 256);
for (let byte = 0; byte < 256; byte++) {
  let rest = byte;
  for (let bit = 0; bit < 8; bit++) rest = rest & 1 ? (rest >>> 1) ^ 0xedb88320 : rest >>> 1;
  TABLE[byte] = rest;
}
for (let at = 256; at < TABLE.length; at++) {
  const before = TABLE[at - 256];
  TABLE[at] = (before >>> 8) ^ TABLE[before & 255];
}

/** The CRC-32 of the first `end` bytes. */
export function crc32(bytes: Uint8Array, end: number): number {
  let crc = -1;
  let at = 0;
  for (; at + 4 <= end; at += 4) {
    crc ^= bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24);
    crc =
      TABLE[768 + (crc & 255)] ^
      TABLE[512 + ((crc >>> 8) & 255)] ^
      TABLE[256 + ((crc >>> 16) & 255)] ^
      TABLE[crc >>> 24];
  }
  for (; at < end; at++) crc = (crc >>> 8) ^ TABLE[(crc ^ bytes[at]) & 255];
  return ~crc >>> 0;
}
