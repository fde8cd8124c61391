/**
 * Roots that come and go: a VM whose memory slots change does not take its tables apart entry by
 * entry while everybody waits. It calls the root invalid, makes every vCPU let it go, and zaps it
 * afterwards, beside faults that already fill a new one. A record counts who holds a root: each
 * vCPU that uses it, and the MMU itself until it has been zapped; the last one out frees it.
 *
 * A fault on an invalid root installs nothing (it looks under the lock). No flush of the old one is
 * needed: a vCPU flushes a root when it loads it, so what is cached of another one with the same
 * tag or frame is gone (R17), and who still runs under the old one is interrupted and waited for.
 *
 * Source: arch/x86/kvm/mmu/tdp_mmu.c, kvm_tdp_mmu_alloc_root, kvm_tdp_mmu_invalidate_all_roots,
 * kvm_tdp_mmu_zap_invalidated_roots, kvm_tdp_mmu_put_root; mmu.c, kvm_mmu_zap_all_fast (facts;
 * primer/x86.md 2.4).
 * Leaves out: roles (one address space, no SMM), the passes by level of a zap, cached old roots.
 */
import { defect } from '../../../base/assert.ts';
import { Hash64 } from '../../../base/hash.ts';
import { pagesAt } from '../../../machine/format/format.ts';
import { FRAME_BYTES } from '../../../machine/memory.ts';
import { num, type Routine } from '../../../runtime/act.ts';
import type { Context } from '../../../runtime/context.ts';
import { atomic, atomicLine, layout } from '../../../runtime/layout.ts';
import { isContended, readLock, readUnlock, writeLock, writeUnlock } from '../../../sync/rwlock.ts';
import { lock, type Spinlock, spinlock, unlock } from '../../../sync/spinlock.ts';
import { requestAll } from '../../flush/request-kick.ts';
import type { Platform } from '../../platform.ts';
import { REQUEST_ROOT, type Vcpu, type VcpuRoots } from '../../vcpu.ts';
import type { TdpMmu } from './mmu.ts';
import { freezeShared, giveLater, sweep } from './remove.ts';

const PagesWords = layout('tdp.pages', { lock: atomicLine });
/** `frame`: 0 = no root; `references`: its holders. */
const RootWords = layout('tdp.root', { frame: atomicLine, state: atomic, references: atomic });

/** Of a root's state: nobody may begin to use it. */
const INVALID = 1;
/** It is to be zapped, by whoever made it invalid. */
const SCHEDULED = 2;

interface View {
  read(at: number): number;
}

/** A root as onlookers see it. */
export interface RootSeen {
  /** Of its record, as a vCPU that holds it has it. */
  readonly number: number;
  readonly frame: number;
  readonly isValid: boolean;
  /** Whether it is invalid and its zap has begun: every vCPU has been made to let it go. */
  readonly isGone: boolean;
  readonly references: number;
}

export class TdpRoots implements VcpuRoots {
  /** KVM's tdp_mmu_pages_lock: over the list of roots. */
  readonly lock: Spinlock;
  readonly #mmu: TdpMmu;
  readonly #records: readonly number[];

  /** The MMU's root is the first one, held by the MMU and by as many vCPUs as there will be. */
  constructor(mmu: TdpMmu, platform: Platform, vcpus: number) {
    const { arena, boot } = platform;
    this.#mmu = mmu;
    this.lock = spinlock(arena.place(PagesWords) + PagesWords.at.lock, 'l0.pages');
    // One that is valid, one that is zapped, and what each vCPU may still hold.
    this.#records = Array.from({ length: vcpus + 2 }, () => arena.place(RootWords));
    const [first] = this.#records;
    boot.write(first! + RootWords.at.frame, mmu.root);
    boot.write(first! + RootWords.at.references, 1 + vcpus);
  }

