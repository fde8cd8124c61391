/**
 * The shadow MMU: tables of the hypervisor's own that mirror tables in a guest's memory. A shadow
 * page (SP) is known by the guest frame it mirrors and its role; one guest table may have several,
 * one may hang under several parents. All structure is protected by the VM's mmu_lock held for
 * writing; entries are atomic because hardware walks them.
 *
 * Source: arch/x86/kvm/mmu/mmu.c (facts; primer/x86.md 3.1). The guest's tables are whatever the
 * format says: EPT12 of a guest hypervisor, long-mode tables of a guest.
 * Leaves out: quotas of SPs, reverse maps of huge leaves (host pages have 4 KiB).
 */
import { Slab } from '../../../alloc/slab.ts';
import { defect } from '../../../base/assert.ts';
import type { WalkedFormat } from '../../../machine/format/judge.ts';
import { zeroFrame } from '../../../machine/instruction.ts';
import { FRAME_BYTES } from '../../../machine/memory.ts';
import { Unit } from '../../../machine/preset/price.ts';
import { num, type Routine } from '../../../runtime/act.ts';
import type { Context } from '../../../runtime/context.ts';
import { layout, plain } from '../../../runtime/layout.ts';
import type { AnonymousBacking } from '../../backing/anonymous.ts';
import type { Platform } from '../../platform.ts';
import type { PageRange } from '../common.ts';
import { fullBytes, Role, ShadowPage, StateAt } from './page.ts';

const LINE_BYTES = 64;
const BUCKETS = 4096;
/** Of a leaf's note: the rights that its guest entry gave, above the guest page. */
const ACCESS_UNIT = 2 ** 46;
/** What an SP above level 0 adds to its guest frame's count: such a table may never be written. */
export const UPPER = 2 ** 20;

/**
 * The note of an entry: the guest page of a leaf or the header of a child, and the rights given.
 */
export function noteOf(target: number, access: number): number {
  return target + 1 + access * ACCESS_UNIT;
}

/** Guest page or header in a note; -1 = nothing. */
export function targetIn(note: number): number {
  return note < ACCESS_UNIT ? note - 1 : (note % ACCESS_UNIT) - 1;
}

/** Rights that the guest's entry gave when the leaf was made. */
export function accessIn(note: number): number {
  return Math.floor(note / ACCESS_UNIT);
}

/** An item of a parent list or of a reverse map: the entry's page and index. */
const Item = layout('shadow.item', { next: plain, page: plain, index: plain, pad: plain });

/** Words as an onlooker reads them. */
interface Words {
  read(at: number): number;
}

export interface EntryOf {
  /** Address of the shadow page's header. */
  readonly page: number;
  readonly index: number;
}

export interface ShadowOptions {
  readonly platform: Platform;
  readonly format: WalkedFormat;
  /** What backs the guest's pages. */
  readonly backing: AnonymousBacking;
  /** Ranges of guest frames that are memory, ascending. */
  readonly memory: readonly PageRange[];
  /**
   * `small`: SPs that are always in step with their tables. `full`: they may be out of step, follow
   * writes and age.
   */
  readonly header: 'small' | 'full';
}

/** Guest frames with words of their own: a range, and how many frames the ranges before it have. */
interface Indexed extends PageRange {
  readonly before: number;
}

export class ShadowMmu {
  readonly platform: Platform;
  readonly format: WalkedFormat;
  readonly backing: AnonymousBacking;
  readonly header: 'small' | 'full';
  readonly #memory: readonly Indexed[];
  readonly #buckets: number;
  readonly #tracked: number; // shadow pages per guest frame: atomic, read without the lock
  readonly #rmap: number; // list head per guest frame
  readonly #headerBytes: number;
  readonly #pages: Slab;
  readonly #items: Slab;
  readonly #spares: number; // per CPU: count, then zeroed frames
  readonly #guestPages: number;
  /** Words of `full` SPs: the newest of the list; the valid generation. Under the lock. */
  readonly #list: number;

