/** Rights of the ABI as a hardware entry has them. Pure. */
import { MAP_PROMOTE, PROT_ALL, PROT_EXECUTE, PROT_READ, PROT_WRITE } from '../../../abi/kpop.ts';
import type { Entry, Rights, TableFormat } from '../../../machine/format/format.ts';

/** All rights, and the one that PROTECT is for most often: as intents have them. */
export const ALL = PROT_ALL;
export const WRITE = PROT_WRITE;
/** Flag of a MAP that merges smaller intents. */
export const PROMOTE = MAP_PROMOTE;

export function rightsOf(prot: number): Rights {
  return {
    read: (prot & PROT_READ) !== 0,
    write: (prot & PROT_WRITE) !== 0,
    execute: (prot & PROT_EXECUTE) !== 0,
    user: true,
  };
}

/** The rights that an entry gives; none if it is no leaf. */
export function protOf({ kind, read, write, execute }: Entry): number {
  if (kind !== 'leaf') return 0;
  return (read ? PROT_READ : 0) | (write ? PROT_WRITE : 0) | (execute ? PROT_EXECUTE : 0);
}

/** Accessed and, if it can be, written to: hardware has nothing to add to such an entry. */
export function leafOf(format: TableFormat, pfn: number, prot: number, level = 0): Entry {
  const rights = rightsOf(prot);
  return format.leaf({ pfn, level, rights, accessed: true, dirty: rights.write });
}
