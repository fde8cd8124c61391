/**
 * Roots of a vCPU: the one it runs on and up to three before it, so that a switch between address
 * spaces finds its shadow again; and what a load of CR3 or an INVLPG asks of them.
 *
 * Source: arch/x86/kvm/mmu/mmu.c, fast_pgd_switch, kvm_mmu_load, kvm_mmu_sync_roots,
 * kvm_mmu_invalidate_addr; x86.c, kvm_set_cr3, kvm_invalidate_pcid (facts; primer/x86.md 3.2).
 */
import { indexAt } from '../../machine/format/format.ts';
import { invvpid, vmwrite } from '../../machine/instruction.ts';
import { FRAME_BYTES } from '../../machine/memory.ts';
import { Unit } from '../../machine/preset/price.ts';
import { Field, fieldAt } from '../../machine/vmcs.ts';
import { num, type Routine } from '../../runtime/act.ts';
import type { Context } from '../../runtime/context.ts';
import { writeLock, writeUnlock } from '../../sync/rwlock.ts';
import { findOrMake } from '../mmu/shadow/fetch.ts';
import { clearWrites } from '../mmu/shadow/flooding.ts';
import { targetIn } from '../mmu/shadow/mmu.ts';
import { ACCESS_ALL, Role, ShadowPage, StateAt } from '../mmu/shadow/page.ts';
import { isOutOfStep, syncChildren, syncEntry } from '../mmu/shadow/sync.ts';
import { dropRoot, nothingZapped } from '../mmu/shadow/zap-page.ts';
import type { Vcpu } from '../vcpu.ts';
import { NO_ROOT, type ShadowRoot, type ShadowVm, shadowOf } from './state.ts';

/** What CR3 names: a guest frame (-1: no paging) and the tag beside it. */
export interface Cr3 {
  readonly gfn: number;
  readonly pcid: number;
}

/**
 * MOV to CR3 of the guest. Without `keep` the tag's translations must be as of now from here on.
 */
export function* switchRoot(
  cpu: Context,
  v: Vcpu,
  vm: ShadowVm,
  cr3: Cr3,
  keep: boolean,
): Routine<void> {
  const own = shadowOf(vm, v);
  const isSame = own.root.gfn === cr3.gfn && own.root.pcid === cr3.pcid;
  if (!isSame && !takePrevious(cpu, own, cr3)) {
    const last = own.previous.pop()!;
    own.previous.unshift(own.root);
    own.root = NO_ROOT;
    yield* giveUp(cpu, vm, [last]);
    yield* loadRoot(cpu, v, vm, cr3);
  }
  if (own.root.page !== 0) yield clearWrites(cpu, own.root.page);
  if (keep) return;
  own.needsSync = true;
  own.needsFlush = true;
  if (cr3.pcid === 0) return; // without tags every load flushes, and syncs when it comes
  const stale = own.previous.filter((root) => root.page !== 0 && root.pcid === cr3.pcid);
  for (const root of stale) own.previous[own.previous.indexOf(root)] = NO_ROOT;
  yield* giveUp(cpu, vm, stale);
}

/** Makes a root of before the present one, which takes the place of the latest before. */
function takePrevious(cpu: Context, own: ReturnType<typeof shadowOf>, cr3: Cr3): boolean {
  for (const [i, root] of own.previous.entries()) {
    cpu.spend(Unit.listElement, 1);
    if (root.page === 0 || root.gfn !== cr3.gfn || root.pcid !== cr3.pcid) continue;
    own.previous.splice(i, 1);
    own.previous.unshift(own.root);
    own.root = root;
    return true;
  }
  return false;
}

/** Finds or makes the SP of a root, and has hardware walk it from the next entry on. */
export function* loadRoot(cpu: Context, v: Vcpu, vm: ShadowVm, cr3: Cr3): Routine<void> {
  const { mmu } = vm;
  const own = shadowOf(vm, v);
  const top = mmu.format.geometry.levels - 1;
  yield* mmu.topUp(cpu);
  yield* writeLock(cpu, vm.lock, 'shadow.root.lock');
  const kind = cr3.gfn < 0 ? 'direct' : 'mirror';
  const role = Role.of(vm.mode, top, kind, ACCESS_ALL);
  const gfn = Math.max(cr3.gfn, 0);
  const { page, made } = yield* findOrMake(cpu, mmu, vm.tables, gfn, role);
  if (made && kind === 'mirror' && (yield* vm.tables.protect(cpu, [gfn]))) {
    yield* vm.tables.flush(cpu);
  }
  cpu.write(page + StateAt.roots, cpu.read(page + StateAt.roots) + 1);
  if (yield* isOutOfStep(cpu, page)) yield* syncChildren(cpu, mmu, vm.tables, page);
  const table = cpu.read(page + ShadowPage.at.table);
  yield* writeUnlock(cpu, vm.lock, 'shadow.root.unlock');
  own.root = { page, table, ...cr3 };
  own.needsFlush = true; // what the CPU has cached under this tag is of another root
}

