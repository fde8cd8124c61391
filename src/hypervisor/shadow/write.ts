/**
 * A guest's write to a table that is shadowed and may not be written to directly: the instruction
 * is emulated, and what mirrored the entry is dropped. A table that is written to again and again
 * without being used is no longer taken for one.
 *
 * Source: arch/x86/kvm/mmu/mmu.c, kvm_mmu_track_write, detect_write_flooding (facts; primer/x86.md
 * 3.2). Here the store comes last, and under the lock: a vCPU that sees the new entry and flushes
 * takes no lock where nothing is out of step, and must not find what mirrored the old one.
 */
import { Instruction } from '../../machine/instruction.ts';
import { FRAME_BYTES } from '../../machine/memory.ts';
import { Unit } from '../../machine/preset/price.ts';
import { completeActLike } from '../../machine/world-switch.ts';
import type { Routine } from '../../runtime/act.ts';
import type { Context } from '../../runtime/context.ts';
import { writeLock, writeUnlock } from '../../sync/rwlock.ts';
import { willStore } from '../emulate.ts';
import { isLeaving } from '../mmu/common.ts';
import { countWrite } from '../mmu/shadow/flooding.ts';
import { Role, ShadowPage } from '../mmu/shadow/page.ts';
import { zapEntry } from '../mmu/shadow/zap.ts';
import { nothingZapped, type Zapped, zapPage } from '../mmu/shadow/zap-page.ts';
import type { Vcpu } from '../vcpu.ts';
import { type ShadowVm, shadowOf } from './state.ts';

/** Writes without use after which a table is taken for something else. */
const FLOODED = 3;

/** Carries out the store that the guest offers at `gpa`; false: its page is leaving, try again. */
export function* trackedStore(cpu: Context, v: Vcpu, vm: ShadowVm, gpa: number): Routine<boolean> {
  const gfn = Math.floor(gpa / FRAME_BYTES);
  const { top } = v.active.guest;
  const isFill = top.act.op === Instruction.zeroFrame;
  const offset = isFill ? nextWord(v, vm, gfn) * 8 : gpa % FRAME_BYTES;
  const zapped = nothingZapped();
  yield* writeLock(cpu, vm.lock, 'shadow.write.lock');
  const frame = (yield* isLeaving(cpu, vm.words, gfn)) ? -1 : yield* vm.backing.resident(cpu, gfn);
  if (frame >= 0) {
    const at = frame * FRAME_BYTES + offset;
    if (willStore(cpu, top.act, at)) {
      yield* commitZap(cpu, vm, zapped, yield* written(cpu, vm, gfn, offset / 8, zapped));
    }
    if (isFill) yield cpu.store(at, 0, 'shadow.write.fill');
    else completeActLike(top, yield cpu.sameAs(top.act, at, 'shadow.write.store'));
  }
  yield* writeUnlock(cpu, vm.lock, 'shadow.write.unlock');
  for (const gone of zapped.frames) vm.mmu.platform.frames.give(cpu, gone);
  return frame >= 0;
}

/** REP STOS is emulated word by word; once its page is no table any more it goes on natively. */
function nextWord(v: Vcpu, vm: ShadowVm, gfn: number): number {
  const own = shadowOf(vm, v);
  if (own.stos.gfn !== gfn) own.stos = { gfn, words: 0 };
  const word = own.stos.words % vm.mmu.entries;
  own.stos = { gfn, words: word + 1 };
  return word;
}

/** Under the lock: what mirrors the entry to be written goes; true if TLBs may hold it. */
function* written(
  cpu: Context,
  vm: ShadowVm,
  gfn: number,
  index: number,
  zapped: Zapped,
): Routine<boolean> {
  const { mmu } = vm;
  let isStale = false;
  for (const page of yield* mmu.pagesOf(cpu, gfn)) {
    const role = cpu.read(page + ShadowPage.at.role);
    if (Role.isDirect(role) || mmu.isObsolete(cpu, page)) continue;
    if (Role.level(role) > 0 && (yield* countWrite(cpu, page)) >= FLOODED) {
      yield* zapPage(cpu, mmu, page, zapped);
      continue;
    }
    cpu.spend(Unit.listElement, 1);
    if ((yield* zapEntry(cpu, mmu, { page, index })) === 'cached') isStale = true;
  }
  return isStale;
}

/** Under the lock: after this nobody uses what was zapped, and invalid roots are let go. */
export function* commitZap(
  cpu: Context,
  vm: ShadowVm,
  zapped: Zapped,
  isStale: boolean,
): Routine<void> {
  if (zapped.roots > 0) yield cpu.add(vm.reload, 1, 'shadow.zap.reload');
  if (isStale || zapped.pages > 0) yield* vm.tables.flush(cpu);
}
