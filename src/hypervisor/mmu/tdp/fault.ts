/**
 * The fault path of the TDP MMU. It installs what the fault lacks and returns no translation: the
 * vCPU simply walks again.
 */
import type { Entry, Rights } from '../../../machine/format/format.ts';
import { Unit } from '../../../machine/preset/price.ts';
import { type Routine, won } from '../../../runtime/act.ts';
import type { Context } from '../../../runtime/context.ts';
import { readLock, readUnlock, writeLock, writeUnlock } from '../../../sync/rwlock.ts';
import { beginLookup, entryAt, type FaultOutcome, isStale, type Stage2Fault } from '../common.ts';
import type { TdpMmu } from './mmu.ts';

const ALL: Rights = { read: true, write: true, execute: true, user: true };
const NO_WRITE: Rights = { read: true, write: false, execute: true, user: true };

/** Handles one second-stage fault; `retry` and `mapped` both mean: enter the guest again. */
export function* tdpFault(cpu: Context, mmu: TdpMmu, fault: Stage2Fault): Routine<FaultOutcome> {
  yield* mmu.topUp(cpu);
  const seq = yield* beginLookup(cpu, mmu.words);
  const pfn = yield* mmu.backing.find(cpu, fault.gfn); // may sleep, so it comes before the lock
  if (pfn < 0) return 'absent';
  if (mmu.faultLock === 'read') yield* readLock(cpu, mmu.lock, 'tdp.fault.lock');
  else yield* writeLock(cpu, mmu.lock, 'tdp.fault.lock');
  let outcome: FaultOutcome = 'retry'; // the page may have left while we slept
  if (!(yield* isStale(cpu, mmu.words, seq, fault.gfn))) {
    outcome = yield* install(cpu, mmu, fault, pfn);
  }
  if (mmu.faultLock === 'read') yield* readUnlock(cpu, mmu.lock, 'tdp.fault.unlock');
  else yield* writeUnlock(cpu, mmu.lock, 'tdp.fault.unlock');
  return outcome;
}

function* install(
  cpu: Context,
  mmu: TdpMmu,
  fault: Stage2Fault,
  pfn: number,
): Routine<FaultOutcome> {
  const { format } = mmu;
  let table = mmu.root;
  for (let level = format.geometry.levels - 1; level > 0; level--) {
    cpu.spend(Unit.levelWalked, 1);
    const at = entryAt(format.geometry, table, fault.gfn, level);
    const seen = format.decode(yield cpu.load(at, 'tdp.map.look'), level);
    if (seen.kind === 'frozen') return 'retry'; // a remover owns this entry
    table = seen.kind === 'table' ? seen.pfn : yield* link(cpu, mmu, at, seen);
    if (table < 0) return 'retry';
  }
  return yield* installLeaf(cpu, mmu, fault, pfn, table);
}

/** Links a zeroed table; -1 if another CPU moved first. */
function* link(cpu: Context, mmu: TdpMmu, at: number, seen: Entry): Routine<number> {
  const table = mmu.takeSpare(cpu);
  if (won(yield cpu.casWord(at, seen, mmu.format.table(table), 'tdp.map.link'))) return table;
  mmu.returnSpare(cpu, table);
  return -1;
}

function* installLeaf(
  cpu: Context,
  mmu: TdpMmu,
  fault: Stage2Fault,
  pfn: number,
  table: number,
): Routine<FaultOutcome> {
  cpu.spend(Unit.levelWalked, 1);
  const at = entryAt(mmu.format.geometry, table, fault.gfn, 0);
  const seen = mmu.format.decode(yield cpu.load(at, 'tdp.map.look-leaf'), 0);
  if (seen.kind === 'frozen') return 'retry';
  const tracked = yield* mmu.withholdsWrite(cpu, fault.gfn);
  const plan = planLeaf(mmu, pfn, tracked, fault.access === 'write');
  if (isSpurious(seen, plan)) return 'present';
  return won(yield cpu.casWord(at, seen, plan, 'tdp.map.commit')) ? 'mapped' : 'retry';
}

/** The leaf to install: accessed, and dirty if the guest is writing; KVM does the same. */
function planLeaf(mmu: TdpMmu, pfn: number, tracked: boolean, writing: boolean): Entry {
  return mmu.format.leaf({
    pfn,
    level: 0,
    rights: tracked ? NO_WRITE : ALL,
    accessed: true,
    dirty: writing && !tracked,
    hostWritable: true,
    mmuWritable: !tracked,
  });
}

/** Same frame and no fewer rights: another CPU resolved the fault. */
function isSpurious(seen: Entry, plan: Entry): boolean {
  return seen.kind === 'leaf' && seen.pfn === plan.pfn && (seen.write || !plan.write);
}
