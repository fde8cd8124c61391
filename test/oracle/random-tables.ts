/**
 * Random page tables with a taste for the corners: mostly entries that lead somewhere, each flag
 * missing now and then, and sometimes any bit of the word flipped.
 */

/** Small repeatable generator (mulberry32). */
export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 0;
  }

  /** A whole number below `n`. */
  below(n: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * n);
  }

  /** True once in `n` times. */
  once(n: number): boolean {
    return this.below(n) === 0;
  }

  pick<T>(values: readonly T[]): T {
    return values[this.below(values.length)];
  }
}

export interface EntryStyle {
  readonly ept: boolean;
  /** Frames that entries point to. */
  readonly frames: readonly number[];
  readonly levels: number;
  readonly bits: number;
  /** How often something is odd: once in `odd` times. */
  readonly odd: number;
}

/** One entry for a table that is probably used at `level` (0 = 4 KiB leaves). */
export function randomEntry(dice: Dice, style: EntryStyle, level: number): bigint {
  const { ept, odd } = style;
  if (dice.once(odd * 2)) return ept && dice.once(2) ? 1n << 63n : 0n;
  let word = BigInt(dice.pick(style.frames)) << 12n;
  const large = level > 0 && dice.once(4);
  if (large) word = (word >> BigInt(12 + style.bits * level)) << BigInt(12 + style.bits * level);
  if (large || dice.once(odd)) word |= 1n << 7n;
  word |= ept ? eptFlags(dice, odd, large || level === 0) : longModeFlags(dice, odd);
  if (dice.once(2)) word |= BigInt(dice.below(1 << 11)) << 52n; // ignored bits 62:52
  if (dice.once(odd)) word ^= 1n << BigInt(dice.below(64));
  return word & ((1n << 64n) - 1n);
}

function eptFlags(dice: Dice, odd: number, leaf: boolean): bigint {
  let flags = dice.once(odd) ? dice.below(8) : dice.pick([1, 3, 5, 7, 7, 7, 7, 4]);
  if (leaf) flags |= (dice.once(odd) ? dice.below(8) : 6) << 3;
  if (leaf && dice.once(2)) flags |= 1 << 6;
  if (dice.once(odd)) flags ^= 1 << dice.pick([3, 4, 5, 6]);
  return BigInt(flags | (dice.below(16) << 8));
}

function longModeFlags(dice: Dice, odd: number): bigint {
  const sometimes = (n: number): bigint => (dice.once(odd) ? 0n : 1n << BigInt(n));
  let flags = 1n | sometimes(1) | sometimes(2);
  for (const n of [5, 6, 8, 9, 10, 11]) if (dice.once(2)) flags |= 1n << BigInt(n);
  if (dice.once(odd * 2)) flags |= 1n << 63n;
  return flags;
}

/** An entry at `level`, mostly leading somewhere. */
export type Style = (dice: Dice, frames: readonly number[], level: number, bits: number) => bigint;

export const armEntry: Style = (dice, frames, level, bits) => {
  if (dice.once(20)) return BigInt(dice.below(4)) << 8n;
  const leaf = level === 0 || dice.once(4);
  let word = BigInt(dice.pick(frames)) << 12n;
  if (leaf && level > 0) word = (word >> BigInt(12 + bits * level)) << BigInt(12 + bits * level);
  word |= 1n | (leaf && level > 0 ? 0n : 2n) | (BigInt(dice.below(16)) << 2n);
  word |= BigInt(dice.once(5) ? dice.below(4) : 3) << 6n;
  word |= BigInt(dice.below(4)) << 8n;
  if (!dice.once(6)) word |= 1n << 10n;
  word |= BigInt(dice.once(3) ? dice.below(16) : 0) << 51n;
  word |= BigInt(dice.once(2) ? dice.below(128) : 0) << 55n;
  return dice.once(12) ? word ^ (1n << BigInt(dice.below(64))) : word;
};

export const riscvEntry: Style = (dice, frames, level, bits) => {
  if (dice.once(20)) return BigInt(dice.below(256)) & ~1n;
  const leaf = level === 0 || dice.once(4);
  let ppn = BigInt(dice.pick(frames));
  if (leaf && level > 0 && !dice.once(10))
    ppn = (ppn >> BigInt(bits * level)) << BigInt(bits * level);
  let flags = 1;
  if (leaf) {
    flags |= (dice.once(8) ? dice.below(8) : dice.pick([1, 3, 7, 7, 5, 4])) << 1;
    flags |= (dice.once(8) ? 0 : 1) << 4;
    flags |= dice.below(4) << 6;
  }
  flags |= (dice.below(2) << 5) | (dice.below(4) << 8);
  const word = (ppn << 10n) | BigInt(flags);
  return dice.once(12) ? word ^ (1n << BigInt(dice.below(64))) : word;
};
