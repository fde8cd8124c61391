/**
 * The whole stack of KPOP for exploration: what `kpop` is composed of, both levels the product's
 * code, with L2 guests that have no kernel. L1 is warm: EPT01 maps all its memory, and every CPU
 * has frames at hand on both levels. A thread of the host takes pages of L1, or stands for a vCPU
 * of L1 that runs no L2 and does one of L1's acts (`l1.…`), with every exit that this takes.
 */
import { OwnerCall } from '../abi/owner.ts';
import { type KpopLevels, stackMisuse, stackPromises } from '../check/invariant/kpop-stack.ts';
import { hostView, Onlooker } from '../check/invariant/view.ts';
import { isReadOnly, l1gfnOf, SlotState, stateOf } from '../guest/l1/book/slot.ts';
import type { PageRange } from '../hypervisor/mmu/common.ts';
import { vcpuThread } from '../hypervisor/run-loop.ts';
import type { Spaces } from '../machine/explored/adversary.ts';
import type { Geometry } from '../machine/format/format.ts';
import type { GuestContext } from '../machine/guest.ts';
import { Instruction, vmcall } from '../machine/instruction.ts';
import type { Machine } from '../machine/machine.ts';
import { FRAME_BYTES } from '../machine/memory.ts';
import { num, type Routine } from '../runtime/act.ts';
import type { Context } from '../runtime/context.ts';
import { runAtBoot } from './boot.ts';
import { buildGuestVm, type GuestVm } from './guest-vm.ts';
import { nothing } from './host.ts';
import { kpop } from './kpop.ts';
import {
  composeKpop,
  type KpopStack,
  l1Thread,
  startL0,
  startL2,
  takeFromL1,
} from './kpop-parts.ts';
import { buildL1 } from './l1.ts';
import { likenessesOf } from './likeness.ts';
import {
  ASKED,
  type Axes,
  type Checked,
  type Demand,
  type Design,
  hostPlatform,
  type Operation,
  type System,
} from './system.ts';
import { poolOf, rangesOf } from './tdp.ts';

/** EPT01 of explorations: 32 pages below each of up to 32 leaf tables. */
const L1_GEOMETRY: Geometry = { levels: 2, indexBits: 5 };

const NOTHING: PageRange = { first: 0, end: 0 };

/** A VMCS belongs to the thread of its vCPU. */
const VMCS_ACTS = [
  Instruction.vmread,
  Instruction.vmwrite,
  Instruction.vmptrld,
  Instruction.copyFields,
];

/** Axes that L0, explored alone, is enough for, or that a few pages do not tell apart. */
const DEFAULTS: Axes = { lock: 'entry', book: 'xarray', shards: 'gib', batch: '1' };

export const kpopStack: Design = {
  ...kpop,
  id: 'kpop-stack',
  title: 'KPOP, both levels explored together',
  axes: { run: kpop.axes['run']!, flush: kpop.axes['flush']! },
  pages: ['4k'],
  leavesOut: [
    ...kpop.leavesOut,
    "reclaim of L1's own data, the general L1 (kpop), teardown, huge pages",
  ],
  isolates: 'whether the levels keep together what each keeps by itself',
  explored: { secondStage: L1_GEOMETRY },
  build(machine, demand, axes, conditions): System {
    const all = { ...DEFAULTS, ...axes };
    if (demand.barePages === undefined) return kpop.build(machine, demand, all, conditions);
    return buildStack(machine, demand, all);
  },
};

function buildStack(machine: Machine, demand: Demand, axes: Axes): System {
  const host = hostPlatform(machine);
  const guest = buildGuestVm(machine, demand, 2);
  const conditions = { l1: 'warm', apicv: 'off', pages: '4k' } as const;
  const l1 = buildL1(machine, host, demand, guest.memory, conditions);
  const stack = composeKpop(machine, l1, guest.memory, demand, axes);
  startL0(stack, false, (vm) => vm.vcpus.slice(0, demand.vcpus));
  for (const { id } of machine.cpus) warmUp(stack, id);
  startL2(stack, guest, askedOf(stack));
  return {
    machine,
    environments: guest.environments,
    hostInvalidate: function* none(): Routine<void> {
      // explorations name their operations
    },
    memory: () => ({ tableBytes: 0, bookBytes: 0 }),
    checked: checkedStack(stack, guest),
  };
}

// --- before anybody runs -------------------------------------------------------------------------

/** Frames at hand on a CPU, in both levels, so that allocation is not what interleaves. */
function warmUp(stack: KpopStack, id: number): void {
  const { machine, l1, vm } = stack;
  runAtBoot(
    machine,
    function* topUp(me): Routine<void> {
      yield* l1.mmu.topUp(me);
      vm.space.headers.give(me, yield* vm.space.headers.take(me));
      yield* inL1(stack, (cpu) => handle(stack, cpu))(me, NOTHING);
    },
    id,
  );
  settled(stack, id);
}

function* handle({ l1 }: KpopStack, cpu: GuestContext): Routine<void> {
  const { frames } = l1.platform;
  frames.give(cpu, yield* frames.take(cpu));
}

/** L2 writes to a range on its first vCPU: both levels map it as they always do. */
function premapStack(stack: KpopStack, guest: GuestVm, range: PageRange): void {
  const { machine, l1, hypervisor } = stack;
  const [l2] = guest.contexts;
  const [context] = l1.contexts;
  const [v] = l1.vm.vcpus;
  l2!.push(writer(l2!, range));
  runAtBoot(machine, (me) => vcpuThread(me, v!, nothing()));
  context!.push(l1Thread(hypervisor, context!, l2!, askedOf(stack)));
  settled(stack, 0);
}

