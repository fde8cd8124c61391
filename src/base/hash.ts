/** A running hash of 64 bits in two lanes; `add` is order-sensitive. */
export class Hash64 {
  low = 0x9e3779b9 | 0;
  high = 0x85ebca6b | 0;

  reset(): void {
    this.low = 0x9e3779b9 | 0;
    this.high = 0x85ebca6b | 0;
  }

  /** Adds an integer below 2^53, negative ones included. */
  add(value: number): void {
    const lo = value | 0;
    const hi = Math.floor(value / 4294967296) | 0;
    let a = Math.imul(this.low ^ lo, 0x01000193) + Math.imul(hi ^ 0x5bd1e995, 0x27d4eb2f);
    a = (a << 13) | (a >>> 19);
    this.low = (Math.imul(a, 5) + 0x6b64e65) | 0;
    let b = Math.imul((this.high + lo) ^ (this.high >>> 15), 0x2c1b3c6d);
    b ^= Math.imul(hi + 0x165667b1, 0x297a2d39);
    b = (b << 17) | (b >>> 15);
    this.high = (Math.imul(b, 0x85ebca6b) + 0x52dce729) | 0;
  }

  addText(text: string): void {
    for (let i = 0; i < text.length; i++) this.add(text.charCodeAt(i));
    this.add(text.length);
  }
}
