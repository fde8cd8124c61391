/**
 * The most general L1 of explorations: what lies in its memory, and what it may do to its tables,
 * its CPUs and its guests at any time. It keeps nothing beside its tables.
 *
 * L1's memory: two roots of EPT12, A and B, the tables below them (B shares A's second one), a
 * spare table; then two places for each page of L2.
 */
import { OwnerCall } from '../abi/owner.ts';
import type { AnonymousBacking } from '../hypervisor/backing/anonymous.ts';
import type { PageRange } from '../hypervisor/mmu/common.ts';
import { type Entry, type Geometry, indexAt, type Word64 } from '../machine/format/format.ts';
import type { WalkedFormat } from '../machine/format/judge.ts';
import type { GuestContext } from '../machine/guest.ts';
import { Instruction, vmcall, zeroFrame } from '../machine/instruction.ts';
import type { Machine } from '../machine/machine.ts';
import { FRAME_BYTES } from '../machine/memory.ts';
import { completeAct } from '../machine/world-switch.ts';
import type { Routine } from '../runtime/act.ts';
import type { L1Side } from './nested-l1-side.ts';
import { ASKED } from './system.ts';

/** EPT01 of explorations: 16 pages below one leaf table, of 256 that there might be. */
export const L1_GEOMETRY: Geometry = { levels: 2, indexBits: 4 };
export const L1_PAGES = 16;
/** L1 pages that are, or may become, tables of EPT12. */
export const L1_TABLES: PageRange = { first: 1, end: 7 };
export const ROOT_A = 1;
export const ROOT_B = 4;
const TABLES_A = [2, 3];
const TABLES_B = [5, 3];
const SPARE = 6;
const NOWHERE = 2 ** 20;
const FIRST_PLACES = 8;
const SECOND_PLACES = 12;
/** Pages that L2 has. */
export const L2_PAGES = 4;

const ALL = { read: true, write: true, execute: true, user: true };
const NO_WRITE = { ...ALL, write: false };
/** Low bits of an entry. */
const READ_BIT = 1;
const WRITE_BIT = 2;

/** L1 page that is behind a page of L2 unless L1 has moved it. */
export function behind(page: number): number {
  return FIRST_PLACES + page;
}

export type L1Operation = (cpu: GuestContext, range: PageRange) => Routine<void>;

export class GeneralL1 {
  readonly #format: WalkedFormat;
  readonly #side: L1Side;
  /** What L1 may do on a CPU that runs no guest of its own. */
  readonly operations: Readonly<Record<string, L1Operation>>;
  /** What a guest may ask it to do on the CPU that runs this guest. */
  readonly asked: Readonly<Record<string, (cpu: GuestContext) => Routine<void>>>;

