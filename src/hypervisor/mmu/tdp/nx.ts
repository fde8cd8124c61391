/**
 * No huge page is executable: on processors whose instruction TLB may take a fetch through a huge
 * entry that is being changed for a machine check (iTLB multihit), huge leaves are mapped without
 * X. A fetch splits the page into 4 KiB that are executable, and the table that does so is put on a
 * list, because but for the fetch the page would be huge. Data faults leave such a table alone. Now
 * and then a worker takes a share of the list away again, the oldest first, so that what is not
 * executed any more may become huge.
 *
 * A table is called small-by-order (`disallowed`) before it is linked, so that no data fault puts
 * a huge leaf in its place, and listed once it is; whoever unlinks it meanwhile takes the word
 * back, and then it is not listed.
 *
 * Source: arch/x86/kvm/mmu/tdp_mmu.c, kvm_tdp_mmu_map, tdp_mmu_unlink_sp, kvm_tdp_mmu_zap_sp;
 * mmu.c, disallowed_hugepage_adjust, track_possible_nx_huge_page, kvm_recover_nx_huge_pages
 * (facts; primer/x86.md 2.6).
 * Leaves out: the period of the worker (who calls it decides), slots that are logged, for which KVM
 * only takes the table off the list.
 */
import { num, type Routine } from '../../../runtime/act.ts';
import type { Context } from '../../../runtime/context.ts';
import { atomicLine, layout, plain } from '../../../runtime/layout.ts';
import { writeLock, writeUnlock } from '../../../sync/rwlock.ts';
import { lock, type Spinlock, spinlock, unlock } from '../../../sync/spinlock.ts';
import { flushRemote } from '../../flush/request-kick.ts';
import type { Platform } from '../../platform.ts';
import type { TdpMmu } from './mmu.ts';
import { freezeUsed, giveLater, sweep } from './remove.ts';
import { letOthers } from './zap.ts';

/** The list, oldest first, and how many tables are on it; under the lock. */
const ListWords = layout('tdp.nx-list', {
  lock: atomicLine,
  oldest: plain,
  newest: plain,
  count: plain,
});
/** Of one table, by its frame; all but the first word under the lock. 0: no frame, not listed. */
const TableWords = layout('tdp.nx-table', {
  disallowed: atomicLine,
  /** Address of the entry that links it, its level, and the first page below. */
  entry: plain,
  level: plain,
  first: plain,
  older: plain,
  newer: plain,
});

interface View {
  read(at: number): number;
}

/** A listed table, and where it is linked. */
export interface Listed {
  readonly table: number;
  readonly entry: number;
  /** Of the entry. */
  readonly level: number;
  readonly first: number;
}

export class NxHuge {
  readonly lock: Spinlock;
  readonly #words: number;
  readonly #tables: number;
  readonly #base: number;