  /** Before an entry: gives the vCPU the valid root, making one if there is none. */
  *load(cpu: Context, v: Vcpu): Routine<void> {
    const mmu = this.#mmu;
    yield* mmu.topUp(cpu);
    cpu.attempt('root.load');
    yield* readLock(cpu, mmu.lock, 'root.load.lock');
    yield* lock(cpu, this.lock, 'root.pages.lock');
    let record = yield* this.#findValid(cpu);
    if (record < 0) record = yield* this.#make(cpu);
    const at = this.#records[record]!;
    yield cpu.add(at + RootWords.at.references, 1, 'root.get');
    const frame = num(yield cpu.load(at + RootWords.at.frame, 'root.frame'));
    yield* unlock(cpu, this.lock, 'root.pages.unlock');
    yield* readUnlock(cpu, mmu.lock, 'root.load.unlock');
    this.#hold(cpu, v, frame, record);
    cpu.conclude('root.load', frame);
    yield* v.virt.setRoot(cpu, v, frame, mmu.format.geometry.levels);
    yield v.virt.flushRoot(cpu, v, frame, 'root.flush');
  }

  *refresh(cpu: Context, v: Vcpu): Routine<void> {
    if (v.root === 0) return;
    const record = cpu.read(v.rootRecord) - 1;
    const at = this.#records[record]! + RootWords.at.state;
    if ((num(yield cpu.load(at, 'root.obsolete')) & INVALID) === 0) return;
    this.#hold(cpu, v, 0, -1);
    yield* this.#put(cpu, record);
  }