/** Before an entry: roots that are gone are let go, the present one is there and in step. */
export function* prepareRoot(cpu: Context, v: Vcpu, vm: ShadowVm): Routine<void> {
  const own = shadowOf(vm, v);
  const reload = num(yield cpu.load(vm.reload, 'shadow.root.reload'));
  if (reload !== own.reloaded) {
    own.reloaded = reload;
    yield* giveUpObsolete(cpu, v, vm);
  }
  if (own.root.page === 0) yield* loadRoot(cpu, v, vm, cr3Of(v));
  if (own.needsSync) {
    own.needsSync = false;
    yield* syncRoot(cpu, vm, own.root.page);
  }
  const cr3 = own.root.table * FRAME_BYTES;
  if (cpu.read(fieldAt(v.own.block, Field.guestCr3)) !== cr3) {
    if (v.loaded !== v.own.block) {
      yield v.virt.load(cpu, v.own.block, 'shadow.root.load-vmcs');
      v.loaded = v.own.block;
    }
    yield vmwrite(cpu, Field.guestCr3, cr3, 'shadow.root.cr3');
  }
  if (!own.needsFlush) return;
  own.needsFlush = false;
  yield invvpid(cpu, cpu.read(fieldAt(v.own.block, Field.vpid)), 'shadow.root.flush');
}

export function cr3Of(v: Vcpu): Cr3 {
  const { cr3, pcid } = v.own.guest.regime;
  return cr3 === 0 ? { gfn: -1, pcid: 0 } : { gfn: cr3, pcid };
}

/** What the guest may use after a flush of its own is as of the flush. */
function* syncRoot(cpu: Context, vm: ShadowVm, root: number): Routine<void> {
  if (!(yield* isOutOfStep(cpu, root))) return;
  yield* vm.mmu.topUp(cpu);
  yield* writeLock(cpu, vm.lock, 'shadow.sync.lock');
  if (!vm.mmu.isObsolete(cpu, root)) yield* syncChildren(cpu, vm.mmu, vm.tables, root);
  yield* writeUnlock(cpu, vm.lock, 'shadow.sync.unlock');
}

/** INVLPG of the guest: the entries for the page, under every root of this vCPU. */
export function* syncPageOf(cpu: Context, v: Vcpu, vm: ShadowVm, page: number): Routine<void> {
  const own = shadowOf(vm, v);
  yield* writeLock(cpu, vm.lock, 'shadow.invlpg.lock');
  for (const root of [own.root, ...own.previous]) {
    if (root.page === 0 || root.gfn < 0 || vm.mmu.isObsolete(cpu, root.page)) continue;
    yield* syncBelow(cpu, vm, root.page, page);
  }
  yield* writeUnlock(cpu, vm.lock, 'shadow.invlpg.unlock');
}

function* syncBelow(cpu: Context, vm: ShadowVm, root: number, page: number): Routine<void> {
  const { mmu, tables } = vm;
  const { geometry } = mmu.format;
  let at = root;
  for (let level = geometry.levels - 1; level >= 0; level--) {
    cpu.spend(Unit.levelWalked, 1);
    const of = { page: at, index: indexAt(geometry, page, level) };
    if (num(yield cpu.load(at + StateAt.unsync, 'shadow.invlpg.unsync')) !== 0) {
      if (yield* syncEntry(cpu, mmu, tables, of)) yield* tables.flush(cpu);
    }
    if (num(yield cpu.load(at + StateAt.unsyncChildren, 'shadow.invlpg.below')) === 0) return;
    at = targetIn(cpu.read(mmu.mapped(cpu, of)));
    if (at < 0) return;
  }
}

function* giveUpObsolete(cpu: Context, v: Vcpu, vm: ShadowVm): Routine<void> {
  const own = shadowOf(vm, v);
  const gone: ShadowRoot[] = [];
  yield* writeLock(cpu, vm.lock, 'shadow.obsolete.lock');
  if (own.root.page !== 0 && vm.mmu.isObsolete(cpu, own.root.page)) {
    gone.push(own.root);
    own.root = NO_ROOT;
  }
  for (const [i, root] of own.previous.entries()) {
    if (root.page === 0 || !vm.mmu.isObsolete(cpu, root.page)) continue;
    gone.push(root);
    own.previous[i] = NO_ROOT;
  }
  yield* writeUnlock(cpu, vm.lock, 'shadow.obsolete.unlock');
  yield* giveUp(cpu, vm, gone);
}

/** This vCPU does not use these roots any more. */
export function* giveUp(cpu: Context, vm: ShadowVm, roots: readonly ShadowRoot[]): Routine<void> {
  if (roots.every(({ page }) => page === 0)) return;
  const zapped = nothingZapped();
  yield* writeLock(cpu, vm.lock, 'shadow.give-up.lock');
  for (const { page } of roots) if (page !== 0) yield* dropRoot(cpu, vm.mmu, page, zapped);
  if (zapped.frames.length > 0) yield* vm.tables.flush(cpu);
  yield* writeUnlock(cpu, vm.lock, 'shadow.give-up.unlock');
  for (const frame of zapped.frames) vm.mmu.platform.frames.give(cpu, frame);
}
