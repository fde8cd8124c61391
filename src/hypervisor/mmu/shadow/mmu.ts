/**
 * The shadow MMU: tables of the hypervisor's own that mirror tables in a guest's memory. A shadow
 * page (SP) is known by the guest frame it mirrors and its role; one guest table may have several,
 * one may hang under several parents. All structure is protected by the VM's mmu_lock held for
 * writing; entries are atomic because hardware walks them.
 *
 * Source: arch/x86/kvm/mmu/mmu.c (facts; primer/x86.md 3.1). Here the guest tables are EPT12.
 * Leaves out: unsync (every write to a shadowed table traps), prefetch, write flooding, quotas,
 * quadrants and the role bits of guest paging modes (later steps). SPs live until their guest page
 * is used for something else.
 */
import { Slab } from '../../../alloc/slab.ts';
import type { WalkedFormat } from '../../../machine/format/judge.ts';
import { zeroFrame } from '../../../machine/instruction.ts';
import { Unit } from '../../../machine/preset/price.ts';
import { num, type Routine } from '../../../runtime/act.ts';
import type { Context } from '../../../runtime/context.ts';
import { layout, plain, plainLine } from '../../../runtime/layout.ts';
import type { AnonymousBacking } from '../../backing/anonymous.ts';
import type { Platform } from '../../platform.ts';

const FRAME_BYTES = 4096;
const LINE_BYTES = 64;
const BUCKETS = 4096;

export const ShadowPage = layout('shadow.page', {
  next: plainLine,
  gfn: plain,
  level: plain,
  /** Frame of the entries that hardware walks. */
  table: plain,
  /** Frame with the guest page that each leaf maps, plus one. */
  mapped: plain,
  /** Parent entries that link this page. */
  parents: plain,
});

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

export class ShadowMmu {
  readonly platform: Platform;
  readonly format: WalkedFormat;
  /** What backs the guest's pages. */
  readonly backing: AnonymousBacking;
  readonly #buckets: number;
  readonly #tracked: number; // shadow pages per guest frame: atomic, read without the lock
  readonly #rmap: number; // list head per guest frame
  readonly #pages: Slab;
  readonly #items: Slab;
  readonly #spares: number; // per CPU: count, then zeroed frames
  /** Pages of the guest whose tables are mirrored. */
  readonly guestPages: number;

  constructor(
    platform: Platform,
    format: WalkedFormat,
    backing: AnonymousBacking,
    guestPages: number,
  ) {
    const { arena } = platform;
    this.platform = platform;
    this.format = format;
    this.backing = backing;
    this.guestPages = guestPages;
    this.#buckets = arena.take(BUCKETS * 8);
    this.#tracked = arena.take(guestPages * 8);
    this.#rmap = arena.take(guestPages * 8);
    this.#pages = new Slab(arena, platform.frames, ShadowPage.bytes, platform.cpus);
    this.#items = new Slab(arena, platform.frames, Item.bytes, platform.cpus);
    this.#spares = arena.take(platform.cpus * 2 * LINE_BYTES);
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
    return num(yield cpu.load(this.#tracked + gfn * 8, 'shadow.tracked')) !== 0;
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

  /** Under the lock: the SP for a guest table at a level; `made` if it had to be created. */
  *get(cpu: Context, gfn: number, level: number): Routine<{ page: number; made: boolean }> {
    cpu.attempt('shadow.get');
    for (const page of yield* this.pagesOf(cpu, gfn)) {
      if (cpu.read(page + ShadowPage.at.level) !== level) continue;
      cpu.conclude('shadow.get', page);
      return { page, made: false };
    }
    const page = yield* this.#make(cpu, gfn, level);
    cpu.conclude('shadow.get', -page);
    return { page, made: true };
  }

  *#make(cpu: Context, gfn: number, level: number): Routine<number> {
    const page = yield* this.#pages.take(cpu);
    cpu.write(page + ShadowPage.at.gfn, gfn);
    cpu.write(page + ShadowPage.at.level, level);
    cpu.write(page + ShadowPage.at.table, this.#takeSpare(cpu));
    cpu.write(page + ShadowPage.at.mapped, this.#takeSpare(cpu));
    const bucket = this.#bucket(gfn);
    cpu.write(page + ShadowPage.at.next, cpu.read(bucket));
    cpu.write(bucket, page);
    yield cpu.add(this.#tracked + gfn * 8, 1, 'shadow.track');
    return page;
  }

  /** Under the lock: takes the SP out of the hash; its frames are free after a flush. */
  *forget(cpu: Context, page: number): Routine<{ table: number; mapped: number }> {
    const gfn = cpu.read(page + ShadowPage.at.gfn);
    let link = this.#bucket(gfn);
    while (cpu.read(link) !== page) link = cpu.read(link) + ShadowPage.at.next;
    cpu.write(link, cpu.read(page + ShadowPage.at.next));
    yield cpu.add(this.#tracked + gfn * 8, -1, 'shadow.untrack');
    const table = cpu.read(page + ShadowPage.at.table);
    const mapped = cpu.read(page + ShadowPage.at.mapped);
    for (const at of Object.values(ShadowPage.at)) cpu.write(page + at, 0);
    this.#pages.give(cpu, page);
    return { table, mapped };
  }

  /** Address of an entry that hardware walks. */
  entry(cpu: Context, of: EntryOf): number {
    return cpu.read(of.page + ShadowPage.at.table) * FRAME_BYTES + of.index * 8;
  }

  /** Address of the word that says which guest page a leaf maps (plus one). */
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
    return this.#list(cpu, child + ShadowPage.at.parents);
  }

  addReverse(cpu: Context, gfn: number, leaf: EntryOf): Routine<void> {
    return this.#push(cpu, this.#rmap + gfn * 8, leaf);
  }

  removeReverse(cpu: Context, gfn: number, leaf: EntryOf): void {
    this.#drop(cpu, this.#rmap + gfn * 8, leaf);
  }

  /** Leaves that map a guest page. */
  reverseOf(cpu: Context, gfn: number): EntryOf[] {
    return gfn < this.guestPages ? this.#list(cpu, this.#rmap + gfn * 8) : [];
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

  /** How often a guest frame is counted as shadowed. */
  peekTracked(view: Words, gfn: number): number {
    return view.read(this.#tracked + gfn * 8);
  }

  peekReverse(view: Words, gfn: number): EntryOf[] {
    return peekList(view, this.#rmap + gfn * 8);
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
      { slab: this.#pages, bytes: ShadowPage.bytes },
      { slab: this.#items, bytes: Item.bytes },
    ];
  }

  /** At quiescence: bytes of tables, and of everything else that tracks them. */
  bytes(peek: (at: number) => number): { tables: number; books: number } {
    const pages = this.#pages.bytesInUse(peek) / ShadowPage.bytes;
    const arrays = BUCKETS * 8 + 2 * this.guestPages * 8;
    const items = this.#items.bytesInUse(peek);
    return {
      tables: pages * FRAME_BYTES,
      books: pages * (ShadowPage.bytes + FRAME_BYTES) + items + arrays,
    };
  }

  #bucket(gfn: number): number {
    return this.#buckets + (gfn % BUCKETS) * 8;
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

  #list(cpu: Context, head: number): EntryOf[] {
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
