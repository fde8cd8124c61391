/**
 * MMU_LOAD_UNLOAD: which root a control block of L1's runs L2 on. Loading looks for the root of the
 * address space, or makes one; unloading the last control block of a root empties it.
 */
import { PocStatus } from '../../abi/kpop-poc.ts';
import { Unit } from '../../machine/preset/price.ts';
import type { Routine } from '../../runtime/act.ts';
import type { Context } from '../../runtime/context.ts';
import { writeLock, writeUnlock } from '../../sync/rwlock.ts';
import { flushRemote } from '../flush/request-kick.ts';
import { giveLater } from '../mmu/tdp/remove.ts';
import { emptyRoot } from '../mmu/tdp/teardown.ts';
import { LoadWords, type PocRoot, type PocTables, type PocVm, RootWords } from './vm.ts';

/** Under the lock: the root of an address space, if one is loaded. */
export function rootOfSpace(
  cpu: Context,
  { roots }: PocTables,
  space: number,
): PocRoot | undefined {
  return roots.find(({ words }) => {
    cpu.spend(Unit.listElement, 1);
    return cpu.read(words + RootWords.at.space) === space + 1;
  });
}

/** Under the lock: the root that a control block runs L2 on. */
export function rootOfHolder(cpu: Context, poc: PocTables, holder: number): PocRoot | undefined {
  const found = findLoad(cpu, poc, holder);
  return found === 0 ? undefined : poc.roots[cpu.read(found + LoadWords.at.root)];
}

/** Place of a control block's load; 0 if it has none. */
function findLoad(cpu: Context, poc: PocTables, holder: number): number {
  const { at } = LoadWords;
  let load = cpu.read(bucketOf(poc, holder));
  while (load !== 0) {
    cpu.spend(Unit.listElement, 1);
    if (cpu.read(load + at.holder) === holder + 1) return load;
    load = cpu.read(load + at.next);
  }
  return 0;
}

function bucketOf({ buckets, bucketCount }: PocTables, holder: number): number {
  return buckets + (holder % bucketCount) * 8;
}

/** Loads an address space for a control block. */
export function* pocLoad(
  cpu: Context,
  { tdp, poc }: PocVm,
  holder: number,
  space: number,
): Routine<number> {
  yield* writeLock(cpu, tdp.lock, 'poc.load.lock');
  const status = load(cpu, poc, holder, space);
  if (status === PocStatus.ok) yield cpu.add(poc.loads, 1, 'poc.load.tell');
  yield* writeUnlock(cpu, tdp.lock, 'poc.load.unlock');
  return status;
}

function load(cpu: Context, poc: PocTables, holder: number, space: number): number {
  if (findLoad(cpu, poc, holder) !== 0) return PocStatus.busy;
  const { at } = LoadWords;
  const place = poc.places.find((each) => cpu.read(each + at.holder) === 0);
  const root = rootOfSpace(cpu, poc, space) ?? poc.roots.find((each) => isFree(cpu, each));
  if (place === undefined || root === undefined) return PocStatus.full;
  cpu.write(root.words + RootWords.at.space, space + 1);
  cpu.write(root.words + RootWords.at.users, cpu.read(root.words + RootWords.at.users) + 1);
  const bucket = bucketOf(poc, holder);
  cpu.write(place + at.holder, holder + 1);
  cpu.write(place + at.root, poc.roots.indexOf(root));
  cpu.write(place + at.next, cpu.read(bucket));
  cpu.write(bucket, place);
  return PocStatus.ok;
}

function isFree(cpu: Context, { words }: PocRoot): boolean {
  return cpu.read(words + RootWords.at.space) === 0;
}

/** Unloads what a control block has loaded; with the last one its root is emptied. */
export function* pocUnload(
  cpu: Context,
  { tdp, poc }: PocVm,
  holder: number,
  space: number,
): Routine<number> {
  const removed: number[] = [];
  yield* writeLock(cpu, tdp.lock, 'poc.unload.lock');
  const root = rootOfHolder(cpu, poc, holder);
  const isIts = root !== undefined && cpu.read(root.words + RootWords.at.space) === space + 1;
  if (isIts) {
    unlink(cpu, poc, holder);
    yield cpu.add(poc.loads, 1, 'poc.unload.tell');
    const users = cpu.read(root.words + RootWords.at.users) - 1;
    cpu.write(root.words + RootWords.at.users, users);
    if (users === 0) {
      yield* emptyRoot(cpu, root.mmu, removed);
      cpu.write(root.words + RootWords.at.space, 0);
      // Whoever still runs on the root is kicked out, and finds another at its next entry.
      yield* flushRemote(cpu, tdp.vm);
    }
  }
  yield* writeUnlock(cpu, tdp.lock, 'poc.unload.unlock');
  yield* giveLater(cpu, tdp, removed);
  return isIts ? PocStatus.ok : PocStatus.unknown;
}

function unlink(cpu: Context, poc: PocTables, holder: number): void {
  const { at } = LoadWords;
  let link = bucketOf(poc, holder);
  while (cpu.read(cpu.read(link) + at.holder) !== holder + 1) link = cpu.read(link) + at.next;
  const found = cpu.read(link);
  cpu.write(link, cpu.read(found + at.next));
  cpu.write(found + at.holder, 0);
}
