/**
 * A small guest kernel: processes, demand paging, munmap with shootdown, context switch; areas,
 * fork, files and system calls where an exam asks for them (space-calls.ts). Its page tables are
 * real long-mode tables in guest memory, edited by atomic stores through the second stage; its
 * frames come from per-CPU lists.
 *
 * Leaves out: page-table locks (entries are edited by compare-and-swap) and, for processes without
 * areas, mmap_lock (they have one thread each, or share only their tables); swap.
 */
import type { Arena } from '../../alloc/arena.ts';
import type { Frames } from '../../alloc/frames.ts';
import { defect } from '../../base/assert.ts';
import { indexAt, type TableFormat } from '../../machine/format/format.ts';
import type { GuestContext } from '../../machine/guest.ts';
import { loadCr3, zeroFrame } from '../../machine/instruction.ts';
import { FRAME_BYTES } from '../../machine/memory.ts';
import { Unit } from '../../machine/preset/price.ts';
import { type Act, num, type Routine, won } from '../../runtime/act.ts';
import type { Context } from '../../runtime/context.ts';
import { atomicLine, layout } from '../../runtime/layout.ts';
import type { Process } from '../common/process.ts';
import type { DirectMap } from './direct-map.ts';
import { FrameUsers } from './frame-users.ts';
import { PageCache } from './page-cache.ts';
import { TagWords } from './space.ts';

const PCIDS = 4095;

export const CallWords = layout('guest.calls', { called: atomicLine, answered: atomicLine });
const LINE_BYTES = 64;

/** Where the kernel takes data pages from. */
export interface PageSource {
  take(cpu: Context): Routine<number>;
  /** Takes a page back; false if it is none of this source's. */
  give(cpu: Context, frame: number): boolean;
  /** Number of a page among this source's, from 0; -1 if it is none of them. */
  indexOf(frame: number): number;
}

/** What processes with areas need beyond the rest. */
export interface SpaceNeeds {
  /** Data pages of all vCPUs: as many as `PageSource.indexOf` tells apart. */
  readonly dataPages: number;
  readonly files: number;
  /** Pages of each file. */
  readonly filePages: number;
}

/** Words that such processes take from the arena, in bytes. */
export function spaceBytes({ dataPages, files, filePages }: SpaceNeeds, vcpus: number): number {
  return (dataPages + files * filePages) * 8 + vcpus * TagWords.bytes + 3 * LINE_BYTES;
}

export interface KernelOptions {
  readonly arena: Arena;
  readonly frames: Frames;
  readonly format: TableFormat;
  readonly vcpus: readonly GuestContext[];
  readonly data: PageSource;
  /** The map of all memory that the kernel's own stores go through, where it needs one. */
  readonly direct: DirectMap | undefined;
  /** Undefined: no process has areas. */
  readonly spaces?: SpaceNeeds | undefined;
}

export class GuestKernel {
  readonly frames: Frames;
  readonly format: TableFormat;
  readonly vcpus: readonly GuestContext[];
  readonly data: PageSource;
  readonly users: FrameUsers;
  readonly cache: PageCache;
  readonly #tags: number;
  readonly #direct: DirectMap | undefined;
  readonly #calls: number;
  readonly #users: number; // one word per address space tag
  readonly #pcids: number; // one plain word per vCPU: next tag

  constructor(options: KernelOptions) {
    this.frames = options.frames;
    this.format = options.format;
    this.vcpus = options.vcpus;
    this.data = options.data;
    this.#direct = options.direct;
    this.#calls = options.arena.take(options.vcpus.length * CallWords.bytes);
    this.#users = options.arena.take(options.vcpus.length * LINE_BYTES);
    this.#pcids = options.arena.take(options.vcpus.length * LINE_BYTES);
    const needs = options.spaces ?? { dataPages: 0, files: 0, filePages: 0 };
    const take = (bytes: number): number => (bytes === 0 ? 0 : options.arena.take(bytes));
    const hasSpaces = options.spaces !== undefined;
    this.#tags = take(hasSpaces ? options.vcpus.length * TagWords.bytes : 0);
    this.users = new FrameUsers(take(needs.dataPages * 8), (frame) => this.data.indexOf(frame));
    this.cache = new PageCache(take(needs.files * needs.filePages * 8), needs.filePages);
  }

