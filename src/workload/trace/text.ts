/** Foreign text made fit for an error message: short, printable, in quotes. */

const SHOWN = 40;

/** The first characters of `line`, quoted; whatever is not printable ASCII is written \xNN. */
export function shorten(line: Uint8Array): string {
  let text = '';
  for (const byte of line.subarray(0, SHOWN)) {
    const printable = byte >= 0x20 && byte < 0x7f;
    text += printable ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, '0')}`;
  }
  return line.length > SHOWN ? `'${text}…'` : `'${text}'`;
}
