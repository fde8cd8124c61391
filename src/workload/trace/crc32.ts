/** CRC-32 as in gzip and PNG (polynomial 0xEDB88320, reflected): finds a damaged trace file. */

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let rest = byte;
  for (let bit = 0; bit < 8; bit++) rest = rest & 1 ? (rest >>> 1) ^ 0xedb88320 : rest >>> 1;
  return rest;
});

export function crc32(bytes: Uint8Array, end: number = bytes.length): number {
  let crc = 0xffffffff | 0;
  for (let at = 0; at < end; at++) crc = (crc >>> 8) ^ TABLE[(crc ^ bytes[at]) & 255];
  return ~crc >>> 0;
}