  constructor(format: WalkedFormat, side: L1Side) {
    this.#format = format;
    this.#side = side;
    const leaf = (page: number, place: number, write = true): Entry =>
      this.#leaf(page, place, { write, used: false });
    this.operations = {
      clear: (cpu, range) => this.#leaves(cpu, range, () => format.empty),
      restore: (cpu, range) => this.#leaves(cpu, range, (page) => leaf(page, FIRST_PLACES)),
      move: (cpu, range) => this.#leaves(cpu, range, (page) => leaf(page, SECOND_PLACES)),
      protect: (cpu, range) => this.#leaves(cpu, range, (page) => leaf(page, FIRST_PLACES, false)),
      garble: (cpu, range) => this.#leaves(cpu, range, (page) => garbled(leaf(page, FIRST_PLACES))),
      'garble-link': (cpu, range) => this.#links(cpu, range, (gfn) => garbled(format.table(gfn))),
      unlink: (cpu, range) => this.#links(cpu, range, () => format.empty),
      narrow: (cpu, range) => this.#links(cpu, range, (gfn) => this.#narrowed(gfn)),
      relink: (cpu, range) => this.#links(cpu, range, () => format.table(SPARE)),
      'zero-table': (cpu, { first }) => zeroPage(cpu, this.#tableOf(first)),
      'zero-root': (cpu) => zeroPage(cpu, ROOT_A),
      recycle: (cpu, range) => this.#recycle(cpu, range),
    };
    this.asked = {
      flush: (cpu) => side.flushAll(cpu),
      'flush-one': (cpu) => side.flushOne(cpu, ROOT_A),
      'root-a': (cpu) => side.setRoot(cpu, ROOT_A),
      'root-b': (cpu) => side.setRoot(cpu, ROOT_B),
      'root-nowhere': (cpu) => side.setRoot(cpu, NOWHERE),
      'root-a-other-flags': (cpu) => side.setRoot(cpu, ROOT_A, 'other flags'),
    };
  }

  // --- before anybody runs -------------------------------------------------------------------

  /** Writes the tables: both roots map every page in its first place; odd pages were not used. */
  install(machine: Machine, backing: AnonymousBacking): void {
    const { memory } = machine;
    const put = (gfn: number, index: number, entry: Entry): void => {
      const at = backing.peekFrame(memory, gfn) * FRAME_BYTES + index * 8;
      memory.writeHalves(at, entry.lo, entry.hi);
    };
    const format = this.#format;
    for (const [root, tables] of [[ROOT_A, TABLES_A] as const, [ROOT_B, TABLES_B] as const]) {
      for (const i of [0, 1]) put(root, i, format.table(tables[i]!));
      for (let page = 0; page < L2_PAGES; page++) {
        const table = tables[indexAt(format.geometry, page, 1)]!;
        const entry = this.#leaf(page, FIRST_PLACES, { write: true, used: page % 2 === 0 });
        put(table, indexAt(format.geometry, page, 0), entry);
      }
    }
    put(SPARE, 0, this.#leaf(0, SECOND_PLACES, { write: true, used: true }));
  }

  #leaf(page: number, place: number, how: { write: boolean; used: boolean }): Entry {
    const { used } = how;
    return this.#format.leaf({
      pfn: place + page,
      level: 0,
      rights: how.write ? ALL : NO_WRITE,
      accessed: used,
      dirty: used && how.write,
    });
  }

  #tableOf(page: number): number {
    return TABLES_A[indexAt(this.#format.geometry, page, 1)]!;
  }

  // --- what it does --------------------------------------------------------------------------

  *#leaves(cpu: GuestContext, range: PageRange, entryOf: (page: number) => Word64): Routine<void> {
    for (let page = range.first; page < range.end; page++) {
      const index = indexAt(this.#format.geometry, page, 0);
      const at = this.#tableOf(page) * FRAME_BYTES + index * 8;
      yield cpu.storeWord(at, entryOf(page), 'l1.leaf');
    }
  }

  /** Entries of root A that lead to a range. */
  *#links(cpu: GuestContext, range: PageRange, entryOf: (table: number) => Word64): Routine<void> {
    const index = indexAt(this.#format.geometry, range.first, 1);
    const at = ROOT_A * FRAME_BYTES + index * 8;
    yield cpu.storeWord(at, entryOf(TABLES_A[index]!), 'l1.link');
  }

  #narrowed(table: number): Word64 {
    const { lo, hi } = this.#format.table(table);
    return { lo: lo & ~WRITE_BIT, hi };
  }

  /** Takes a table away, flushes, and makes a new one of its page. */
  *#recycle(cpu: GuestContext, range: PageRange): Routine<void> {
    yield* this.#links(cpu, range, () => this.#format.empty);
    yield* this.#side.flushAll(cpu);
    yield* zeroPage(cpu, this.#tableOf(range.first));
    yield* this.#leaves(cpu, range, (page) =>
      this.#leaf(page, SECOND_PLACES, { write: true, used: true }),
    );
    yield* this.#links(cpu, range, (gfn) => this.#format.table(gfn));
  }

  /** A CPU that does one thing and is done. */
  *perform(cpu: GuestContext, operation: string, range: PageRange): Routine<void> {
    yield* this.operations[operation]!(cpu, range);
    yield vmcall(cpu, OwnerCall.done, [], 'l1.done');
  }

  /** A CPU that runs `l2`: does what that one asks for, flushes when it leaves. */
  *run(cpu: GuestContext, l2: GuestContext): Routine<void> {
    for (;;) {
      cpu.rest(0, 0);
      if (!(yield* this.#side.run(cpu, l2))) {
        yield* this.#side.setRoot(cpu, ROOT_A);
        continue;
      }
      const { act } = l2.top;
      if (act.op === Instruction.cpuid) yield* this.#side.flushAll(cpu);
      else if (act.op !== Instruction.vmcall) yield* this.#violation(cpu, l2);
      else if (l2.registers[0] === OwnerCall.done) l2.kill();
      else yield* Object.values(this.asked)[l2.registers[0]! - ASKED]!(cpu);
      if (l2.finished) break;
      if (act.op === Instruction.cpuid || act.op === Instruction.vmcall) completeAct(l2.top, 0);
    }
    yield vmcall(cpu, OwnerCall.done, [], 'l1.done');
  }

  /** L2 needs a page: an odd one L1 maps in its first place; without an even one L2 is ended. */
  *#violation(cpu: GuestContext, l2: GuestContext): Routine<void> {
    const page = Math.floor(l2.top.act.at / FRAME_BYTES);
    if (page % 2 === 0) return l2.kill();
    yield* this.operations['restore']!(cpu, { first: page, end: page + 1 });
  }
}

/** An entry that permits writes and no reads: the manual calls it misconfigured. */
function garbled({ lo, hi }: Word64): Word64 {
  return { lo: lo & ~READ_BIT, hi };
}

function* zeroPage(cpu: GuestContext, gfn: number): Routine<void> {
  yield zeroFrame(cpu, gfn, 'l1.zero');
}