function* writer(cpu: GuestContext, { first, end }: PageRange): Routine<void> {
  for (let page = first; page < end; page++) yield cpu.store(page * FRAME_BYTES, 0, 'boot.write');
  yield vmcall(cpu, OwnerCall.done, [], 'boot.done');
}

/** The thread of the vCPU has ended at boot and begins anew. */
function settled({ machine, l1 }: KpopStack, id: number): void {
  machine.memory.write(l1.vm.vcpus[id]!.mode, 0);
}

// --- what a checker asks -------------------------------------------------------------------------

function checkedStack(stack: KpopStack, guest: GuestVm): Checked {
  const { l1, vm, hypervisor } = stack;
  const { platform } = l1.vm;
  const pool = { name: platform.name, ...poolOf(platform.frames) };
  const levels = levelsOf(stack, pool);
  const taker = { stack, behind: wordsBehind(stack) };
  const rcus = [l1.mmu.rcu!, vm.space.grace];
  return {
    roots: [l1.mmu.root, vm.space.rootFrame],
    operations: {
      'l1.invalidate': inL1(stack, (cpu, range) => hypervisor.invalidate(cpu, [range])),
      'host.take': (cpu, range) => take(cpu, taker, range, 'free'),
      'host.zap': (cpu, range) => take(cpu, taker, range, 'keep'),
    },
    premap: (range) => premapStack(stack, guest, range),
    pools: [pool],
    misuse: () => undefined,
    exclusive: false,
    freeHanded: ['kpop.kick.wait'],
    privates: (hart) => [l1.vm.vcpus[hart]!, ...hypervisor.privatesOf(hart)],
    promises: stackPromises(levels),
    structures: platform.arena.placed,
    spaces: spacesOf(stack),
    judgeUse: (view, use) => stackMisuse(view, levels, use),
    asked: Object.keys(ASKABLE),
    repeated: ['l1.fault.epoch'],
    silent: VMCS_ACTS,
    likenesses: likenessesOf(l1.vm, rcus, l1.mmu.lock),
  };
}

/** What L1 does on a vCPU that runs no L2; the thread runs this vCPU until that is done. */
function inL1(
  { l1 }: KpopStack,
  body: (cpu: GuestContext, range: PageRange) => Routine<void>,
): Operation {
  return (cpu, range) => {
    const context = l1.contexts[cpu.cpu]!;
    context.push(untilDone(context, body(context, range)));
    return vcpuThread(cpu, l1.vm.vcpus[cpu.cpu]!, nothing());
  };
}

function* untilDone(cpu: GuestContext, body: Routine<void>): Routine<void> {
  yield* body;
  yield vmcall(cpu, OwnerCall.done, [], 'l1.done');
}

/** The host takes the L1 pages that are behind a range of L2 when it looks. */
function* take(
  cpu: Context,
  { stack, behind }: { readonly stack: KpopStack; readonly behind: readonly number[] },
  { first, end }: PageRange,
  pages: 'keep' | 'free',
): Routine<void> {
  const taken: number[] = [];
  for (let gfn = first; gfn < end; gfn++) {
    const l1gfn = num(yield cpu.load(behind[gfn]!, 'host.look')) - 1;
    if (l1gfn >= 0) taken.push(l1gfn);
  }
  if (taken.length > 0) yield* takeFromL1(cpu, stack, rangesOf(taken), pages);
}

/** Where L1 notes, for each page of L2, which of its own pages is behind it: host addresses. */
function wordsBehind({ machine, l1, vm, hypervisor }: KpopStack): number[] {
  const onlooker = new Onlooker(hostView(machine.memory));
  return Array.from({ length: vm.l2Pages }, (_, gfn) =>
    l1.toHost(onlooker.firstAddress((me) => hypervisor.backing.resident(me, gfn))),
  );
}

/** What L2 may ask the vCPU of L1 for that runs it. */
const ASKABLE: Readonly<Record<string, PageRange>> = { 'invalidate-0': { first: 0, end: 1 } };

function askedOf({ hypervisor }: KpopStack): (cpu: Context, call: number) => Routine<void> {
  const ranges = Object.values(ASKABLE);
  return function* invalidate(cpu, call): Routine<void> {
    const range = ranges[call - ASKED];
    if (range !== undefined) yield* hypervisor.invalidate(cpu, [range]);
  };
}

function levelsOf({ l1, vm, hypervisor }: KpopStack, pool: KpopLevels['pool']): KpopLevels {
  const { book, backing } = hypervisor;
  return {
    vm: l1.vm,
    mmu: l1.mmu,
    space: vm.space,
    pool,
    l1Pages: l1.pages,
    platform: l1.platform,
    backing,
    book: {
      wordOf: (me, page) => book.wordOf(me, page),
      l1gfn: l1gfnOf,
      isValid: (word) => stateOf(word) === SlotState.valid,
      isReadOnly,
    },
    l2Pages: vm.l2Pages,
  };
}

/** EPT01, of which only pages that L2 may be given ever change, and L0's tables for L2. */
function spacesOf({ machine, l1, vm }: KpopStack): Spaces {
  const { secondStage, nestedStage } = machine.translator;
  const { root } = l1.mmu;
  const { rootFrame } = vm.space;
  const ept01 = { root, format: secondStage, pages: l1.pool };
  return {
    fixed: [root, rootFrame],
    promised: [],
    of: (space) => {
      if (space === root) return ept01;
      return space === rootFrame ? { root: rootFrame, format: nestedStage } : undefined;
    },
  };
}
