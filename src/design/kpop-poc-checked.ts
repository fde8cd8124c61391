/**
 * The proof of concept's L0 by itself, for exploration: MAP, UNMAP and what the host takes are the
 * product's code. L1 is the most general one that keeps its mmu_lock as KVM does: it maps under the
 * lock held for reading what it has not taken away, and takes away under it held for writing. L2's
 * page n is L1's page n; where L2 faults, the thread of its vCPU does what L1 would.
 *
 * Leaves out: L1's own code, and its entries and exits, which are those of `nested`.
 */
import { packSpace } from '../abi/kpop-poc.ts';
import { pocPromises, takenBack } from '../check/invariant/kpop-poc.ts';
import { AnonymousBacking } from '../hypervisor/backing/anonymous.ts';
import { pocStage } from '../hypervisor/kpop-poc/calls.ts';
import { pocMap, pocTake, pocUnmap } from '../hypervisor/kpop-poc/map.ts';
import { pocLoad } from '../hypervisor/kpop-poc/roots.ts';
import { makeTables, type PocVm } from '../hypervisor/kpop-poc/vm.ts';
import type { PageRange } from '../hypervisor/mmu/common.ts';
import { TdpMmu } from '../hypervisor/mmu/tdp/mmu.ts';
import { answerOwnerCalls } from '../hypervisor/owner.ts';
import { type ExitHandler, running, Vcpu, type Vm } from '../hypervisor/vcpu.ts';
import type { Machine } from '../machine/machine.ts';
import { FRAME_BYTES } from '../machine/memory.ts';
import { num, type Routine } from '../runtime/act.ts';
import type { Context } from '../runtime/context.ts';
import {
  type RwLock,
  readLock,
  readUnlock,
  rwlock,
  writeLock,
  writeUnlock,
} from '../sync/rwlock.ts';
import { runAtBoot } from './boot.ts';
import { buildGuestVm } from './guest-vm.ts';
import { attachRcu, makeBlock, startVcpus } from './host.ts';
import { NO_OWNER } from './kpop-checked.ts';
import { likenessesOf } from './likeness.ts';
import { entryOptions } from './nested-host.ts';
import { type Axes, type Checked, type Demand, hostPlatform, type System } from './system.ts';
import { hostExits, poolOf } from './tdp.ts';

const SPACE = packSpace(1, 0);
const HOLDER = 0;

interface Parts {
  readonly vm: PocVm;
  readonly reach: 'l1' | 'all';
  /** L1's mmu_lock. */
  readonly lock: RwLock;
  /** A word per page: 1 once L1 has taken it away for good. */
  readonly taken: (page: number) => number;
}

export function buildPocHost(machine: Machine, demand: Demand, axes: Axes): System {
  const platform = hostPlatform(machine);
  const guest = buildGuestVm(machine, demand, 1);
  const pages = demand.barePages ?? 0;
  const l0: Vm = { name: 'l1', platform, vcpus: [] };
  const tdp = new TdpMmu({
    vm: l0,
    format: machine.translator.secondStage,
    backing: new AnonymousBacking(platform, [{ base: 0, pages }]),
    lockClass: 'l0.mmu',
    faultLock: 'read',
  });
  const vm: PocVm = {
    ...entryOptions(machine, {}), // nobody enters by them here
    tdp,
    stage: pocStage(() => vm),
    vcpus: [],
    poc: makeTables(tdp, machine.translator.secondStage, 1),
  };
  const taken = platform.arena.take(pages * 8);
  const parts: Parts = {
    vm,
    reach: axes['invalidate'] === 'all' ? 'all' : 'l1',
    lock: rwlock(platform.arena.take(64), 'l1.mmu'),
    taken: (page) => taken + page * 8,
  };
  const exits = hostExits(violation(parts), answerOwnerCalls(NO_OWNER));
  const { mmu } = vm.poc.roots[0]!;
  guest.contexts.forEach((context, i) => {
    context.homeCpu = i;
    const { levels } = mmu.format.geometry;
    const block = makeBlock(platform, i, { root: mmu.root, levels, vpid: 1, virtualIpis: false });
    new Vcpu(l0, i, i, running(context, block, exits));
  });
  tdp.rcu = attachRcu(platform, [l0]);
  startVcpus(machine, l0);
  runAtBoot(machine, function* begin(me): Routine<void> {
    yield* pocLoad(me, vm, HOLDER, SPACE);
  });
  for (const { id } of machine.cpus) {
    runAtBoot(machine, function* warmUp(me): Routine<void> {
      me.seat = id; // allocation is not what interleaves
      yield* tdp.topUp(me);
    });
  }
  return {
    machine,
    environments: guest.environments,
    hostInvalidate: function* none(): Routine<void> {
      // explorations name their operations
    },
    memory: () => ({ tableBytes: 0, bookBytes: 0 }),
    checked: checkedPoc(machine, l0, parts),
  };
}

function violation(parts: Parts): ExitHandler {
  return function* handle(cpu, v): Routine<void> {
    const gpa = num(yield v.virt.faultAddress(cpu, v.active.block, 'poc.violation.where'));
    yield* mapPage(cpu, parts, Math.floor(gpa / FRAME_BYTES));
  };
}

/** L1 maps a page unless it has taken it away. */
function* mapPage(cpu: Context, { vm, lock, taken }: Parts, page: number): Routine<void> {
  yield* readLock(cpu, lock, 'l1.map.lock');
  if (num(yield cpu.load(taken(page), 'l1.map.look')) === 0) {
    yield* pocMap(cpu, vm, SPACE, page, page);
  }
  yield* readUnlock(cpu, lock, 'l1.map.unlock');
}

/** L1 takes pages away for good. */
function* unmap(cpu: Context, parts: Parts, range: PageRange): Routine<void> {
  yield* writeLock(cpu, parts.lock, 'l1.unmap.lock');
  yield* pocUnmap(cpu, parts.vm, SPACE, range);
  for (let page = range.first; page < range.end; page++) {
    yield cpu.store(parts.taken(page), 1, 'l1.unmap.taken');
  }
  yield* writeUnlock(cpu, parts.lock, 'l1.unmap.unlock');
}

function* mapAll(cpu: Context, parts: Parts, { first, end }: PageRange): Routine<void> {
  for (let page = first; page < end; page++) yield* mapPage(cpu, parts, page);
}

function checkedPoc(machine: Machine, l0: Vm, parts: Parts): Checked {
  const { vm, reach, taken } = parts;
  const { tdp, poc } = vm;
  const { platform } = tdp;
  const { mmu } = poc.roots[0]!;
  return {
    roots: [mmu.root],
    operations: {
      map: (cpu, range) => mapAll(cpu, parts, range),
      unmap: (cpu, range) => unmap(cpu, parts, range),
      invalidate: (cpu, range) => pocTake(cpu, vm, reach, [range], 'free'),
    },
    premap: (range) => runAtBoot(machine, (me) => mapAll(me, parts, range)),
    pools: [{ name: platform.name, ...poolOf(platform.frames) }],
    misuse: (view, page, frame) => takenBack(view, { tdp, taken }, page, frame),
    exclusive: true,
    freeHanded: [],
    privates: (hart) => l0.vcpus.filter((v) => v.seat === hart),
    likenesses: likenessesOf(l0, tdp.rcu === undefined ? [] : [tdp.rcu], tdp.lock),
    promises: pocPromises(tdp, mmu, taken),
    structures: platform.arena.placed,
  };
}
