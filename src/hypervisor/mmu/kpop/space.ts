/**
 * An address space (AS) of KPOP in L0: the tree of table pages, each with hardware entries beside
 * intents; flush generations; epoch fences; windows and logs of writes, where there may be any; and
 * the words by which CPUs say which AS they run.
 *
 * Source: primer/x86.md 6.1-6.4 (proposal). Leaves out: AS_RESET, quotas and donated
 * memory.
 */
import type { Arena } from '../../../alloc/arena.ts';
import { Slab } from '../../../alloc/slab.ts';
import { defect } from '../../../base/assert.ts';
import { pagesAt, type TableFormat } from '../../../machine/format/format.ts';
import { FRAME_BYTES } from '../../../machine/memory.ts';
import { atomic, atomicLine, layout, plain, plainLine } from '../../../runtime/layout.ts';
import type { Rcu } from '../../../sync/rcu.ts';
import { type Spinlock, spinlock } from '../../../sync/spinlock.ts';
import type { AnonymousBacking } from '../../backing/anonymous.ts';
import type { Platform } from '../../platform.ts';
import { ReverseMap } from './reverse-map.ts';
import { WindowArray } from './window-array.ts';
import { WriteLog, type WriteLogOptions } from './write-log.ts';

/** Which lock protects an entry: its own bit, one per VM, or one for the host. */
export type LockScope = 'entry' | 'vm' | 'global';

export const SpaceWords = layout('kpop.space', {
  /** Number of the latest flush asked for, and of the latest finished one. */
  gen: atomicLine,
  doneGen: atomicLine,
  lock: atomicLine,
  /** 1 once the address space is going. */
  dying: atomicLine,
});

/** What each physical CPU says about itself; one line per CPU. */
export const CpuWords = layout('kpop.cpu', {
  /** The AS in guest mode here (its number), or 0. */
  current: atomicLine,
  /** Generation of that AS up to which this CPU has flushed. */
  seen: atomic,
  kick: atomic,
  /** Even while a thread here that is no vCPU's looks at table pages (`section.ts`). */
  section: atomicLine,
});

/**
 * A table page: frames of its hardware entries, intents and reverse items, read in one run
 * (`placeAt`), and its label.
 */
export const TableWords = layout('kpop.table', {
  hardware: plainLine,
  intents: plain,
  items: plain,
  level: plain,
  /** Largest flush label of what was taken from entries inside this table (T.q). */
  label: atomic,
  /** The first page that it serves; kept where writes may be logged. */
  first: plain,
});

/** Epoch fences, hashed by the L2 page's 2 MiB group. */
const FENCES = 256;
/** L2 pages that share a fence word. */
export const FENCE_GROUP = 512;

export interface SpaceOptions {
  readonly platform: Platform;
  readonly format: TableFormat;
  /** L1's memory: what an L1 page is for the host. */
  readonly l1Memory: AnonymousBacking;
  /** Number of L1 pages. */
  readonly l1Pages: number;
  readonly scope: LockScope;
  /**
   * Whether a dirty entry that is taken away is noted in the host's books of L1's pages: where
   * somebody reads them. Not unless given.
   */
  readonly notesDirty?: boolean;
  /** What L2 writes may be logged; never unless given. */
  readonly log?: WriteLogOptions | undefined;
  /** Whether L1 may open windows; not unless given. */
  readonly windows?: boolean;
}

export class Space {
  readonly platform: Platform;
  readonly format: TableFormat;
  readonly l1Memory: AnonymousBacking;
  readonly scope: LockScope;
  readonly notesDirty: boolean;
  readonly log: WriteLog | undefined;
  readonly windows: WindowArray | undefined;
  /** Highest level at which hardware may have leaves: that of the host's pages behind L1's. */
  readonly top: number;
  readonly lock: Spinlock;
  readonly words: number;
  readonly cpuWords: number;
  readonly headers: Slab;
  readonly reverse: ReverseMap;
  /** Header of the root table page. */
  readonly root: number;
  readonly rootFrame: number;
  /** Set once all vCPUs exist: table pages that were removed are given back through it. */
  rcu: Rcu | undefined;
  /** Number that CPUs write while they run this AS. */
  readonly number = 1;
  readonly #fences: number;

  constructor(options: SpaceOptions) {
    const { platform } = options;
    const { arena, boot } = platform;
    this.platform = platform;
    this.format = options.format;
    this.l1Memory = options.l1Memory;
    this.scope = options.scope;
    this.notesDirty = options.notesDirty ?? false;
    this.top = options.l1Memory.huge?.level ?? 0;
    this.words = arena.place(SpaceWords);
    const lockAt = options.scope === 'global' ? arena.take(64) : this.words + SpaceWords.at.lock;
    this.lock = spinlock(lockAt, options.scope === 'global' ? 'kpop.global' : 'kpop.vm');
    this.cpuWords = arena.take(platform.cpus * CpuWords.bytes);
    for (let id = 0; id < platform.cpus; id++) boot.write(this.cpu(id).section, 1);
    this.headers = new Slab(arena, platform.frames, TableWords.bytes, platform.cpus);
    const largest = pagesAt(this.format.geometry, this.top);
    this.reverse = new ReverseMap(platform, options.l1Pages, largest, (cpu, { table, index }) => {
      return cpu.read(table + TableWords.at.items) * FRAME_BYTES + index * 8;
    });
    this.#fences = arena.take(FENCES * 8);
    this.log = options.log === undefined ? undefined : new WriteLog(platform, options.log);
    this.windows = options.windows === true ? new WindowArray(platform) : undefined;
    this.root = arena.place(TableWords);
    this.rootFrame = this.#bootTable(arena, (at, value) => boot.write(at, value));
  }

  get gen(): number {
    return this.words + SpaceWords.at.gen;
  }

  get doneGen(): number {
    return this.words + SpaceWords.at.doneGen;
  }

  get dying(): number {
    return this.words + SpaceWords.at.dying;
  }

  get grace(): Rcu {
    return this.rcu ?? defect('Space.grace', 'RCU is attached before anybody runs');
  }

  cpu(id: number): { current: number; seen: number; kick: number; section: number } {
    const at = this.cpuWords + id * CpuWords.bytes;
    return {
      current: at + CpuWords.at.current,
      seen: at + CpuWords.at.seen,
      kick: at + CpuWords.at.kick,
      section: at + CpuWords.at.section,
    };
  }

  /** The fence word that a page's MAP checks and its UNMAP raises. */
  fence(l2gfn: number): number {
    return this.#fences + (Math.floor(l2gfn / FENCE_GROUP) % FENCES) * 8;
  }

  #bootTable(arena: Arena, write: (at: number, value: number) => void): number {
    const hardware = arena.frames(1);
    write(this.root + TableWords.at.hardware, hardware);
    write(this.root + TableWords.at.intents, arena.frames(1));
    write(this.root + TableWords.at.items, arena.frames(1));
    write(this.root + TableWords.at.level, this.format.geometry.levels - 1);
    return hardware;
  }
}
