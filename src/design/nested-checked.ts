/**
 * L0's part of `nested` for exploration: run loop, emulated VMX, shadow and host invalidation are
 * the product's code; L1 is the most general one (nested-general-l1.ts) on vCPUs of its own. The
 * guest programs are those of L2; a thread of the host does what hosts do, or stands for a vCPU of
 * L1 that does one of L1's acts (`l1.…`), with every exit that this takes.
 */

import { type Ending, nestedEnded, nestedFrames } from '../check/invariant/nested-frames.ts';
import { nestedPromises } from '../check/invariant/nested-promises.ts';
import { type NestedParts, nestedMisuse } from '../check/invariant/nested-use.ts';
import { AnonymousBacking } from '../hypervisor/backing/anonymous.ts';
import { answerCalls } from '../hypervisor/flush/request-kick.ts';
import type { PageRange } from '../hypervisor/mmu/common.ts';
import { TdpMmu } from '../hypervisor/mmu/tdp/mmu.ts';
import { premap } from '../hypervisor/mmu/tdp/premap.ts';
import { tdpRemoveTables } from '../hypervisor/mmu/tdp/remove.ts';
import { tdpUnmap } from '../hypervisor/mmu/tdp/zap.ts';
import { prepareRoot, runningL2 } from '../hypervisor/nested/entry.ts';
import { shadowFault } from '../hypervisor/nested/exits.ts';
import type { ShadowedVm } from '../hypervisor/nested/state.ts';
import { nestedTeardown } from '../hypervisor/nested/teardown.ts';
import { vcpuThread } from '../hypervisor/run-loop.ts';
import type { Vm } from '../hypervisor/vcpu.ts';
import { PROMISED, type Spaces } from '../machine/explored/adversary.ts';
import type { GuestContext } from '../machine/guest.ts';
import { Instruction, VECTOR_CALL, VECTOR_KICK } from '../machine/instruction.ts';
import type { Machine } from '../machine/machine.ts';
import type { Routine } from '../runtime/act.ts';
import type { Context } from '../runtime/context.ts';
import { runAtBoot } from './boot.ts';
import { buildGuestVm } from './guest-vm.ts';
import { attachRcu, nothing } from './host.ts';
import { likenessesOf } from './likeness.ts';
import {
  behind,
  GeneralL1,
  L1_PAGES,
  L1_TABLES,
  L2_PAGES,
  ROOT_A,
  ROOT_B,
} from './nested-general-l1.ts';
import { addNestedVcpus, type HostedL1, l1Exits, nestedVm } from './nested-host.ts';
import { type L1Side, svmL1, vmxL1 } from './nested-l1-side.ts';
import { throughGuest } from './promised.ts';
import {
  type Axes,
  type Checked,
  type Demand,
  FRESH,
  hostPlatform,
  type Operation,
  type System,
} from './system.ts';
import { poolOf } from './tdp.ts';

export { L1_GEOMETRY } from './nested-general-l1.ts';

const ALL_L1: PageRange = { first: 0, end: L1_PAGES };

const TEARDOWN = 'teardown';
/** What acts of L1 are called begins so. */
const L1_ACTS = 'l1.';
/** A mode word whose thread has ended. */
const ENDED = 2 ** 32;

/** A VMCS belongs to the thread of its vCPU. */
const VMCS_ACTS = [
  Instruction.vmread,
  Instruction.vmwrite,
  Instruction.vmptrld,
  Instruction.copyFields,
];

interface Parts {
  readonly machine: Machine;
  readonly l1: HostedL1;
  readonly vm: ShadowedVm;
  readonly general: GeneralL1;
  readonly side: L1Side;
  readonly l2: readonly GuestContext[];
  readonly ending: Ending;
}

export function buildNestedHost(machine: Machine, demand: Demand, axes: Axes): System {
  const guest = buildGuestVm(machine, demand, 2);
  guest.contexts.forEach((context, i) => {
    context.homeCpu = i;
  });
  const l1 = hostedL1(machine);
  const { frames, boot, arena } = l1.vm.platform;
  const vm = nestedVm(machine, l1, axes, () => frames.reserve(boot, 1));
  addNestedVcpus(l1, vm, l1Exits(l1, vm), false);
  l1.mmu.rcu = attachRcu(l1.vm.platform, [l1.vm]);
  const side = machine.vendor.id === 'amd' ? svmL1 : vmxL1;
  const general = new GeneralL1(machine.translator.nestedStage, side);
  general.install(machine, l1.mmu.backing);
  const ending = { begun: arena.take(64), torn: arena.take(64) };
  const parts = { machine, l1, vm, general, side, l2: guest.contexts, ending };
  warmUp(parts);
  for (const i of guest.contexts.keys()) startInL2(parts, i);
  startL0(parts);
  return {
    machine,
    environments: guest.environments,
    hostInvalidate: function* none(): Routine<void> {
      // explorations name their operations
    },
    memory: () => ({ tableBytes: 0, bookBytes: 0 }),
    checked: checkedNested(parts),
  };
}

