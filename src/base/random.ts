/**
 * Seeded randomness: xoshiro128** (Blackman and Vigna) on four 32-bit words, seeded by splitmix32.
 * One generator per actor, so that adding an actor does not disturb the others.
 */
export class Random {
  readonly #state = new Uint32Array(4);

  /** `seed`: any whole number below 2^53; `actor` tells generators of one seed apart. */
  constructor(seed: number, actor = 0) {
    let mixed = ((seed | 0) ^ Math.imul(Math.floor(seed / 2 ** 32) + 1, 0x85ebca6b)) | 0;
    mixed = (mixed + Math.imul(actor + 1, 0xc2b2ae35)) | 0;
    for (let i = 0; i < 4; i++) {
      mixed = (mixed + 0x9e3779b9) | 0;
      let z = mixed ^ (mixed >>> 16);
      z = Math.imul(z, 0x21f0aaad);
      z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
      this.#state[i] = z ^ (z >>> 15);
    }
    if (this.#state.every((word) => word === 0)) this.#state[0] = 1;
  }

  /** 32 random bits. */
  next(): number {
    const s = this.#state;
    const scrambled = Math.imul(rotate(Math.imul(s[1]!, 5), 7), 9) >>> 0;
    const shifted = s[1]! << 9;
    s[2]! ^= s[0]!;
    s[3]! ^= s[1]!;
    s[1]! ^= s[2]!;
    s[0]! ^= s[3]!;
    s[2]! ^= shifted;
    s[3] = rotate(s[3]!, 11);
    return scrambled;
  }

  /** A whole number from 0 to `limit` - 1, each equally likely; `limit` is at most 2^32. */
  below(limit: number): number {
    const unfair = 2 ** 32 - (2 ** 32 % limit);
    let bits = this.next();
    while (bits >= unfair) bits = this.next();
    return bits % limit;
  }
}

function rotate(word: number, by: number): number {
  return (word << by) | (word >>> (32 - by));
}
