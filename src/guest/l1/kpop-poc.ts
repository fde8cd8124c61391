/**
 * L1's MMU in the proof of concept of 2023: KVM's, with hypercalls where it would have edited
 * second-stage tables of its own. It keeps no tables and no book (its XArray was left to do), so
 * it calls for every range that it takes away. The calls are made where the edits were: MAP under
 * the mmu_lock held for reading, UNMAP under it held for writing.
 *
 * Source: primer/x86.md 6.0, primer/protection.md 2.3. Leaves out: memslots that come and go (zap
 * all), system management mode.
 */
import { PocCall, PocStatus, packSpace } from '../../abi/kpop-poc.ts';
import { defect } from '../../base/assert.ts';
import type { AnonymousBacking } from '../../hypervisor/backing/anonymous.ts';
import {
  beginLookup,
  closeInvalidation,
  isStale,
  MmuWords,
  openInvalidation,
  type PageRange,
} from '../../hypervisor/mmu/common.ts';
import type { Owner } from '../../hypervisor/owner.ts';
import type { Platform } from '../../hypervisor/platform.ts';
import type { ExitHandler, Vcpu } from '../../hypervisor/vcpu.ts';
import { vmcall } from '../../machine/instruction.ts';
import { FRAME_BYTES } from '../../machine/memory.ts';
import { num, type Routine } from '../../runtime/act.ts';
import type { Context } from '../../runtime/context.ts';
import {
  type RwLock,
  readLock,
  readUnlock,
  rwlock,
  writeLock,
  writeUnlock,
} from '../../sync/rwlock.ts';

/** L1's only VM and its only address space. */
const SPACE = packSpace(1, 0);

export class PocMmu {
  readonly backing: AnonymousBacking;
  /** Frame for control blocks to name as root: nobody looks at it. */
  readonly root: number;
  readonly #words: number;
  readonly #lock: RwLock;

  constructor(platform: Platform, backing: AnonymousBacking) {
    this.backing = backing;
    this.root = platform.arena.frames(1);
    this.#words = platform.arena.place(MmuWords);
    this.#lock = rwlock(this.#words + MmuWords.at.lock, 'l1.mmu');
  }

  *load(cpu: Context, v: Vcpu): Routine<void> {
    const args = [v.own.block, SPACE, 1];
    mustBeOk(num(yield vmcall(cpu, PocCall.loadUnload, args, 'l1.load')), 'LOAD');
  }

  *unload(cpu: Context, v: Vcpu): Routine<void> {
    const args = [v.own.block, SPACE, 0];
    mustBeOk(num(yield vmcall(cpu, PocCall.loadUnload, args, 'l1.unload')), 'UNLOAD');
  }

  /** L2 lacks a page: resolves it, and has L0 map it. L2 tries again in any case. */
  *fault(cpu: Context, gfn: number): Routine<void> {
    const seq = yield* beginLookup(cpu, this.#words);
    const l1gfn = yield* this.backing.find(cpu, gfn); // may sleep, so it comes before the lock
    if (l1gfn < 0) defect('PocMmu.fault', `L2 page ${gfn} is no memory`);
    yield* readLock(cpu, this.#lock, 'l1.map.lock');
    if (!(yield* isStale(cpu, this.#words, seq, gfn))) {
      const status = num(yield vmcall(cpu, PocCall.map, [SPACE, gfn, l1gfn], 'l1.map'));
      if (status !== PocStatus.again) mustBeOk(status, 'MAP');
    }
    yield* readUnlock(cpu, this.#lock, 'l1.map.unlock');
  }

  /** Takes pages away from L2: on return no access of L2 uses them, and their frames are free. */
  *invalidate(cpu: Context, ranges: readonly PageRange[]): Routine<void> {
    if (ranges.length === 0) return;
    yield* writeLock(cpu, this.#lock, 'l1.unmap.lock');
    yield* openInvalidation(cpu, this.#words, ranges);
    for (const { first, end } of ranges) {
      const args = [SPACE, first, end - first];
      mustBeOk(num(yield vmcall(cpu, PocCall.unmap, args, 'l1.unmap')), 'UNMAP');
    }
    yield* writeUnlock(cpu, this.#lock, 'l1.unmap.unlock');
    for (const { first, end } of ranges) {
      for (let gfn = first; gfn < end; gfn++) yield* this.backing.release(cpu, gfn);
    }
    yield* writeLock(cpu, this.#lock, 'l1.unmap-end.lock');
    yield* closeInvalidation(cpu, this.#words);
    yield* writeUnlock(cpu, this.#lock, 'l1.unmap-end.unlock');
  }
}

function mustBeOk(status: number, call: string): void {
  if (status !== PocStatus.ok) defect('PocMmu', `${call} answered ${status}`);
}

/** L2's second-stage fault, as L1's run loop meets it. */
export function pocViolation(mmu: PocMmu): ExitHandler {
  return function* violation(cpu: Context, v: Vcpu): Routine<void> {
    const { block } = v.active;
    yield v.virt.faultCode(cpu, block, 'l1.violation.why'); // which right it was: all are given
    const gpa = num(yield v.virt.faultAddress(cpu, block, 'l1.violation.where'));
    yield* mmu.fault(cpu, Math.floor(gpa / FRAME_BYTES));
  };
}

/** What L1 does for its guest. */
export function pocOwner(mmu: PocMmu): Owner {
  return {
    unmap: (cpu, ranges) => mmu.invalidate(cpu, ranges),
    *removeTables(): Routine<void> {
      // L1 has no tables
    },
    owns: (range) => mmu.backing.covers(range),
    frameOf: (cpu, gfn) => mmu.backing.resident(cpu, gfn),
  };
}