/** L1's VM: a vCPU on every CPU, all its memory mapped. */
function hostedL1(machine: Machine): HostedL1 {
  const host = hostPlatform(machine);
  const vm: Vm = { name: 'l1', platform: host, vcpus: [] };
  const mmu = new TdpMmu({
    vm,
    format: machine.translator.secondStage,
    backing: new AnonymousBacking(host, [{ base: 0, pages: L1_PAGES }]),
    lockClass: 'l0.mmu',
    faultLock: 'read',
  });
  // L1 has written its tables; that L2 writes to what is behind its pages only L0 knows.
  premap(machine.memory, mmu, { first: 0, end: behind(0) });
  premap(machine.memory, mmu, { first: behind(0), end: L1_PAGES }, 'clean');
  const contexts = machine.cpus.map((_, i) => {
    const context = machine.guest(1, `l1.${i}`);
    context.seat = i;
    return context;
  });
  for (const context of contexts) context.siblings = contexts;
  return { vm, mmu, contexts, pages: L1_PAGES };
}

/** Spares of every CPU, so that allocation is not what interleaves. */
function warmUp({ machine, l1, vm }: Parts): void {
  for (const { id } of machine.cpus) {
    runAtBoot(machine, function* topUp(me): Routine<void> {
      me.seat = id;
      yield* l1.mmu.topUp(me);
      yield* vm.shadow.topUp(me);
    });
  }
}

/** vCPU `i` has just begun its emulated entry: L2 is what it runs, under root A. */
function startInL2({ machine, l1, vm, general, side, l2 }: Parts, i: number): void {
  const v = l1.vm.vcpus[i]!;
  const nested = vm.vcpus[i]!;
  const context = l1.contexts[i]!;
  context.push(general.run(context, l2[i]!));
  context.advance();
  side.installBlock(machine, l1.mmu.backing, i, ROOT_A);
  machine.memory.write(side.rootWord(nested.cached), side.rootText(ROOT_A));
  nested.block12 = side.blockOf(i);
  nested.dirty = false;
  nested.running = runningL2(vm, l2[i]!, nested.vmcs02);
  v.active = nested.running;
}

/** Threads of the vCPUs that have an L2; the others run when an operation says so. */
function startL0({ machine, l1, l2 }: Parts): void {
  const { vcpus } = l1.vm;
  l2.forEach((_, i) => {
    machine.hostThread(i, `vcpu.${i}`, (me) => vcpuThread(me, vcpus[i]!, nothing()));
  });
  machine.hostVectors.set(VECTOR_CALL, (cpu, host) => answerCalls(host, vcpus[cpu.id]!));
  machine.hostVectors.set(VECTOR_KICK, nothing);
}

function checkedNested(parts: Parts): Checked {
  const { machine, l1, vm, general, side } = parts;
  const { platform } = l1.vm;
  const pool = { name: platform.name, ...poolOf(platform.frames) };
  const asked: NestedParts = {
    vm,
    pool,
    l1Pages: L1_PAGES,
    l2Pages: L2_PAGES,
    rootWord: side.rootWord,
    spaceOf,
  };
  return {
    roots: [l1.mmu.root],
    operations: { ...hostOperations(parts), ...l1Operations(parts) },
    premap: (range) => fillShadow(parts, range),
    pools: [pool],
    misuse: () => undefined,
    exclusive: false,
    freeHanded: [],
    privates: (hart) => [l1.vm.vcpus[hart]!, vm.vcpus[hart]!],
    promises: [
      ...nestedPromises(asked),
      nestedFrames(vm, L1_PAGES, parts.ending),
      nestedEnded(vm, L1_PAGES, parts.ending),
    ],
    begin: (threads) => withoutThreads(parts, threads),
    structures: platform.arena.placed,
    spaces: spacesOf(machine, l1),
    judgeUse: (view, use) => nestedMisuse(view, asked, use),
    asked: Object.keys(general.asked),
    repeated: ['mmu.seq', 'l1.zero'],
    silent: [...VMCS_ACTS, ...FRESH],
    likenesses: likenessesOf(l1.vm, l1.mmu.rcu === undefined ? [] : [l1.mmu.rcu], l1.mmu.lock),
  };
}

