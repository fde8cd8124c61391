/**
 * `shadow` for exploration: run loop, faults, emulated stores, roots, syncs and unmapping by the
 * host are the product's code; the guest is a kernel without anything else to do (shadow-guest.ts),
 * on tables of the smallest geometry. Every page that programs may use has two places.
 *
 * Leaves out: teardown, for what roots a vCPU uses only its own thread knows; guests without
 * paging, huge pages of the guest, PCIDs; data behind programs' pages.
 */
import { shadowPromises } from '../check/invariant/shadow-promises.ts';
import { type ShadowParts, shadowMisuse } from '../check/invariant/shadow-use.ts';
import type { View } from '../check/invariant/view.ts';
import type { PageRange } from '../hypervisor/mmu/common.ts';
import { shadowFault } from '../hypervisor/shadow/fault.ts';
import { prepareRoot } from '../hypervisor/shadow/roots.ts';
import { type ShadowVm, shadowOf } from '../hypervisor/shadow/state.ts';
import { shadowUnmap, shadowZapAllFast } from '../hypervisor/shadow/unmap.ts';
import { PROMISED, type Spaces } from '../machine/explored/adversary.ts';
import { USER, WRITE } from '../machine/format/judge.ts';
import { Instruction } from '../machine/instruction.ts';
import type { Machine } from '../machine/machine.ts';
import { FRAME_BYTES } from '../machine/memory.ts';
import type { Routine } from '../runtime/act.ts';
import type { Context } from '../runtime/context.ts';
import { isHeldForWrite } from '../sync/rwlock.ts';
import { runAtBoot } from './boot.ts';
import { likenessesOf } from './likeness.ts';
import { throughGuest } from './promised.ts';
import {
  GUEST_FRAMES,
  installGuest,
  kernelOf,
  LINEAR_PAGES,
  PROGRAM_PAGES,
  placeOf,
  ROOT_A,
  ROOT_B,
} from './shadow-guest.ts';
import { type Checked, FRESH, type Operation } from './system.ts';
import { poolOf } from './tdp.ts';

/** A VMCS belongs to the thread of its vCPU. */
const VMCS_ACTS = [Instruction.vmread, Instruction.vmwrite, Instruction.vmptrld];

/** Before anybody runs: all memory of the guest is resident, and its tables are in it. */
export function bootGuest(machine: Machine, vm: ShadowVm): void {
  const { memory } = machine;
  const { frames, cpus } = vm.mmu.platform;
  const first = frames.reserve(memory, GUEST_FRAMES);
  for (let gfn = 0; gfn < GUEST_FRAMES; gfn++) vm.backing.install(memory, gfn, first + gfn);
  installGuest(machine, vm.backing, vm.mmu.format);
  for (const v of vm.vm.vcpus) v.own.guest.regime.cr3 = ROOT_A;
  for (let seat = 0; seat < cpus; seat++) topUp(machine, vm, seat);
}

/** Spares of a CPU, so that allocation is not what interleaves. */
function topUp(machine: Machine, vm: ShadowVm, seat: number): void {
  runAtBoot(machine, (me) => vm.mmu.topUp(me), seat);
}

export function checkedShadow(machine: Machine, vm: ShadowVm): Checked {
  const { platform } = vm.vm;
  const pool = { name: platform.name, ...poolOf(platform.frames) };
  const parts: ShadowParts = {
    mmu: vm.mmu,
    guestPages: GUEST_FRAMES,
    linearPages: LINEAR_PAGES,
    pool,
    spaceOf: (root) => PROMISED + root,
  };
  return {
    roots: [],
    operations: {
      unmap: onPlaces((cpu, range) => shadowUnmap(cpu, vm, [range], 'free')),
      invalidate: onPlaces((cpu, range) => shadowUnmap(cpu, vm, [range], 'keep')),
      'zap-all-fast': (cpu) => shadowZapAllFast(cpu, vm),
    },
    kernel: kernelOf(vm.mmu.format),
    asked: Object.keys(kernelOf(vm.mmu.format).asked),
    premap: (range) => fillShadow(machine, vm, range),
    pools: [pool],
    misuse: () => undefined,
    exclusive: false,
    freeHanded: [],
    privates: (hart) => privatesOf(vm, hart),
    promises: shadowPromises(parts, { lock: vm.lock.at, isHeld: (view) => isWritten(view, vm) }),
    structures: platform.arena.placed,
    spaces: spacesOf(machine, vm),
    judgeUse: (view, use) => shadowMisuse(view, parts, use),
    repeated: ['mmu.seq'],
    silent: [...VMCS_ACTS, ...FRESH],
    likenesses: likenessesOf(vm.vm, [], vm.lock),
  };
}

/** What lies behind programs' pages, where the kernel has not moved them. */
function onPlaces(operation: Operation): Operation {
  return (cpu: Context, { first, end }: PageRange) =>
    operation(cpu, { first: placeOf(first), end: placeOf(Math.min(end, PROGRAM_PAGES)) });
}

function isWritten(view: View, { lock }: ShadowVm): boolean {
  return isHeldForWrite(view.read(lock.at));
}

function privatesOf(vm: ShadowVm, hart: number): readonly object[] {
  const v = vm.vm.vcpus[hart];
  if (v === undefined) return [];
  const own = shadowOf(vm, v);
  return [v, own, own.root, ...own.previous, own.stos];
}

/** As if the guest had written to a range on every vCPU. */
function fillShadow(machine: Machine, vm: ShadowVm, range: PageRange): void {
  for (const v of vm.vm.vcpus) {
    const fill = function* fill(me: Context): Routine<void> {
      yield* prepareRoot(me, v, vm);
      for (let page = range.first; page < range.end; page++) {
        const address = page * FRAME_BYTES;
        yield* shadowFault(me, v, vm, { address, access: WRITE, privilege: USER, code: 0 });
      }
    };
    runAtBoot(machine, fill, v.seat); // where its VMCS is loaded
  }
  for (const v of vm.vm.vcpus) {
    machine.memory.write(v.requests, 0); // nobody ran: nothing to flush
    topUp(machine, vm, v.seat);
  }
}

/** The shadow's roots, whichever there are, and what the guest's own tables say. */
function spacesOf(machine: Machine, vm: ShadowVm): Spaces {
  const { firstStage } = machine.translator;
  const frames = Array.from({ length: GUEST_FRAMES }, (_, gfn) =>
    vm.backing.peekFrame(machine.memory, gfn),
  );
  const ofGuest = throughGuest(firstStage, frames);
  return {
    fixed: [],
    promised: [PROMISED + ROOT_A, PROMISED + ROOT_B],
    of: (space) =>
      space >= PROMISED
        ? { root: frames[space - PROMISED]!, format: ofGuest }
        : { root: space, format: firstStage },
  };
}