  #hold(cpu: Context, v: Vcpu, frame: number, record: number): void {
    v.root = frame;
    cpu.write(v.rootRecord, record + 1);
  }

  /** Under the lock: whether the root that a vCPU faulted under is one to install nothing in. */
  *isInvalid(cpu: Context, v: Vcpu): Routine<boolean> {
    const at = this.#records[cpu.read(v.rootRecord) - 1]! + RootWords.at.state;
    return (num(yield cpu.load(at, 'root.is-invalid')) & INVALID) !== 0;
  }

  /** Frames of all roots, whatever their state. */
  *now(cpu: Context): Routine<readonly number[]> {
    const frames: number[] = [];
    for (const at of this.#records) {
      const frame = num(yield cpu.load(at + RootWords.at.frame, 'root.look'));
      if (frame !== 0) frames.push(frame);
    }
    return frames;
  }

  /**
   * Takes everything away that the VM's tables map. When it returns no vCPU can use any of it, and
   * none of it is in a table.
   */
  *zapAll(cpu: Context): Routine<void> {
    const mmu = this.#mmu;
    cpu.attempt('root.zap-all');
    yield* writeLock(cpu, mmu.lock, 'root.invalidate.lock');
    for (const at of this.#records) {
      if (num(yield cpu.load(at + RootWords.at.frame, 'root.look')) === 0) continue;
      if ((num(yield cpu.load(at + RootWords.at.state, 'root.state')) & INVALID) !== 0) continue;
      yield cpu.or(at + RootWords.at.state, INVALID | SCHEDULED, 'root.invalidate');
    }
    yield* requestAll(cpu, mmu.vm, REQUEST_ROOT, 'root.wait');
    yield* writeUnlock(cpu, mmu.lock, 'root.invalidate.unlock');
    cpu.conclude('root.zap-all', 0); // what is to be zapped is in the records
    yield* this.#zapScheduled(cpu);
  }

  /** Under the lock held for reading: faults fill the new root meanwhile. */
  *#zapScheduled(cpu: Context): Routine<void> {
    const mmu = this.#mmu;
    const zapped: number[] = [];
    const removed: number[] = [];
    cpu.attempt('root.zap');
    yield* readLock(cpu, mmu.lock, 'root.zap.lock');
    for (const [record, at] of this.#records.entries()) {
      if (num(yield cpu.load(at + RootWords.at.frame, 'root.look')) === 0) continue;
      const state = num(yield cpu.load(at + RootWords.at.state, 'root.state'));
      if ((state & SCHEDULED) === 0) continue;
      yield cpu.store(at + RootWords.at.state, state & ~SCHEDULED, 'root.zap-begin');
      const frame = num(yield cpu.load(at + RootWords.at.frame, 'root.frame'));
      yield* this.#zap(cpu, frame, removed);
      zapped.push(record); // let go once host threads cannot have to reach it any more
    }
    yield* readUnlock(cpu, mmu.lock, 'root.zap.unlock');
    cpu.conclude('root.zap', hashOf([...zapped, -1, ...removed]));
    yield* giveLater(cpu, mmu, removed);
    for (const record of zapped) yield* this.#put(cpu, record);
  }

  /** Nobody installs below an invalid root, so what is taken from it stays away. */
  *#zap(cpu: Context, root: number, removed: number[]): Routine<void> {
    const mmu = this.#mmu;
    const { format } = mmu;
    const level = format.geometry.levels - 1;
    for (let index = 0; index < 1 << format.geometry.indexBits; index++) {
      const at = root * FRAME_BYTES + index * 8;
      cpu.attempt('root.zap-entry');
      const seen = format.decode(yield cpu.load(at, 'root.zap.look'), level);
      if (seen.kind !== 'table') continue;
      const first = index * pagesAt(format.geometry, level);
      const below = { table: seen.pfn, level: level - 1, first };
      // Nobody but hardware, which sets A, changes the entry: no exchange is needed.
      yield cpu.storeWord(at, format.empty, 'root.zap.unlink');
      yield* sweep(cpu, mmu, below, freezeShared, removed);
      cpu.conclude('root.zap-entry', hashOf(removed));
      if (yield* isContended(cpu, mmu.lock, 'root.yield.look')) {
        yield* readUnlock(cpu, mmu.lock, 'root.yield.unlock');
        yield* readLock(cpu, mmu.lock, 'root.yield.lock');
      }
    }
  }

  /** One holder less; the last one frees the root, which has been zapped by then. */
  *#put(cpu: Context, record: number): Routine<void> {
    const at = this.#records[record]!;
    const holders = num(yield cpu.add(at + RootWords.at.references, -1, 'root.put'));
    if (holders !== 1) return;
    const frame = num(yield cpu.load(at + RootWords.at.frame, 'root.frame'));
    yield* lock(cpu, this.lock, 'root.unlink.lock');
    yield cpu.store(at + RootWords.at.frame, 0, 'root.unlink');
    yield* unlock(cpu, this.lock, 'root.unlink.unlock');
    yield* giveLater(cpu, this.#mmu, [frame]);
  }

  *#findValid(cpu: Context): Routine<number> {
    for (const [record, at] of this.#records.entries()) {
      if (num(yield cpu.load(at + RootWords.at.frame, 'root.look')) === 0) continue;
      if ((num(yield cpu.load(at + RootWords.at.state, 'root.state')) & INVALID) === 0) {
        return record;
      }
    }
    return -1;
  }

  /** A new root in a record that is free, held by the MMU alone. */
  *#make(cpu: Context): Routine<number> {
    for (const [record, at] of this.#records.entries()) {
      if (num(yield cpu.load(at + RootWords.at.frame, 'root.look')) !== 0) continue;
      yield cpu.store(at + RootWords.at.state, 0, 'root.fresh');
      yield cpu.store(at + RootWords.at.references, 1, 'root.own');
      yield cpu.store(at + RootWords.at.frame, this.#mmu.takeSpare(cpu), 'root.publish');
      return record;
    }
    return defect('TdpRoots', 'more roots are held than there are holders');
  }

  // --- onlookers ---------------------------------------------------------------------------

  /** Every root that there is. */
  seen(view: View): RootSeen[] {
    return this.#records
      .map((at, record) => {
        const state = view.read(at + RootWords.at.state);
        const frame = view.read(at + RootWords.at.frame);
        const references = view.read(at + RootWords.at.references);
        const isValid = (state & INVALID) === 0;
        return { number: record + 1, frame, isValid, isGone: state === INVALID, references };
      })
      .filter(({ frame }) => frame !== 0);
  }
}

/** What of a list of frames is remembered: all of it, as good as any hash. */
function hashOf(frames: readonly number[]): number {
  const hash = new Hash64();
  for (const frame of frames) hash.add(frame);
  return hash.low;
}