/**
 * A vCPU on a CPU of the host's threads is run by those that do something of L1; no thread runs the
 * others: a teardown does not wait for them. (Where there is none, nobody asks.)
 */
function withoutThreads({ machine, l1, l2 }: Parts, threads: readonly (readonly string[])[]): void {
  if (!threads.flat().includes(TEARDOWN)) return;
  for (const [i, steps] of threads.entries()) {
    if (steps.some((step) => step.startsWith(L1_ACTS))) continue;
    machine.memory.write(l1.vm.vcpus[l2.length + i]!.mode, ENDED);
  }
}

function* teardown(cpu: Context, { vm, ending }: Parts): Routine<void> {
  if (yield* nestedTeardown(cpu, vm, ending.begun)) yield cpu.store(ending.torn, 1, 'host.torn');
}

function hostOperations(parts: Parts): Record<string, Operation> {
  const { l1 } = parts;
  const placesOf = ({ first, end }: PageRange): PageRange[] => [
    { first: behind(first), end: behind(end) },
  ];
  return {
    unmap: (cpu, range) => tdpUnmap(cpu, l1.mmu, placesOf(range), 'free'),
    invalidate: (cpu, range) => tdpUnmap(cpu, l1.mmu, placesOf(range), 'keep'),
    'invalidate-tables': (cpu) => tdpUnmap(cpu, l1.mmu, [L1_TABLES], 'keep'),
    'remove-l1-tables': (cpu) => tdpRemoveTables(cpu, l1.mmu, ALL_L1),
    [TEARDOWN]: (cpu) => teardown(cpu, parts),
  };
}

/** The thread runs the vCPU of its CPU until L1 has done what it is to do. */
function l1Operations({ l1, general }: Parts): Record<string, Operation> {
  const entries = Object.keys(general.operations).map((name): [string, Operation] => {
    const operation = (cpu: Context, range: PageRange): Routine<void> => {
      const context = l1.contexts[cpu.cpu]!;
      context.push(general.perform(context, name, range));
      return vcpuThread(cpu, l1.vm.vcpus[cpu.cpu]!, nothing());
    };
    return [`${L1_ACTS}${name}`, operation];
  });
  return Object.fromEntries(entries);
}

/**
 * Fills the shadow for a range, as if L2 had used it on every vCPU that has one, or, if none has
 * one now, on the first; root B was used as well.
 */
function fillShadow(parts: Parts, range: PageRange): void {
  const { machine, l1, vm, side, l2 } = parts;
  for (const i of l2.length > 0 ? l2.keys() : [0]) {
    const v = l1.vm.vcpus[i]!;
    const useRoot = (root: number): void => {
      machine.memory.write(side.rootWord(vm.vcpus[i]!.cached), side.rootText(root));
    };
    useRoot(ROOT_B);
    runAtBoot(machine, (me) => prepareRoot(me, v, vm));
    useRoot(ROOT_A);
    runAtBoot(machine, function* fill(me): Routine<void> {
      yield* prepareRoot(me, v, vm);
      for (let gfn = range.first; gfn < range.end; gfn++) {
        yield* shadowFault(me, v, vm, { gfn, access: 'write' });
      }
    });
    vm.vcpus[i]!.invalidated = false;
  }
  for (const v of l1.vm.vcpus) machine.memory.write(v.requests, 0); // nobody ran: nothing to flush
  warmUp(parts);
}

// --- spaces --------------------------------------------------------------------------------------

/** The promised space of an EPT12 root, by its L1 page. */
function spaceOf(root: number): number {
  return PROMISED + root;
}

/** EPT01, any EPT02, and what L1's tables say, wherever they lie. */
function spacesOf(machine: Machine, l1: HostedL1): Spaces {
  const { secondStage, nestedStage } = machine.translator;
  const { memory } = machine;
  const { backing } = l1.mmu;
  const frames = Array.from({ length: L1_PAGES }, (_, gfn) => backing.peekFrame(memory, gfn));
  const ofL1 = throughGuest(nestedStage, frames);
  const ept01 = { root: l1.mmu.root, format: secondStage, pages: L1_TABLES };
  return {
    fixed: [l1.mmu.root],
    promised: [spaceOf(ROOT_A), spaceOf(ROOT_B)],
    of: (space) => {
      if (space === l1.mmu.root) return ept01;
      if (space >= PROMISED) return { root: frames[space - PROMISED]!, format: ofL1 };
      return { root: space, format: nestedStage };
    },
  };
}