  /** Where a vCPU notes which tags belong to which spaces. */
  tagsOf(vcpu: number): number {
    if (this.#tags === 0) defect('GuestKernel', 'this kernel was made without address spaces');
    return this.#tags + vcpu * TagWords.bytes;
  }

  callWords(vcpu: number): { called: number; answered: number } {
    const base = this.#calls + vcpu * CallWords.bytes;
    return { called: base + CallWords.at.called, answered: base + CallWords.at.answered };
  }

  /** The boot CPU, once the kernel's words are resident: paging on, if the kernel has a map. */
  *boot(cpu: GuestContext): Routine<void> {
    if (this.#direct === undefined) return;
    yield* this.#direct.build(cpu, () => this.newTable(cpu));
    yield this.leaveProcess(cpu, 'kernel.boot.paging');
  }

  /** Runs in no process's address space from here on. */
  leaveProcess(cpu: GuestContext, label: string): Act {
    return loadCr3(cpu, this.#direct?.root ?? 0, 0, 'keep', label);
  }

  /** The root table of an address space: empty, but for the kernel's map if it has one. */
  *newRoot(cpu: GuestContext): Routine<number> {
    // The first of this vCPU: paging is off until now.
    if (this.#direct !== undefined && cpu.regime.cr3 === 0) {
      yield this.leaveProcess(cpu, 'kernel.root.paging');
    }
    const root = yield* this.newTable(cpu);
    if (this.#direct !== undefined) yield* this.#direct.share(cpu, root);
    return root;
  }

  /** Makes an empty address space and switches to it. */
  *exec(cpu: GuestContext): Routine<Process> {
    const root = yield* this.newRoot(cpu);
    const tags = this.#pcids + cpu.seat * LINE_BYTES;
    const pcid = (cpu.read(tags) % PCIDS) + 1;
    cpu.write(tags, pcid);
    const users = this.#users + cpu.seat * LINE_BYTES;
    yield cpu.store(users, 2 ** cpu.seat, 'kernel.exec.users');
    // The tag may have been used before: its old translations must go.
    yield loadCr3(cpu, root, pcid, 'flush', 'kernel.exec.load');
    return { root, pcid, users };
  }

  /** Switches to an address space. Its tag may have named another one on this vCPU before. */
  *switchTo(cpu: GuestContext, process: Process): Routine<void> {
    const bit = 2 ** cpu.seat;
    const users = num(yield cpu.add(process.users, 0, 'kernel.switch.look'));
    const isNew = Math.floor(users / bit) % 2 === 0;
    if (isNew) yield cpu.add(process.users, bit, 'kernel.switch.users');
    const flush = isNew ? 'flush' : 'keep';
    yield loadCr3(cpu, process.root, process.pcid, flush, 'kernel.switch.load');
  }

  /** Demand paging: gives the program the page it lacks. */
  *handleFault(cpu: GuestContext, process: Process, page: number): Routine<void> {
    cpu.spend(Unit.guestFaultWork, 1);
    const table = yield* this.leafTable(cpu, process, page);
    const at = this.slot(table, page, 0);
    const seen = this.format.decode(yield cpu.load(at, 'kernel.fault.look'), 0);
    if (seen.kind === 'leaf') return; // somebody else was faster
    const frame = yield* this.data.take(cpu);
    yield zeroFrame(cpu, frame, 'kernel.fault.zero');
    const rights = { read: true, write: true, execute: true, user: true };
    const leaf = this.format.leaf({ pfn: frame, level: 0, rights });
    if (won(yield cpu.casWord(at, seen, leaf, 'kernel.fault.commit'))) return;
    this.free(cpu, frame);
  }

  /** Gives a frame, of data or of a table, back to where it came from. */
  free(cpu: Context, frame: number): void {
    if (!this.data.give(cpu, frame)) this.frames.give(cpu, frame);
  }

  /** One user of a frame less; with the last it is free. Frames of tables have one user. */
  *release(cpu: GuestContext, frame: number): Routine<void> {
    if (this.data.indexOf(frame) < 0 || (yield* this.users.drop(cpu, frame))) this.free(cpu, frame);
  }

  /** The leaf table that serves `page`; -1 if there is none. */
  *findLeafTable(cpu: GuestContext, process: Process, page: number): Routine<number> {
    let table = process.root;
    for (let level = this.format.geometry.levels - 1; level > 0; level--) {
      cpu.spend(Unit.levelWalked, 1);
      const at = this.slot(table, page, level);
      const seen = this.format.decode(yield cpu.load(at, 'kernel.find.look'), level);
      if (seen.kind !== 'table') return -1;
      table = seen.pfn;
    }
    return table;
  }

  /** The leaf table that serves `page`, made if it does not exist. */
  *leafTable(cpu: GuestContext, process: Process, page: number): Routine<number> {
    let table = process.root;
    for (let level = this.format.geometry.levels - 1; level > 0; level--) {
      cpu.spend(Unit.levelWalked, 1);
      const at = this.slot(table, page, level);
      const seen = this.format.decode(yield cpu.load(at, 'kernel.walk.look'), level);
      if (seen.kind === 'table') {
        table = seen.pfn;
        continue;
      }
      const made = yield* this.newTable(cpu);
      if (won(yield cpu.casWord(at, seen, this.format.table(made), 'kernel.walk.link'))) {
        table = made;
        continue;
      }
      this.frames.give(cpu, made);
      level++; // look again: another thread linked its own
    }
    return table;
  }

  /** Address of the entry for `page` in a table of this address space. */
  slot(table: number, page: number, level: number): number {
    return table * FRAME_BYTES + indexAt(this.format.geometry, page, level) * 8;
  }

  *newTable(cpu: GuestContext): Routine<number> {
    const frame = yield* this.frames.take(cpu);
    yield zeroFrame(cpu, frame, 'kernel.table.zero');
    return frame;
  }
}
