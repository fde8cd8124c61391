/**
 * Two logs of what L2 writes: L1's, by page of L2, and the host's own, by page of L1. One bit of a
 * hardware entry says that its page may have been written to: D, or W where writes are noticed by
 * protection, because an entry has W only while its page counts as written to. Whoever takes that
 * bit away, for whatever reason, notes it in both logs while the entry is locked. So no bit is lost
 * between two consumers, and a fault notes nothing.
 *
 * The look whether anybody reads a log comes after the entry was taken. Who begins to read raises
 * its flag before it looks at entries: if the look finds the flag down, what was taken away is
 * older than the log.
 *
 * Source: primer/x86.md 6.5, dirty log; 6.10, K5 (proposal).
 */
import type { Entry } from '../../../machine/format/format.ts';
import { type Act, num, type Routine } from '../../../runtime/act.ts';
import type { Context } from '../../../runtime/context.ts';
import { atomicLine, layout } from '../../../runtime/layout.ts';
import { PageBits } from '../../page-bits.ts';
import type { Platform } from '../../platform.ts';
import { leafOf, rightsOf, WRITE } from './leaf.ts';
import type { Space } from './space.ts';

/**
 * What makes a write noticed: hardware's D, which a harvest looks for in every entry; the same, and
 * the CPU lists the pages (PML); or a fault.
 */
export type NoticedBy = 'dirty' | 'pml' | 'protect';

const LogWords = layout('kpop.log', {
  /** Who reads a log: L1_READS, HOST_READS. */
  readers: atomicLine,
});

const RemovalWords = layout('kpop.removal', { turns: atomicLine });

export const L1_READS = 1;
export const HOST_READS = 2;
export const ALL_READ = L1_READS | HOST_READS;

export interface WriteLogOptions {
  readonly by: NoticedBy;
  readonly l2Pages: number;
  readonly l1Pages: number;
}

/** Who reads a log now, as code that holds an entry's lock is to know it; 0: nobody. */
export function loadReaders(cpu: Context, log: WriteLog): Act {
  return cpu.load(log.readers, 'kpop.log.readers');
}

export class WriteLog {
  readonly by: NoticedBy;
  readonly l2Pages: number;
  readonly l1Pages: number;
  readonly readers: number;
  /** L1's log, by page of L2. */
  readonly ofL2: PageBits;
  /** The host's, by page of L1. */
  readonly ofL1: PageBits;
  /** Pages of L2 that CPUs have listed and nobody has harvested; `pml` only. */
  readonly listed: PageBits | undefined;
  readonly #cpus: number;
  readonly #removals: number;

  constructor(platform: Platform, { by, l2Pages, l1Pages }: WriteLogOptions) {
    const { arena, cpus } = platform;
    this.by = by;
    this.l2Pages = l2Pages;
    this.l1Pages = l1Pages;
    this.readers = arena.place(LogWords) + LogWords.at.readers;
    this.ofL2 = new PageBits(platform, l2Pages);
    this.ofL1 = new PageBits(platform, l1Pages);
    this.listed = by === 'pml' ? new PageBits(platform, l2Pages) : undefined;
    this.#cpus = cpus;
    this.#removals = arena.take(cpus * RemovalWords.bytes);
  }

  /** Whether the entry says that its page may have been written to. */
  isNoticed({ kind, write, dirty }: Entry): boolean {
    return kind === 'leaf' && (this.by === 'protect' ? write : dirty);
  }

  /** A leaf for 4 KiB as it is while somebody reads a log; `needed`: rights of the access. */
  leaf({ format }: Space, pfn: number, prot: number, needed: number): Entry {
    if (this.by === 'protect') return leafOf(format, pfn, prot & (needed | ~WRITE));
    const rights = rightsOf(prot);
    return format.leaf({ pfn, level: 0, rights, accessed: true, dirty: false });
  }

  /** The same in the place of a leaf that lacks rights which its intent gives. */
  widened({ format }: Space, old: Entry, prot: number, needed: number): Entry {
    const { pfn, dirty } = old;
    const isWrite = this.by !== 'protect' || old.write || (needed & WRITE) !== 0;
    const rights = rightsOf(isWrite ? prot : prot & ~WRITE);
    const isDirty = dirty || (this.by === 'protect' && rights.write);
    return format.leaf({ pfn, level: 0, rights, accessed: true, dirty: isDirty });
  }

  /** Bits that were taken for L1 and did not reach it. */
  *putBack(cpu: Context, pages: readonly number[]): Routine<void> {
    for (const first of pages) {
      yield* this.ofL2.mark(cpu, { first, end: first + 1 }, 'kpop.log.put-back');
    }
  }

  /** Odd while this CPU's thread takes a table page apart that nothing links any more. */
  removal(cpu: number): number {
    return this.#removals + cpu * RemovalWords.bytes;
  }

  /**
   * Returns when every table page that was being taken apart is: what its entries said is noted.
   * Each CPU is waited for once, so a stream of removals delays nobody for long.
   */
  *awaitRemovals(cpu: Context): Routine<void> {
    for (let id = 0; id < this.#cpus; id++) {
      const at = this.removal(id);
      cpu.attempt('kpop.removals');
      const seen = num(yield cpu.load(at, 'kpop.removals.look'));
      if (seen % 2 === 1) {
        yield cpu.wait([at], () => cpu.peek(at) !== seen, 'kpop.removals.wait');
      }
      cpu.conclude('kpop.removals', 0);
    }
  }
}