  constructor(options: ShadowOptions) {
    const { platform, memory } = options;
    const { arena } = platform;
    this.platform = platform;
    this.format = options.format;
    this.backing = options.backing;
    this.header = options.header;
    let before = 0;
    this.#memory = memory.map(({ first, end }) => {
      const range = { first, end, before };
      before += end - first;
      return range;
    });
    this.#guestPages = before;
    this.#buckets = arena.take(BUCKETS * 8);
    this.#tracked = arena.take(before * 8);
    this.#rmap = arena.take(before * 8);
    const isFull = options.header === 'full';
    this.#headerBytes = isFull ? fullBytes(this.entries) : ShadowPage.bytes;
    this.#pages = new Slab(arena, platform.frames, this.#headerBytes, platform.cpus);
    this.#items = new Slab(arena, platform.frames, Item.bytes, platform.cpus);
    this.#spares = arena.take(platform.cpus * 2 * LINE_BYTES);
    this.#list = isFull ? arena.take(LINE_BYTES) : 0;
  }

  /** Entries of a table. */
  get entries(): number {
    return 1 << this.format.geometry.indexBits;
  }

  /** Before the lock: frames for every level of a walk, and items. */
  *topUp(cpu: Context): Routine<void> {
    const { levels } = this.format.geometry;
    cpu.attempt('shadow.top-up');
    yield* this.#pages.prepare(cpu, levels);
    yield* this.#items.prepare(cpu, 2 * levels);
    const spares = this.#spares + cpu.seat * 2 * LINE_BYTES;
    const wanted = 2 * levels;
    for (let count = cpu.read(spares); count < wanted; count++) {
      const frame = yield* this.platform.frames.take(cpu);
      yield zeroFrame(cpu, frame, 'shadow.spare-zero');
      cpu.write(spares + 8 + count * 8, frame);
      cpu.write(spares, count + 1);
    }
    cpu.conclude('shadow.top-up', 0);
  }

  /** Whether the guest frame is a table that some SP mirrors. */
  *isTracked(cpu: Context, gfn: number): Routine<boolean> {
    return num(yield cpu.load(this.#trackedAt(gfn), 'shadow.tracked')) !== 0;
  }

  /** SPs of a guest frame: of level 0, and of upper levels, whose tables may never be written. */
  *countOf(cpu: Context, gfn: number): Routine<{ leaf: number; upper: number }> {
    const count = num(yield cpu.load(this.#trackedAt(gfn), 'shadow.counted'));
    return { leaf: count % UPPER, upper: Math.floor(count / UPPER) };
  }

  /** Under the lock: the SPs that mirror `gfn`. */
  *pagesOf(cpu: Context, gfn: number): Routine<number[]> {
    const found: number[] = [];
    let page = cpu.read(this.#bucket(gfn));
    while (page !== 0) {
      cpu.spend(Unit.listElement, 1);
      if (cpu.read(page + ShadowPage.at.gfn) === gfn) found.push(page);
      page = cpu.read(page + ShadowPage.at.next);
    }
    return found;
  }

  /** Under the lock: the SP for a guest table in a role; `made` if it had to be created. */
  *get(cpu: Context, gfn: number, role: number): Routine<{ page: number; made: boolean }> {
    cpu.attempt('shadow.get');
    for (const page of yield* this.pagesOf(cpu, gfn)) {
      if (!this.#isValid(cpu, page, role)) continue;
      cpu.conclude('shadow.get', page);
      return { page, made: false };
    }
    const page = yield* this.#make(cpu, gfn, role);
    cpu.conclude('shadow.get', -page);
    return { page, made: true };
  }

  #isValid(cpu: Context, page: number, role: number): boolean {
    if (cpu.read(page + ShadowPage.at.role) !== role) return false;
    return this.header === 'small' || !this.isObsolete(cpu, page);
  }

  *#make(cpu: Context, gfn: number, role: number): Routine<number> {
    const page = yield* this.#pages.take(cpu);
    cpu.write(page + ShadowPage.at.gfn, gfn);
    cpu.write(page + ShadowPage.at.role, role);
    cpu.write(page + ShadowPage.at.table, this.#takeSpare(cpu));
    cpu.write(page + ShadowPage.at.mapped, this.#takeSpare(cpu));
    const bucket = this.#bucket(gfn);
    cpu.write(page + ShadowPage.at.next, cpu.read(bucket));
    cpu.write(bucket, page);
    if (this.header === 'full') this.#enlist(cpu, page);
    if (!Role.isDirect(role)) {
      yield cpu.add(this.#trackedAt(gfn), this.#weightOf(role), 'shadow.track');
    }
    return page;
  }

  #weightOf(role: number): number {
    return this.header === 'full' && Role.level(role) > 0 ? UPPER : 1;
  }

  /** Under the lock: the guest frame is no longer watched on behalf of this SP. */
  *untrack(cpu: Context, page: number): Routine<void> {
    const role = cpu.read(page + ShadowPage.at.role);
    if (Role.isDirect(role)) return;
    const at = this.#trackedAt(cpu.read(page + ShadowPage.at.gfn));
    yield cpu.add(at, -this.#weightOf(role), 'shadow.zap-page.untrack');
  }

  /** Under the lock: takes the SP out of the hash and gives its header back. */
  release(cpu: Context, page: number): { table: number; mapped: number } {
    this.#unhash(cpu, page);
    return this.#giveBack(cpu, page);
  }

  /** The same for a `small` SP, which is watched until now; its frames are free after a flush. */
  *forget(cpu: Context, page: number): Routine<{ table: number; mapped: number }> {
    const gfn = this.#unhash(cpu, page);
    yield cpu.add(this.#trackedAt(gfn), -1, 'shadow.untrack');
    return this.#giveBack(cpu, page);
  }

  #unhash(cpu: Context, page: number): number {
    const gfn = cpu.read(page + ShadowPage.at.gfn);
    let link = this.#bucket(gfn);
    while (cpu.read(link) !== page) link = cpu.read(link) + ShadowPage.at.next;
    cpu.write(link, cpu.read(page + ShadowPage.at.next));
    return gfn;
  }

  #giveBack(cpu: Context, page: number): { table: number; mapped: number } {
    const table = cpu.read(page + ShadowPage.at.table);
    const mapped = cpu.read(page + ShadowPage.at.mapped);
    for (const at of Object.values(ShadowPage.at)) cpu.write(page + at, 0);
    for (let at = ShadowPage.bytes; at < this.#headerBytes; at += 8) cpu.write(page + at, 0);
    this.#pages.give(cpu, page);
    return { table, mapped };
  }

  // --- the list of SPs, newest first (`full` only), and their generation -------------------------

  #enlist(cpu: Context, page: number): void {
    const newest = cpu.read(this.#list);
    cpu.write(page + StateAt.older, newest);
    if (newest !== 0) cpu.write(newest + StateAt.newer, page);
    cpu.write(this.#list, page);
    cpu.write(page + StateAt.generation, cpu.read(this.#list + 8));
    cpu.write(this.#list + 16, cpu.read(this.#list + 16) + 1);
  }

  delist(cpu: Context, page: number): void {
    const newer = cpu.read(page + StateAt.newer);
    const older = cpu.read(page + StateAt.older);
    if (newer !== 0) cpu.write(newer + StateAt.older, older);
    else cpu.write(this.#list, older);
    if (older !== 0) cpu.write(older + StateAt.newer, newer);
    cpu.write(page + StateAt.newer, 0);
    cpu.write(page + StateAt.older, 0);
    cpu.write(this.#list + 16, cpu.read(this.#list + 16) - 1);
  }

  newest(cpu: Context): number {
    return cpu.read(this.#list);
  }

  /** SPs in use. */
  used(cpu: Context): number {
    return cpu.read(this.#list + 16);
  }

  generation(cpu: Context): number {
    return cpu.read(this.#list + 8);
  }

  /** Every SP that exists is obsolete from here on (KVM knows two generations, 0 and 1). */
  nextGeneration(cpu: Context): void {
    cpu.write(this.#list + 8, cpu.read(this.#list + 8) === 0 ? 1 : 0);
  }

  isObsolete(cpu: Context, page: number): boolean {
    const role = cpu.read(page + ShadowPage.at.role);
    return Role.isInvalid(role) || cpu.read(page + StateAt.generation) !== this.generation(cpu);
  }

  // --- entries ---------------------------------------------------------------------------------

  /** Address of an entry that hardware walks. */
  entry(cpu: Context, of: EntryOf): number {
    return cpu.read(of.page + ShadowPage.at.table) * FRAME_BYTES + of.index * 8;
  }

  /** Address of the word that says what an entry stands for (`noteOf`, `targetIn`). */
  mapped(cpu: Context, of: EntryOf): number {
    return cpu.read(of.page + ShadowPage.at.mapped) * FRAME_BYTES + of.index * 8;
  }

  addParent(cpu: Context, child: number, parent: EntryOf): Routine<void> {
    return this.#push(cpu, child + ShadowPage.at.parents, parent);
  }

  removeParent(cpu: Context, child: number, parent: EntryOf): void {
    this.#drop(cpu, child + ShadowPage.at.parents, parent);
  }

  parentsOf(cpu: Context, child: number): EntryOf[] {
    return this.#entriesOf(cpu, child + ShadowPage.at.parents);
  }

  addReverse(cpu: Context, gfn: number, leaf: EntryOf): Routine<void> {
    return this.#push(cpu, this.#reverseAt(gfn), leaf);
  }

  removeReverse(cpu: Context, gfn: number, leaf: EntryOf): void {
    this.#drop(cpu, this.#reverseAt(gfn), leaf);
  }

  /** Leaves that map a guest page. */
  reverseOf(cpu: Context, gfn: number): EntryOf[] {
    return this.#indexOf(gfn) < 0 ? [] : this.#entriesOf(cpu, this.#reverseAt(gfn));
  }

  // --- for onlookers, who take no step ---------------------------------------------------------

  peekPages(view: Words, gfn: number): number[] {
    const found: number[] = [];
    for (let page = view.read(this.#bucket(gfn)); page !== 0; ) {
      if (view.read(page + ShadowPage.at.gfn) === gfn) found.push(page);
      page = view.read(page + ShadowPage.at.next);
    }
    return found;
  }

  /** What the SPs of a guest frame count as: 1 each, or `UPPER` (`full`, above level 0). */
  peekTracked(view: Words, gfn: number): number {
    return view.read(this.#trackedAt(gfn));
  }

  peekReverse(view: Words, gfn: number): EntryOf[] {
    return peekList(view, this.#reverseAt(gfn));
  }

  peekParents(view: Words, child: number): EntryOf[] {
    return peekList(view, child + ShadowPage.at.parents);
  }

  /** Frames that each CPU keeps at hand. */
  peekSpares(view: Words): number[] {
    return Array.from({ length: this.platform.cpus }, (_, seat) => {
      const spares = this.#spares + seat * 2 * LINE_BYTES;
      return Array.from({ length: view.read(spares) }, (_, i) => view.read(spares + 8 + i * 8));
    }).flat();
  }

  /** What headers, and items of lists, are carved out of. */
  get slabs(): readonly { readonly slab: Slab; readonly bytes: number }[] {
    return [
      { slab: this.#pages, bytes: this.#headerBytes },
      { slab: this.#items, bytes: Item.bytes },
    ];
  }

  /** Ranges of pages of the guest whose tables are mirrored. */
  get memory(): readonly { readonly first: number; readonly end: number }[] {
    return this.#memory;
  }

  /** At quiescence: bytes of tables, and of everything else that tracks them. */
  bytes(peek: (at: number) => number): { tables: number; books: number } {
    const pages = this.#pages.bytesInUse(peek) / this.#headerBytes;
    const arrays = BUCKETS * 8 + 2 * this.#guestPages * 8;
    const items = this.#items.bytesInUse(peek);
    return {
      tables: pages * FRAME_BYTES,
      books: pages * (this.#headerBytes + FRAME_BYTES) + items + arrays,
    };
  }

  #bucket(gfn: number): number {
    return this.#buckets + (gfn % BUCKETS) * 8;
  }

  /** Place of a guest frame among all that are memory; -1 if it is none. */
  #indexOf(gfn: number): number {
    let low = 0;
    let high = this.#memory.length - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      const range = this.#memory[middle]!;
      if (gfn < range.first) high = middle - 1;
      else if (gfn >= range.end) low = middle + 1;
      else return range.before + gfn - range.first;
    }
    return -1;
  }

  #wordOf(array: number, gfn: number): number {
    const index = this.#indexOf(gfn);
    return index < 0 ? defect('ShadowMmu', `guest page ${gfn} is no memory`) : array + index * 8;
  }

  #trackedAt(gfn: number): number {
    return this.#wordOf(this.#tracked, gfn);
  }

  #reverseAt(gfn: number): number {
    return this.#wordOf(this.#rmap, gfn);
  }

  #takeSpare(cpu: Context): number {
    const spares = this.#spares + cpu.seat * 2 * LINE_BYTES;
    const count = cpu.read(spares) - 1;
    cpu.write(spares, count);
    return cpu.read(spares + 8 + count * 8);
  }

  *#push(cpu: Context, head: number, entry: EntryOf): Routine<void> {
    const item = yield* this.#items.take(cpu);
    cpu.write(item + Item.at.page, entry.page);
    cpu.write(item + Item.at.index, entry.index);
    cpu.write(item + Item.at.next, cpu.read(head));
    cpu.write(head, item);
  }

  #drop(cpu: Context, head: number, entry: EntryOf): void {
    let link = head;
    for (let item = cpu.read(link); item !== 0; item = cpu.read(link)) {
      cpu.spend(Unit.listElement, 1);
      const same =
        cpu.read(item + Item.at.page) === entry.page &&
        cpu.read(item + Item.at.index) === entry.index;
      if (same) {
        cpu.write(link, cpu.read(item + Item.at.next));
        cpu.write(item + Item.at.page, 0);
        cpu.write(item + Item.at.index, 0);
        this.#items.give(cpu, item);
        return;
      }
      link = item + Item.at.next;
    }
  }

  #entriesOf(cpu: Context, head: number): EntryOf[] {
    const entries: EntryOf[] = [];
    for (let item = cpu.read(head); item !== 0; item = cpu.read(item + Item.at.next)) {
      cpu.spend(Unit.listElement, 1);
      entries.push({
        page: cpu.read(item + Item.at.page),
        index: cpu.read(item + Item.at.index),
      });
    }
    return entries;
  }
}

function peekList(view: Words, head: number): EntryOf[] {
  const entries: EntryOf[] = [];
  for (let item = view.read(head); item !== 0; item = view.read(item + Item.at.next)) {
    entries.push({ page: view.read(item + Item.at.page), index: view.read(item + Item.at.index) });
  }
  return entries;
}
