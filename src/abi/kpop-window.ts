/**
 * KPOP's WINDOW call: L2 pages in bulk, each on the L1 page at the same distance. L0 keeps the
 * range and maps a page at its first touch, without L1. UNMAP takes away what a window says of a
 * range, too; there is no call of its own for that.
 *
 * Source: primer/x86.md 6.2, WINDOW and UNWINDOW (proposal). Differs: UNWINDOW is UNMAP.
 */
export const WINDOW_CALL = 0x107;

/** Windows of an address space at most, parts that UNMAP and PROTECT leave of one counted each. */
export const WINDOW_LIMIT = 127;
/** Pages of a window. */
export const WINDOW_PAGES = 2 ** 18;
