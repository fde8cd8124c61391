/** What a guest's own tables say, as a checker follows them through the guest's memory. */
import type { WalkedFormat } from '../machine/format/judge.ts';

/**
 * A format whose pointers are guest frames: tables are followed to the host frames behind them,
 * `frames` by guest frame.
 */
export function throughGuest(format: WalkedFormat, frames: readonly number[]): WalkedFormat {
  return {
    ...format,
    decode: (word, level) => {
      const entry = format.decode(word, level);
      if (entry.kind !== 'table') return entry;
      const pfn = frames[entry.pfn];
      return pfn === undefined ? format.empty : { ...entry, pfn };
    },
  };
}
