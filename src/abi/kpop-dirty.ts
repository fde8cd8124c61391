/**
 * KPOP's DIRTY call: which pages of L2 were written to. One call with three modes in the header's
 * flags; the list is one element, first page and page count. docs/abi.md says what it guarantees.
 *
 * Source: primer/x86.md 6.2, DIRTY (proposal). Differs: 16 Ki pages of a range per call instead of
 * 32 Ki, because words are numbers below 2^53 and hold 32 bits each.
 */
export const DIRTY_CALL = 0x106;

/** Header flags: what the call does. */
export const DirtyMode = {
  /** Begins to log: writes to the range that come after the return are in the log. */
  on: 4,
  /** Ends the log of the whole address space. */
  off: 8,
  /** Names the pages written to since they were named last. */
  collect: 16,
} as const;

/** Pages of one call: the bits of so many fill the argument page. */
export const DIRTY_LIMIT = 16384;
/** Pages that a word of the answer holds, which overwrites the whole argument page. */
export const DIRTY_PER_WORD = 32;
