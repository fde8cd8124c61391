/**
 * KVM's TDP MMU: one tree of second-stage tables for a VM, filled by compare-and-swap under the
 * mmu_lock held for reading, zapped under it held for writing. No reverse map: a page's entry is
 * found by walking from the root.
 *
 * Source: arch/x86/kvm/mmu/tdp_mmu.c of Linux 6.12 (facts; primer/x86.md 2.1-2.4).
 * One root, unless the VM's slots change (`roots.ts`).
 */
import type { Judge, WalkedFormat } from '../../../machine/format/judge.ts';
import { zeroFrame } from '../../../machine/instruction.ts';
import type { Routine } from '../../../runtime/act.ts';
import type { Context } from '../../../runtime/context.ts';
import type { Rcu } from '../../../sync/rcu.ts';
import { isHeldForWrite, type RwLock, rwlock } from '../../../sync/rwlock.ts';
import type { AnonymousBacking } from '../../backing/anonymous.ts';
import type { Platform } from '../../platform.ts';
import type { SlotSets } from '../../slots/slots.ts';
import type { Vm } from '../../vcpu.ts';
import { MmuWords, type PageRange } from '../common.ts';
import type { TdpLogging } from './dirty-log.ts';
import type { NxHuge } from './nx.ts';
import type { TdpRoots } from './roots.ts';

const LINE_BYTES = 64;
/** Frames that a CPU keeps zeroed for new tables: one per level below the root. */
const SPARE_TABLES = 4;

export interface TdpOptions {
  readonly vm: Vm;
  readonly format: WalkedFormat;
  readonly backing: AnonymousBacking;
  readonly lockClass: 'l0.mmu' | 'l1.mmu';
  /** How a fault holds the mmu_lock: KVM holds it for reading since 5.12, for writing before. */
  readonly faultLock: 'read' | 'write';
  /** What a fault does to a huge leaf that it needs smaller: in place unless given. */
  readonly split?: 'in-place' | 'zap';
  /** Whether a write to a page that only lacks W takes no lock: it takes none unless given. */
  readonly fast?: boolean;
  /** Whether a long zap lets the lock go while others wait for it: not unless given. */
  readonly yields?: boolean;
  /** Given if slots may be logged while the VM runs. */
  readonly logging?: TdpLogging | undefined;
  /** Frame of the root, if it is one that may be given back. */
  readonly root?: number | undefined;
  /** Given if no huge page is to be executable. */
  readonly nx?: NxHuge | undefined;
  /** Another root of the same VM: under this MMU's lock and words, and with its spare tables. */
  readonly beside?: TdpMmu;
}

/** What a VM has whose slots come and go. */
export interface TdpSlots {
  readonly sets: SlotSets;
  readonly roots: TdpRoots;
  /** What a slot's deletion zaps: everything, by a new root, or the slot's own pages. */
  readonly zap: 'all' | 'range';
}

export class TdpMmu {
  readonly vm: Vm;
  readonly platform: Platform;
  readonly format: WalkedFormat;
  readonly backing: AnonymousBacking;
  readonly faultLock: 'read' | 'write';
  readonly split: 'in-place' | 'zap';
  readonly fast: boolean;
  readonly yields: boolean;
  readonly logging: TdpLogging | undefined;
  readonly nx: NxHuge | undefined;
  readonly words: number;
  readonly lock: RwLock;
  /** Frame of the root table; of the first one, where slots come and go. */
  readonly root: number;
  /** Set while the VM is built, if its slots come and go. */
  slots: TdpSlots | undefined;
  /** Set once all vCPUs exist: table frames are given back through it. */
  rcu: Rcu | undefined;
  /** Asked before a page is mapped writable: a shadowed guest table must stay write-protected. */
  isTracked: (cpu: Context, gfn: number) => Routine<boolean> = neverTracked;
  /**
   * Asked under the lock before a leaf is made: whether it must not permit writes. Unlike
   * `isTracked` it may change what the answer depends on.
   */
  withholdsWrite: (cpu: Context, gfn: number) => Routine<boolean> = neverTracked;
  /**
   * Another MMU maps the same memory under this lock: drops what it maps of a range and says
   * whether TLBs may hold some of it.
   */
  alsoZap: (cpu: Context, range: PageRange) => Routine<boolean> = zapNothing;
  readonly #spares: number;
  readonly #onlyRoot: readonly number[];

