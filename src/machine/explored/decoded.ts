/**
 * Entries of one format, each decoded once: an exploration meets few different words, and looks at
 * them after every write to a table.
 */
import type { Entry } from '../format/format.ts';
import type { WalkedFormat } from '../format/judge.ts';

/** What one low half means, by high half and level. */
interface Known {
  readonly hi: number;
  readonly level: number;
  readonly entry: Entry;
}

export class Decoded {
  readonly #format: WalkedFormat;
  readonly #byLow = new Map<number, Known[]>();

  constructor(format: WalkedFormat) {
    this.#format = format;
  }

  at(lo: number, hi: number, level: number): Entry {
    const known = this.#byLow.get(lo);
    const found = known?.find((each) => each.hi === hi && each.level === level);
    if (found !== undefined) return found.entry;
    const entry = this.#format.decode({ lo, hi }, level);
    if (known === undefined) this.#byLow.set(lo, [{ hi, level, entry }]);
    else known.push({ hi, level, entry });
    return entry;
  }
}
