/**
 * Around L0's entries of L2: the root of the shadow must be that of L1's tables, and interrupts for
 * L1 come first. The same whether VMX or SVM is emulated (`NestedSide`).
 */

import type { GuestContext } from '../../machine/guest.ts';
import { acceptInterrupts } from '../../machine/instruction.ts';
import { num, type Routine } from '../../runtime/act.ts';
import type { Context } from '../../runtime/context.ts';
import { writeLock, writeUnlock } from '../../sync/rwlock.ts';
import { flushRemote } from '../flush/request-kick.ts';
import { findOrMake } from '../mmu/shadow/fetch.ts';
import { ShadowPage } from '../mmu/shadow/page.ts';
import { isOutOfStep, syncChildren } from '../mmu/shadow/sync.ts';
import type { Running, Vcpu } from '../vcpu.ts';
import { l2Exits } from './exits.ts';
import { protectTables } from './protect.ts';
import { type NestedVcpu, type NestedVm, nestedOf, type ShadowedVm } from './state.ts';

export function runningL2(vm: NestedVm, guest: GuestContext, block: number): Running {
  return {
    guest,
    block,
    exits: l2Exits(vm),
    prepare: (cpu, v) => vm.stage.prepare(cpu, v),
    beforeEntry: (cpu, v) => beforeL2(cpu, v, vm),
    afterExit: undefined,
  };
}

/** The root of the shadow must be that of EPT12 now, and still exist. */
export function* prepareRoot(cpu: Context, v: Vcpu, vm: ShadowedVm): Routine<void> {
  const nested = nestedOf(vm, v);
  const gfn = vm.side.rootOf(cpu, nested);
  const generation = num(yield cpu.load(vm.rootGeneration, 'nested.root.generation'));
  if (nested.root !== 0 && nested.rootGfn === gfn && nested.rootGeneration === generation) return;
  nested.rootGeneration = generation;
  yield* loadRoot(cpu, v, vm, nested, gfn);
}

/**
 * Interrupts for L1 come first; then the flush that L1's INVEPT asked for. A root that ceases to be
 * after `prepareRoot` comes with a flush request, which the run loop sees after this.
 */
function* beforeL2(cpu: Context, v: Vcpu, vm: NestedVm): Routine<boolean> {
  const nested = nestedOf(vm, v);
  const l1 = v.own.guest;
  if (l1.posted !== 0) yield acceptInterrupts(cpu, l1, 'nested.entry.posted');
  if (l1.apic.deliverable !== 0) {
    yield* vm.side.reflectInterrupt(cpu, v, vm);
    return true;
  }
  if (nested.invalidated) {
    nested.invalidated = false;
    yield v.virt.flushRoot(cpu, v, nested.rootTable, 'nested.entry.flush');
  }
  return false;
}

/** Finds or makes the SP that mirrors EPT12's root, under the lock of L1's VM. */
function* loadRoot(
  cpu: Context,
  v: Vcpu,
  vm: ShadowedVm,
  nested: NestedVcpu,
  gfn: number,
): Routine<void> {
  const { tdp, shadow } = vm;
  yield* shadow.topUp(cpu);
  // What hardware has cached under another root was not dropped by the INVEPTs of L1 since then.
  if (nested.rootGfn !== 0 && nested.rootGfn !== gfn) nested.invalidated = true;
  yield* writeLock(cpu, tdp.lock, 'nested.root.lock');
  const top = shadow.format.geometry.levels - 1;
  const { page, made } = yield* findOrMake(cpu, shadow, vm.tables, gfn, top);
  if (made && (yield* protectTables(cpu, tdp, [gfn]))) yield* flushRemote(cpu, v.vm);
  // What L1 has written to without an exit: from here on L2 uses it as it is now.
  if (shadow.header === 'full' && !made && (yield* isOutOfStep(cpu, page))) {
    yield* syncChildren(cpu, shadow, vm.tables, page);
  }
  const table = cpu.read(page + ShadowPage.at.table); // without the lock the SP may cease to be
  yield* writeUnlock(cpu, tdp.lock, 'nested.root.unlock');
  nested.root = page;
  nested.rootTable = table;
  nested.rootGfn = gfn;
  vm.side.useRoot(cpu, nested, table, shadow.format.geometry.levels);
}