  constructor(options: TdpOptions) {
    const { vm } = options;
    this.vm = vm;
    this.platform = vm.platform;
    this.format = options.format;
    this.backing = options.backing;
    this.faultLock = options.faultLock;
    this.split = options.split ?? 'in-place';
    this.fast = options.fast ?? true;
    this.yields = options.yields ?? false;
    this.logging = options.logging;
    this.nx = options.nx;
    const { arena } = vm.platform;
    this.words = options.beside?.words ?? arena.place(MmuWords);
    this.lock = rwlock(this.words + MmuWords.at.lock, options.lockClass);
    this.root = options.root ?? arena.frames(1);
    this.#onlyRoot = [this.root];
    const { beside } = options;
    this.#spares =
      beside === undefined ? arena.take(vm.platform.cpus * LINE_BYTES) : beside.#spares;
  }

  /** Masks of the accessed and dirty bits, for walks in software. */
  get walked(): Judge {
    return this.format.judge;
  }

  /** Before any lock is taken: so many zeroed frames are at hand that a walk cannot run out. */
  *topUp(cpu: Context): Routine<void> {
    if (this.rcu?.hasWaiting(cpu)) yield* this.rcu.advance(cpu, 'try');
    cpu.attempt('tdp.top-up');
    const spares = this.#spares + cpu.seat * LINE_BYTES;
    let count = cpu.read(spares);
    while (count < SPARE_TABLES) {
      const frame = yield* this.platform.frames.take(cpu);
      yield zeroFrame(cpu, frame, 'tdp.table-zero');
      count++;
      cpu.write(spares + count * 8, frame);
    }
    cpu.write(spares, count);
    cpu.conclude('tdp.top-up', 0);
  }

  /** For onlookers: whether somebody holds the mmu_lock for writing. */
  isHeldForWrite(view: { read(at: number): number }): boolean {
    return isHeldForWrite(view.read(this.lock.at));
  }

  /** Frames of all roots under which something may be mapped. */
  *rootsNow(cpu: Context): Routine<readonly number[]> {
    return this.slots === undefined ? this.#onlyRoot : yield* this.slots.roots.now(cpu);
  }

  /** A dirty entry for a guest page, of a `level`, was taken away: the page is noted. */
  markDirty(cpu: Context, gfn: number, level = 0): Routine<void> {
    if (this.slots === undefined) return this.backing.markDirty(cpu, gfn, level);
    return this.#markInSlot(cpu, this.slots.sets, gfn);
  }

  *#markInSlot(cpu: Context, sets: SlotSets, gfn: number): Routine<void> {
    yield* this.backing.markDirty(cpu, yield* sets.pageOf(cpu, gfn));
  }

  takeSpare(cpu: Context): number {
    const spares = this.#spares + cpu.seat * LINE_BYTES;
    const count = cpu.read(spares);
    cpu.write(spares, count - 1);
    return cpu.read(spares + count * 8);
  }

  /** A spare whose link lost its race: still zeroed. */
  returnSpare(cpu: Context, frame: number): void {
    const spares = this.#spares + cpu.seat * LINE_BYTES;
    const count = cpu.read(spares) + 1;
    cpu.write(spares + count * 8, frame);
    cpu.write(spares, count);
  }
}

function* neverTracked(): Routine<boolean> {
  return false;
}

function* zapNothing(): Routine<boolean> {
  return false;
}
