/**
 * The fault path of the TDP MMU. It installs what the fault lacks and returns no translation: the
 * vCPU simply walks again.
 */
import { type Entry, pagesAt, type Rights } from '../../../machine/format/format.ts';
import { Unit } from '../../../machine/preset/price.ts';
import { type Routine, won } from '../../../runtime/act.ts';
import type { Context } from '../../../runtime/context.ts';
import { readLock, readUnlock, writeLock, writeUnlock } from '../../../sync/rwlock.ts';
import { frameOf, levelOf } from '../../backing/huge.ts';
import { flushRemote } from '../../flush/request-kick.ts';
import {
  beginLookup,
  entryAt,
  type FaultOutcome,
  firstBelow,
  isStale,
  type Stage2Fault,
} from '../common.ts';
import { fastFault } from './fast-fault.ts';
import type { TdpMmu } from './mmu.ts';
import { freezeShared, giveLater, sweep } from './remove.ts';
import { splitLeaf, zapInstead } from './split.ts';

const ALL: Rights = { read: true, write: true, execute: true, user: true };
const NO_WRITE: Rights = { read: true, write: false, execute: true, user: true };
const NO_FRAMES: number[] = [];
/** Of a page that is memory. */
export const NO_DEVICE = -1;

/** A fault with what was looked up for it before the lock. */
export interface Wanted extends Stage2Fault {
  /** Frame of the root table. */
  readonly root: number;
  /** Frame of the page at `gfn`. */
  readonly pfn: number;
  /** Of a page that is a device's: the slots' generation to note instead of a frame; else -1. */
  readonly device: number;
  /** Level of the leaf to install. */
  readonly goal: number;
  /** Level of the leaf that it would be if the page were not to be executed; 0 if that is it. */
  readonly refused: number;
  /** Whether writes to the page have to be noticed. */
  readonly logs: boolean;
  /** Frames of tables that the leaf replaces: given back once the lock is dropped. */
  readonly removed: number[];
}

/** What is wanted of a page that is memory, below the MMU's only root, executable or not. */
export function memoryBelow({ root }: TdpMmu): Pick<Wanted, 'root' | 'device' | 'refused'> {
  return { root, device: NO_DEVICE, refused: 0 };
}

/** Handles one second-stage fault; `retry` and `mapped` both mean: enter the guest again. */
export function* tdpFault(cpu: Context, mmu: TdpMmu, fault: Stage2Fault): Routine<FaultOutcome> {
  const logs = mmu.logging !== undefined && (yield* mmu.logging.slots.logs(cpu, fault.gfn));
  if (fault.present === true && fault.access === 'write' && mmu.fast) {
    const outcome = yield* fastFault(cpu, mmu, fault, logs);
    if (outcome !== 'retry') return outcome;
  }
  yield* mmu.topUp(cpu);
  const seq = yield* beginLookup(cpu, mmu.words);
  const found = yield* mmu.backing.find(cpu, fault.gfn); // may sleep, so it comes before the lock
  if (found < 0) return 'absent';
  const wanted = wantedOf(mmu, fault, found, logs);
  if (mmu.faultLock === 'read') yield* readLock(cpu, mmu.lock, 'tdp.fault.lock');
  else yield* writeLock(cpu, mmu.lock, 'tdp.fault.lock');
  let outcome: FaultOutcome = 'retry'; // the page may have left while we slept
  if (!(yield* isStale(cpu, mmu.words, seq, fault.gfn))) outcome = yield* tdpMap(cpu, mmu, wanted);
  if (mmu.faultLock === 'read') yield* readUnlock(cpu, mmu.lock, 'tdp.fault.unlock');
  else yield* writeUnlock(cpu, mmu.lock, 'tdp.fault.unlock');
  if (wanted.removed.length > 0) yield* giveLater(cpu, mmu, wanted.removed);
  return outcome;
}

/** As large as the host's page, but small where single pages are to be told apart. */
function wantedOf(mmu: TdpMmu, { gfn, access }: Stage2Fault, found: number, logs: boolean): Wanted {
  const { root } = mmu;
  if (mmu.backing.huge === undefined) {
    const pfn = found;
    const device = NO_DEVICE;
    return { gfn, access, root, pfn, device, goal: 0, refused: 0, logs, removed: NO_FRAMES };
  }
  const huge = logs ? 0 : levelOf(found);
  const refused = mmu.nx !== undefined && access === 'execute' ? huge : 0;
  const goal = refused > 0 ? 0 : huge;
  const pfn = frameOf(found);
  return { gfn, access, root, pfn, device: NO_DEVICE, goal, refused, logs, removed: [] };
}

/** Under the lock: installs what is missing down to the leaf (`kvm_tdp_mmu_map`). */
export function* tdpMap(cpu: Context, mmu: TdpMmu, wanted: Wanted): Routine<FaultOutcome> {
  const { format } = mmu;
  let table = wanted.root;
  for (let level = format.geometry.levels - 1; level > wanted.goal; level--) {
    cpu.spend(Unit.levelWalked, 1);
    const at = entryAt(format.geometry, table, wanted.gfn, level);
    const seen = format.decode(yield cpu.load(at, 'tdp.map.look'), level);
    if (seen.kind === 'frozen') return 'retry'; // a remover owns this entry
    if (seen.kind === 'table') table = seen.pfn;
    else if (level <= wanted.refused) table = yield* makeSmall(cpu, mmu, wanted, at, seen, level);
    else if (seen.kind === 'empty') table = yield* link(cpu, mmu, at, seen, mmu.takeSpare(cpu));
    else table = yield* breakUp(cpu, mmu, wanted, at, seen, level, mmu.takeSpare(cpu));
    if (table < 0) return 'retry';
  }
  return yield* installLeaf(cpu, mmu, wanted, table);
}