  /** Tables are frames of the platform's pool. */
  constructor({ arena, frames }: Platform) {
    const { base, limit } = frames.region;
    this.#words = arena.place(ListWords);
    this.lock = spinlock(this.#words + ListWords.at.lock, 'l0.pages');
    this.#tables = arena.take((limit - base) * TableWords.bytes);
    this.#base = base;
  }

  /** Before the table can be seen: whatever it serves is to stay small. */
  *announce(cpu: Context, table: number): Routine<void> {
    yield cpu.store(this.#at(table, 'disallowed'), 1, 'nx.announce');
  }

  /** It was not linked after all. */
  *retract(cpu: Context, table: number): Routine<void> {
    yield cpu.store(this.#at(table, 'disallowed'), 0, 'nx.retract');
  }

  *isDisallowed(cpu: Context, table: number): Routine<boolean> {
    return num(yield cpu.load(this.#at(table, 'disallowed'), 'nx.look')) !== 0;
  }

  /** Once it is linked: lists it, unless somebody has unlinked it already. */
  *track(cpu: Context, { table, entry, level, first }: Listed): Routine<void> {
    yield* lock(cpu, this.lock, 'nx.track.lock');
    if (yield* this.isDisallowed(cpu, table)) {
      const newest = this.#get(cpu, 'newest');
      cpu.write(this.#at(table, 'entry'), entry);
      cpu.write(this.#at(table, 'level'), level);
      cpu.write(this.#at(table, 'first'), first);
      this.#join(cpu, newest, table);
      this.#join(cpu, table, 0);
      this.#set(cpu, 'count', this.#get(cpu, 'count') + 1);
    }
    yield* unlock(cpu, this.lock, 'nx.track.unlock');
  }

  /** It is unlinked: whoever does that takes it off the list. */
  *untrack(cpu: Context, table: number): Routine<void> {
    if (!(yield* this.isDisallowed(cpu, table))) return;
    yield* lock(cpu, this.lock, 'nx.untrack.lock');
    yield cpu.store(this.#at(table, 'disallowed'), 0, 'nx.untrack');
    if (cpu.read(this.#at(table, 'entry')) !== 0) {
      const older = cpu.read(this.#at(table, 'older'));
      this.#join(cpu, older, cpu.read(this.#at(table, 'newer')));
      cpu.write(this.#at(table, 'entry'), 0);
      this.#set(cpu, 'count', this.#get(cpu, 'count') - 1);
    }
    yield* unlock(cpu, this.lock, 'nx.untrack.unlock');
  }

  /** The oldest one, and how many there are; undefined if there is none. */
  *oldest(cpu: Context): Routine<(Listed & { readonly of: number }) | undefined> {
    yield* lock(cpu, this.lock, 'nx.oldest.lock');
    const table = this.#get(cpu, 'oldest');
    const found = table === 0 ? undefined : this.#listed((at) => cpu.read(at), table);
    const of = this.#get(cpu, 'count');
    yield* unlock(cpu, this.lock, 'nx.oldest.unlock');
    return found && { ...found, of };
  }

  /** Makes two tables neighbours; 0 is the end of the list on either side. */
  #join(cpu: Context, older: number, newer: number): void {
    if (older === 0) this.#set(cpu, 'oldest', newer);
    else cpu.write(this.#at(older, 'newer'), newer);
    if (newer === 0) this.#set(cpu, 'newest', older);
    else cpu.write(this.#at(newer, 'older'), older);
  }

  #get(cpu: Context, field: 'oldest' | 'newest' | 'count'): number {
    return cpu.read(this.#words + ListWords.at[field]);
  }

  #set(cpu: Context, field: 'oldest' | 'newest' | 'count', value: number): void {
    cpu.write(this.#words + ListWords.at[field], value);
  }

  #at(table: number, field: keyof typeof TableWords.at): number {
    return this.#tables + (table - this.#base) * TableWords.bytes + TableWords.at[field];
  }

  #listed(read: (at: number) => number, table: number): Listed {
    const of = (field: 'entry' | 'level' | 'first'): number => read(this.#at(table, field));
    return { table, entry: of('entry'), level: of('level'), first: of('first') };
  }

  // --- onlookers ---------------------------------------------------------------------------

  /** The list, oldest first, as far as it has an end. */
  list(view: View): Listed[] {
    const found: Listed[] = [];
    const count = view.read(this.#words + ListWords.at.count);
    let table = view.read(this.#words + ListWords.at.oldest);
    while (table !== 0 && found.length <= count) {
      found.push(this.#listed((at) => view.read(at), table));
      table = view.read(this.#at(table, 'newer'));
    }
    return found;
  }

  count(view: View): number {
    return view.read(this.#words + ListWords.at.count);
  }

  saysDisallowed(view: View, table: number): boolean {
    return view.read(this.#at(table, 'disallowed')) !== 0;
  }
}

/**
 * One turn of the worker: takes the oldest of the listed tables away, one in `ratio` of them
 * rounded up; how many. Under the write lock, flushed before it is let go.
 */
export function* tdpRecover(cpu: Context, mmu: TdpMmu, ratio: number): Routine<number> {
  const { nx, format } = mmu;
  if (nx === undefined) return 0;
  const removed: number[] = [];
  let zapped = 0;
  let owesFlush = false;
  yield* writeLock(cpu, mmu.lock, 'nx.recover.lock');
  const all = (yield* nx.oldest(cpu))?.of ?? 0;
  for (let left = Math.ceil(all / ratio); left > 0; left--) {
    const oldest = yield* nx.oldest(cpu);
    if (oldest === undefined) break; // taken away by others while the lock was let go
    // The lock keeps everybody but hardware from the entry, and hardware sets nothing but A.
    yield cpu.storeWord(oldest.entry, format.empty, 'nx.recover.unlink');
    const below = { table: oldest.table, level: oldest.level - 1, first: oldest.first };
    yield* sweep(cpu, mmu, below, freezeUsed, removed);
    zapped++;
    owesFlush = true;
    if (mmu.yields && left > 1 && (yield* letOthers(cpu, mmu, owesFlush))) owesFlush = false;
  }
  if (owesFlush) yield* flushRemote(cpu, mmu.vm, 'nx.recover.wait');
  yield* writeUnlock(cpu, mmu.lock, 'nx.recover.unlock');
  yield* giveLater(cpu, mmu, removed);
  return zapped;
}
