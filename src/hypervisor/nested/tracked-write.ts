/**
 * L1 stored to one of its EPT12 tables: the page is write-protected in EPT01, so the store exited.
 * L0 drops what mirrors the old entry and performs the store on L1's behalf.
 *
 * The architecture lets stale translations live until L1's INVEPT, so the drop needs no flush of
 * its own for L1's sake (`storeflush=lazy`); but then the host must flush before it takes a page
 * that such a translation may still reach, hence the `unflushed` word. KVM flushes at once
 * (`storeflush=now`).
 */
import { Instruction } from '../../machine/instruction.ts';
import { FRAME_BYTES } from '../../machine/memory.ts';
import { Unit } from '../../machine/preset/price.ts';
import { completeActLike } from '../../machine/world-switch.ts';
import type { Routine } from '../../runtime/act.ts';
import type { Context } from '../../runtime/context.ts';
import { writeLock, writeUnlock } from '../../sync/rwlock.ts';
import { advance, willStore } from '../emulate.ts';
import { flushRemote } from '../flush/request-kick.ts';
import { isLeaving } from '../mmu/common.ts';
import { zapWritten } from '../mmu/shadow/zap.ts';
import { forgetTable } from '../mmu/shadow/zap-page.ts';
import { tdpFault } from '../mmu/tdp/fault.ts';
import type { Vcpu } from '../vcpu.ts';
import type { ShadowedVm } from './state.ts';

export function* trackedWrite(cpu: Context, v: Vcpu, gpa: number, vm: ShadowedVm): Routine<void> {
  const gfn = Math.floor(gpa / FRAME_BYTES);
  if (v.active.guest.top.act.op === Instruction.zeroFrame) return yield* reuse(cpu, v, vm, gfn);
  cpu.spend(Unit.instructionEmulated, 1);
  yield* writeLock(cpu, vm.tdp.lock, 'tracked.lock');
  const isDone = yield* dropAndStore(cpu, v, vm, gpa);
  yield* writeUnlock(cpu, vm.tdp.lock, 'tracked.unlock');
  if (isDone) yield* advance(cpu, v);
}

/**
 * Under the lock, and the store last: a vCPU that flushes and enters once the new entry can be seen
 * may need no lock for that (VMRUN), and must not find what mirrored the old one; and the page must
 * not leave before it is written. False if it is leaving: L1 tries again.
 */
function* dropAndStore(cpu: Context, v: Vcpu, vm: ShadowedVm, gpa: number): Routine<boolean> {
  const gfn = Math.floor(gpa / FRAME_BYTES);
  const offset = gpa % FRAME_BYTES;
  if (yield* isLeaving(cpu, vm.tdp.words, gfn)) return false;
  const frame = yield* vm.tdp.backing.resident(cpu, gfn);
  if (frame < 0) return false;
  const { top } = v.active.guest;
  const at = frame * FRAME_BYTES + offset;
  const isWrite = willStore(cpu, top.act, at);
  if (isWrite && (yield* zapWritten(cpu, vm.shadow, gfn, offset / 8)) === 'cached') {
    if (vm.storeFlush === 'now') yield* flushRemote(cpu, v.vm);
    else yield cpu.store(vm.unflushed, 1, 'tracked.unflushed');
  }
  completeActLike(top, yield cpu.sameAs(top.act, at, 'tracked.store'));
  return true;
}

/** A whole-page write: L1 uses the page for something new, so it is no table any more. */
function* reuse(cpu: Context, v: Vcpu, vm: ShadowedVm, gfn: number): Routine<void> {
  yield* writeLock(cpu, vm.tdp.lock, 'tracked.reuse.lock');
  const { frames, roots } = yield* forgetTable(cpu, vm.shadow, gfn);
  // Whoever runs on a root that ceases to be is kicked out by the flush and sees the generation.
  if (roots > 0) yield cpu.add(vm.rootGeneration, 1, 'tracked.reuse.root');
  if (frames.length > 0) yield* flushRemote(cpu, v.vm);
  yield* writeUnlock(cpu, vm.tdp.lock, 'tracked.reuse.unlock');
  // Hardware may have kept pointers to these tables until the flush; it is done.
  for (const frame of frames) vm.tdp.platform.frames.give(cpu, frame);
  yield* tdpFault(cpu, vm.tdp, { gfn, access: 'write' }); // and L1 tries again
}
