/**
 * Nested VM entry, emulated: checks, merging VMCS12 into VMCS02, the root of the shadow. Software
 * of L0 before a plain hardware entry.
 */

import type { GuestContext } from '../../machine/guest.ts';
import { acceptInterrupts, copyFields, invept, vmptrld } from '../../machine/instruction.ts';
import { Unit } from '../../machine/preset/price.ts';
import { eptp, Field, fieldAt } from '../../machine/vmcs.ts';
import { num, type Routine } from '../../runtime/act.ts';
import type { Context } from '../../runtime/context.ts';
import { writeLock, writeUnlock } from '../../sync/rwlock.ts';
import { retire } from '../emulate.ts';
import { flushRemote } from '../flush/request-kick.ts';
import { findOrMake } from '../mmu/shadow/fetch.ts';
import { ShadowPage } from '../mmu/shadow/page.ts';
import { isOutOfStep, syncChildren } from '../mmu/shadow/sync.ts';
import type { Running, Vcpu } from '../vcpu.ts';
import { l2Exits } from './exits.ts';
import { CHECKS, ENTRY_ALWAYS, ENTRY_RARE, SHADOWED_WRITABLE } from './fields.ts';
import { protectTables } from './protect.ts';
import { reflect } from './reflect.ts';
import { type NestedVcpu, type NestedVm, nestedOf } from './state.ts';

const FRAME_BYTES = 4096;
/** What L1's VM entry yields if a control of VMCS12 is refused (VMfailValid). */
const VM_FAIL = 1;

/** L1 executed VMLAUNCH or VMRESUME. */
export function* nestedEntry(cpu: Context, v: Vcpu, vm: NestedVm): Routine<void> {
  const nested = nestedOf(vm, v);
  const l2 = v.own.guest.top.act.operand as GuestContext;
  cpu.spend(Unit.controlChecked, CHECKS);
  if (!vm.tdp.backing.has(rootOf(cpu, nested))) return yield* retire(cpu, v, VM_FAIL);
  if (vm.vmcsShadowing) {
    yield vmptrld(cpu, nested.shadowVmcs, 'nested.in.shadow');
    const copy = { fields: SHADOWED_WRITABLE, from: nested.shadowVmcs, to: nested.cached };
    yield copyFields(cpu, copy, 'nested.in');
  }
  yield vmptrld(cpu, nested.vmcs02, 'nested.entry.vmcs02');
  v.loaded = nested.vmcs02;
  const fields = nested.dirty ? [...ENTRY_ALWAYS, ...ENTRY_RARE] : ENTRY_ALWAYS;
  nested.dirty = false;
  yield copyFields(cpu, { fields, from: nested.cached, to: nested.vmcs02 }, 'nested.merge');
  if (nested.running?.guest !== l2) nested.running = runningL2(vm, l2, nested.vmcs02);
  v.active = nested.running;
}

export function runningL2(vm: NestedVm, guest: GuestContext, block: number): Running {
  return {
    guest,
    block,
    exits: l2Exits(vm),
    prepare: (cpu, v) => prepareRoot(cpu, v, vm),
    beforeEntry: (cpu, v) => beforeL2(cpu, v, vm),
  };
}

/** L1 page of the root that VMCS12 names; flags beside it do not tell roots apart, as in a TLB. */
function rootOf(cpu: Context, nested: NestedVcpu): number {
  return Math.floor(cpu.read(fieldAt(nested.cached, Field.eptp)) / FRAME_BYTES);
}

/** The root of the shadow must be that of EPT12 now, and still exist. */
export function* prepareRoot(cpu: Context, v: Vcpu, vm: NestedVm): Routine<void> {
  const nested = nestedOf(vm, v);
  const gfn = rootOf(cpu, nested);
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
    yield* reflect(cpu, v, vm, { reason: 1, qualification: 0, guestPhysical: 0 });
    return true;
  }
  if (nested.invalidated) {
    nested.invalidated = false;
    yield invept(cpu, nested.rootTable, 'nested.entry.flush');
  }
  return false;
}

/** Finds or makes the SP that mirrors EPT12's root, under the lock of L1's VM. */
function* loadRoot(
  cpu: Context,
  v: Vcpu,
  vm: NestedVm,
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
  cpu.write(fieldAt(nested.vmcs02, Field.eptp), eptp(table, shadow.format.geometry.levels));
}
