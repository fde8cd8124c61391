/**
 * What a shadow MMU has to know of the guest whose tables it mirrors: where their entries lie, what
 * a leaf may allow for one, and how the right to write to a table is taken away.
 */
import type { Entry } from '../../../machine/format/format.ts';
import type { Routine } from '../../../runtime/act.ts';
import type { Context } from '../../../runtime/context.ts';

/** One level of the guest's walk, and what its entry was. */
export interface GuestStep {
  readonly level: number;
  /** Host-physical address of the guest's entry. */
  readonly at: number;
  readonly entry: Entry;
}

export interface GuestTables {
  /** Role of the SP that mirrors the table below `step`, under an SP of role `parent`. */
  roleBelow(parent: number, step: GuestStep): number;
  /** The entry that links SP table `table` where the guest has the pointer `guest`. */
  link(table: number, guest: Entry): Entry;
  /** The guest's entry `index` of its table `gfn` as it is now; undefined: no memory is there. */
  entryNow(cpu: Context, gfn: number, index: number, level: number): Routine<Entry | undefined>;
  /** Rights (`ACCESS_…`) of a leaf in an SP of `role` for the guest's entry; 0: none may be. */
  access(role: number, guest: Entry): number;
  /** A leaf with `access`; it allows writing only if `isWritable` too. */
  leaf(guest: Entry, pfn: number, access: number, isWritable: boolean): Entry;
  /** Under the lock: the guest cannot write to these frames any more, once flushed; true if so. */
  protect(cpu: Context, gfns: readonly number[]): Routine<boolean>;
  /** No CPU that runs the guest uses what is older than the call. */
  flush(cpu: Context): Routine<void>;
  /** Whether a present link leads to the right SP for sure, so that nobody need look it up. */
  readonly links: 'looked up' | 'followed';
}
