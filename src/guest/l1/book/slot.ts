/**
 * What L1's book says of one L2 page, as a word: nothing (0), pending (a vCPU's MAP or PROTECT is
 * under way), valid, or killed (an invalidation is unmapping it). A valid one says which rights L1
 * has taken away since, and whether it is taking them at this moment. Pure.
 *
 * Source: primer/x86.md 6.6 (proposal). Differs: a reservation names its owner (ARCHITECTURE.md).
 */

export const SlotState = { pending: 1, valid: 2, killed: 3 } as const;

/** vCPUs that may hold a reservation; a valid word has flags in that place. */
const OWNERS = 512;

/** How much larger a word is than the one of the same kind for the L1 page before. */
export const SLOT_STEP = 4 * OWNERS;

/** Of a valid word: L2 may not write to the page; L1 is about to tell L0 so. */
const READ_ONLY = 1;
const NARROWING = 2;

/**
 * A reservation names the vCPU that made it, so that only that one settles or withdraws it: vCPUs
 * that share a reservation lose each other's mapping.
 */
export function slotWord(l1gfn: number, state: number, ownerOrFlags = 0): number {
  return (l1gfn * OWNERS + ownerOrFlags) * 4 + state;
}

export function stateOf(word: number): number {
  return word % 4;
}

export function l1gfnOf(word: number): number {
  return Math.floor(word / SLOT_STEP);
}

/** Flags of a valid word. */
function flagsOf(word: number): number {
  return Math.floor(word / 4) % OWNERS;
}

/** Whether L2 can write to the page as far as the book knows. */
export function isWritable(word: number): boolean {
  return word !== 0 && (stateOf(word) !== SlotState.valid || flagsOf(word) === 0);
}

/** L2 may not write, and L0 has been told. */
export function isReadOnly(word: number): boolean {
  return stateOf(word) === SlotState.valid && flagsOf(word) === READ_ONLY;
}

/** L0 is being told: until it has answered L2 may still write. */
export function isNarrowing(word: number): boolean {
  return stateOf(word) === SlotState.valid && flagsOf(word) === (READ_ONLY | NARROWING);
}

export function narrowing(word: number): number {
  return slotWord(l1gfnOf(word), SlotState.valid, READ_ONLY | NARROWING);
}

export function narrowed(word: number): number {
  return slotWord(l1gfnOf(word), SlotState.valid, READ_ONLY);
}