/** Links a zeroed table; -1 if another CPU moved first. */
function* link(cpu: Context, mmu: TdpMmu, at: number, seen: Entry, table: number): Routine<number> {
  if (won(yield cpu.casWord(at, seen, mmu.format.table(table), 'tdp.map.link'))) return table;
  mmu.returnSpare(cpu, table);
  return -1;
}

/** A smaller leaf is needed than the one seen: the table that takes its place, or -1. */
function* breakUp(
  cpu: Context,
  mmu: TdpMmu,
  { gfn }: Wanted,
  at: number,
  seen: Entry,
  level: number,
  spare: number,
): Routine<number> {
  if (mmu.split !== 'zap') return yield* splitLeaf(cpu, mmu, at, seen, level, spare);
  mmu.returnSpare(cpu, spare);
  yield* zapInstead(cpu, mmu, at, seen, gfn, level);
  return -1;
}

/** Either of them, where the page could be huge if it were not to be executed (`nx.ts`). */
function* makeSmall(
  cpu: Context,
  mmu: TdpMmu,
  wanted: Wanted,
  at: number,
  seen: Entry,
  level: number,
): Routine<number> {
  const nx = mmu.nx!;
  const spare = mmu.takeSpare(cpu);
  yield* nx.announce(cpu, spare);
  const table =
    seen.kind === 'empty'
      ? yield* link(cpu, mmu, at, seen, spare)
      : yield* breakUp(cpu, mmu, wanted, at, seen, level, spare);
  if (table < 0) yield* nx.retract(cpu, spare);
  else {
    const first = firstBelow(mmu.format.geometry, wanted.gfn, level);
    yield* nx.track(cpu, { table, entry: at, level, first });
  }
  return table;
}

function* installLeaf(
  cpu: Context,
  mmu: TdpMmu,
  wanted: Wanted,
  table: number,
): Routine<FaultOutcome> {
  cpu.spend(Unit.levelWalked, 1);
  const { gfn, goal } = wanted;
  const at = entryAt(mmu.format.geometry, table, gfn, goal);
  const seen = mmu.format.decode(yield cpu.load(at, 'tdp.map.look-leaf'), goal);
  if (seen.kind === 'frozen') return 'retry';
  if (mmu.nx !== undefined && seen.kind === 'table') {
    if (yield* mmu.nx.isDisallowed(cpu, seen.pfn)) {
      return yield* installLeaf(cpu, mmu, { ...wanted, goal: goal - 1 }, seen.pfn);
    }
  }
  const tracked = yield* mmu.withholdsWrite(cpu, gfn);
  const plan = planLeaf(mmu, wanted, tracked);
  if (isSpurious(seen, plan)) return 'present';
  if (seen.kind === 'table') return yield* promote(cpu, mmu, wanted, at, seen, plan);
  // A frame is never exchanged without a zap in between: CPUs may have cached the old one.
  if (seen.kind === 'leaf' && seen.pfn !== plan.pfn) return 'other';
  // Marked before the leaf is there; a harvest in between is kept out by the lock.
  if (wanted.logs && plan.dirty) yield* mmu.logging!.slots.mark(cpu, gfn);
  return won(yield cpu.casWord(at, seen, plan, 'tdp.map.commit')) ? 'mapped' : 'retry';
}

/**
 * A huge leaf takes the place of a table whose entries map the same frames, or nothing. Walks that
 * are under way may still go through the table until the flush, and set D in its entries.
 */
function* promote(
  cpu: Context,
  mmu: TdpMmu,
  { gfn, goal, removed }: Wanted,
  at: number,
  seen: Entry,
  plan: Entry,
): Routine<FaultOutcome> {
  if (!won(yield cpu.casWord(at, seen, plan, 'tdp.map.promote'))) return 'retry';
  const first = firstBelow(mmu.format.geometry, gfn, goal);
  const below = { table: seen.pfn, level: goal - 1, first };
  yield* sweep(cpu, mmu, below, freezeShared, removed);
  yield* flushRemote(cpu, mmu.vm, 'tdp.promote.wait');
  return 'mapped';
}

/**
 * The leaf to install: accessed, and dirty if the guest is writing; KVM does the same. A page of a
 * logged slot that is only read stays such that a write is noticed.
 */
function planLeaf(mmu: TdpMmu, wanted: Wanted, tracked: boolean): Entry {
  const { gfn, pfn, goal, access, logs, device } = wanted;
  if (device !== NO_DEVICE) return mmu.format.mmio!(gfn, device);
  const writes = access === 'write';
  const isKept = logs && !writes && mmu.logging!.by === 'protect';
  const rights = tracked || isKept ? NO_WRITE : ALL;
  return mmu.format.leaf({
    pfn: goal === 0 ? pfn : pfn - (gfn % pagesAt(mmu.format.geometry, goal)),
    level: goal,
    rights: goal > 0 && mmu.nx !== undefined ? { ...rights, execute: false } : rights,
    accessed: true,
    dirty: writes && !tracked,
    hostWritable: true,
    mmuWritable: !tracked,
  });
}

/** Same frame and no fewer rights: another CPU resolved the fault. */
function isSpurious(seen: Entry, plan: Entry): boolean {
  return seen.kind === 'leaf' && seen.pfn === plan.pfn && (seen.write || !plan.write);
}
