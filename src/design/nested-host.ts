/** L0's part of `nested`: what it keeps for an L1 that runs guests of its own, and its exits. */

import type { PageRange } from '../hypervisor/mmu/common.ts';
import { ShadowMmu } from '../hypervisor/mmu/shadow/mmu.ts';
import { tryToUnsync } from '../hypervisor/mmu/shadow/unsync.ts';
import { zapReverse } from '../hypervisor/mmu/shadow/zap.ts';
import type { TdpMmu } from '../hypervisor/mmu/tdp/mmu.ts';
import { handleViolation } from '../hypervisor/mmu/tdp/violation.ts';
import { prepareRoot } from '../hypervisor/nested/entry.ts';
import { shadowFault } from '../hypervisor/nested/exits.ts';
import type { NestedSide } from '../hypervisor/nested/side.ts';
import type { NestedVcpu, NestedVm, ShadowedVm } from '../hypervisor/nested/state.ts';
import { svmSide } from '../hypervisor/nested/svm.ts';
import { ept12Tables } from '../hypervisor/nested/tables.ts';
import { trackedWrite } from '../hypervisor/nested/tracked-write.ts';
import { vmxSide } from '../hypervisor/nested/vmx.ts';
import { answerOwnerCalls } from '../hypervisor/owner.ts';
import type { ExitTable, Vm } from '../hypervisor/vcpu.ts';
import type { GuestContext } from '../machine/guest.ts';
import type { Machine } from '../machine/machine.ts';
import { num, type Routine } from '../runtime/act.ts';
import type { Context } from '../runtime/context.ts';
import { lock, type Spinlock, spinlock, unlock } from '../sync/spinlock.ts';
import { addVcpus, blocksOf } from './host.ts';
import type { Axes } from './system.ts';
import { hostExits, tdpOwner } from './tdp.ts';

/** An L1 as L0 sees it: its VM, with EPT01, and its vCPUs. */
export interface HostedL1 {
  readonly vm: Vm;
  readonly mmu: TdpMmu;
  readonly contexts: readonly GuestContext[];
  /** Number of L1 pages. */
  readonly pages: number;
}

function sideOf(machine: Machine): NestedSide {
  return machine.vendor.id === 'amd' ? svmSide : vmxSide;
}

/** `frame`: gives one for what a vCPU keeps for nesting; one that stays for ever unless given. */
export function nestedVm(
  machine: Machine,
  l1: HostedL1,
  axes: Axes,
  frame: () => number = () => l1.vm.platform.arena.frames(1),
): ShadowedVm {
  const host = l1.vm.platform;
  const shadow = new ShadowMmu({
    platform: host,
    format: machine.translator.nestedStage,
    backing: l1.mmu.backing,
    memory: [{ first: 0, end: l1.pages }],
    header: axes['unsync'] === 'on' ? 'full' : 'small',
  });
  const vm: ShadowedVm = {
    ...entryOptions(machine, axes),
    tdp: l1.mmu,
    stage: {
      prepare: (cpu, v) => prepareRoot(cpu, v, vm),
      fault: (cpu, v, fault) => shadowFault(cpu, v, vm, fault),
    },
    shadow,
    tables: ept12Tables(l1.mmu, shadow),
    storeFlush: axes['storeflush'] === 'now' ? 'now' : 'lazy',
    unflushed: host.arena.take(64),
    rootGeneration: host.arena.take(64),
    unsyncLock: shadow.header === 'full' ? spinlock(host.arena.take(64), 'l0.unsync') : undefined,
    vcpus: l1.contexts.map(() => nestedVcpu(frame)),
  };
  watchTables(l1.mmu, vm);
  l1.mmu.alsoZap = (cpu, range) => zapShadowOf(cpu, vm, range);
  return vm;
}

/** How L1's entries and exits are emulated, by the axes that say so. */
export function entryOptions(
  machine: Machine,
  axes: Axes,
): Pick<NestedVm, 'side' | 'vmcsShadowing' | 'virtualGif'> {
  return {
    side: sideOf(machine),
    vmcsShadowing: axes['vmcs'] !== 'trapped',
    virtualGif: axes['svm'] !== 'trapped',
  };
}

export function nestedVcpu(frame: () => number): NestedVcpu {
  return {
    cached: frame(),
    shadowVmcs: frame(),
    vmcs02: frame(),
    block12: 0,
    dirty: true,
    invalidated: false,
    root: 0,
    rootTable: 0,
    rootGfn: 0,
    rootGeneration: 0,
    running: undefined,
  };
}

/** Which of L1's pages EPT01 must not let it write to: tables that the shadow mirrors. */
function watchTables(mmu: TdpMmu, vm: ShadowedVm): void {
  const { shadow, unsyncLock } = vm;
  if (unsyncLock === undefined) {
    mmu.isTracked = (cpu, gfn) => shadow.isTracked(cpu, gfn);
    mmu.withholdsWrite = mmu.isTracked;
    return;
  }
  mmu.isTracked = (cpu, gfn) => isUpperTable(cpu, shadow, gfn);
  mmu.withholdsWrite = (cpu, gfn) => withholds(cpu, shadow, unsyncLock, gfn);
}

function* isUpperTable(cpu: Context, shadow: ShadowMmu, gfn: number): Routine<boolean> {
  return (yield* shadow.countOf(cpu, gfn)).upper > 0;
}

/** Faults hold the mmu_lock for reading only, so a lock of its own keeps their marks whole. */
function* withholds(
  cpu: Context,
  shadow: ShadowMmu,
  marks: Spinlock,
  gfn: number,
): Routine<boolean> {
  const { leaf, upper } = yield* shadow.countOf(cpu, gfn);
  if (leaf === 0 || upper > 0) return upper > 0;
  yield* lock(cpu, marks, 'unsync.lock');
  const answer = yield* tryToUnsync(cpu, shadow, gfn, 'fault');
  yield* unlock(cpu, marks, 'unsync.unlock');
  return answer === 'refused';
}

/** The host takes pages of L1: what the shadow maps of them goes too, and any flush still owed. */
function* zapShadowOf(cpu: Context, vm: ShadowedVm, range: PageRange): Routine<boolean> {
  let removed = num(yield cpu.exchange(vm.unflushed, 0, 'nested.owed-flush')) !== 0;
  for (let gfn = range.first; gfn < range.end; gfn++) {
    if ((yield* zapReverse(cpu, vm.shadow, gfn)) === 'cached') removed = true;
  }
  return removed;
}

/** What L0 does about exits of L1. */
export function l1Exits(l1: HostedL1, vm: ShadowedVm): ExitTable {
  const violation = handleViolation(l1.mmu, (cpu, v, gpa) => trackedWrite(cpu, v, gpa, vm));
  const own = hostExits(violation, answerOwnerCalls(tdpOwner(l1.mmu)));
  return new Map([...own, ...vm.side.instructions(vm)]);
}

/** One vCPU of L0 for each of L1's contexts, with a VMCS02 for what that one runs. */
export function addNestedVcpus(
  l1: HostedL1,
  vm: NestedVm,
  exits: ExitTable,
  virtualIpis: boolean,
): void {
  addVcpus(l1.vm, l1.contexts, blocksOf(l1.mmu, 1, virtualIpis), exits);
  l1.vm.vcpus.forEach((v) => {
    vm.side.prepareBlock(l1.vm.platform.boot, vm, v);
  });
}
