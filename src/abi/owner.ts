/**
 * Hypercalls from a guest kernel to whoever owns its memory: L0 in `tdp`, L1 in `nested` and
 * `kpop`. They stand for virtio-balloon and free-page reporting, whose queues are left out.
 */
export const OwnerCall = {
  /** Pages are free: registers 1, 2 = guest-physical address of a list, number of elements. */
  reclaim: 1,
  /** The vCPU has nothing more to do, ever. */
  done: 2,
  /** The owner removes its tables for an aligned range: registers 1, 2 = first page, page count. */
  removeTables: 3,
} as const;

/** An element of the list is two words: first page, number of pages. */
export const REPORT_ELEMENT_BYTES = 16;
/** A list may go over this many consecutive guest pages. */
export const REPORT_PAGES = 8;
export const REPORT_LIMIT = (REPORT_PAGES * 4096) / REPORT_ELEMENT_BYTES;
