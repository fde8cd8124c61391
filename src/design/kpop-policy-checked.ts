/**
 * KPOP's policy by itself, for exploration: run loop, RUN's entries and exits, answers, publishing
 * and posting are the product's code; L1 is a thread that publishes at any time, and its vCPUs are
 * in their RUN for ever. In version n of the table every leaf of CPUID is answered by n.
 *
 * Leaves out: memory (kpop), what L1 answers, the state page.
 */

import { Status } from '../abi/kpop.ts';
import { CPUID_ROW_BYTES, CpuidRow, PolicyPage } from '../abi/kpop-policy.ts';
import { answersPromise } from '../check/invariant/kpop-policy.ts';
import { writePolicy } from '../guest/l1/kpop-policy.ts';
import { AnonymousBacking } from '../hypervisor/backing/anonymous.ts';
import { type Answered, type Answering, L2Words, postToL2 } from '../hypervisor/kpop/answers.ts';
import { Policy } from '../hypervisor/kpop/policy.ts';
import { runningL2 } from '../hypervisor/kpop/run.ts';
import type { KpopVm } from '../hypervisor/kpop/vm.ts';
import { Space } from '../hypervisor/mmu/kpop/space.ts';
import { answerOwnerCalls } from '../hypervisor/owner.ts';
import { type Running, running, Vcpu, type Vm } from '../hypervisor/vcpu.ts';
import { VECTOR_RESCHEDULE } from '../machine/instruction.ts';
import type { Machine } from '../machine/machine.ts';
import { FRAME_BYTES } from '../machine/memory.ts';
import { num, type Routine } from '../runtime/act.ts';
import type { Context } from '../runtime/context.ts';
import { runAtBoot } from './boot.ts';
import { buildGuestVm } from './guest-vm.ts';
import { attachRcu, makeBlock, startVcpus } from './host.ts';
import { kpop } from './kpop.ts';
import { NO_OWNER } from './kpop-checked.ts';
import { attachGrace } from './kpop-grace.ts';
import { type Checked, type Demand, type Design, hostPlatform, type System } from './system.ts';
import { poolOf } from './tdp.ts';

/** Versions that an exploration may publish; version 1 is in force at its beginning. */
const VERSIONS = 4;
const AXES = { lock: 'entry', policy: 'tables' } as const;

export const kpopPolicy: Design = {
  ...kpop,
  id: 'kpop-policy',
  title: 'KPOP’s policy: L0 answers L2 while L1 publishes',
  axes: {},
  isolates: 'whether an answer is ever older than the policy, and a posted interrupt ever lost',
  explored: {},
  build(machine, demand, axes, conditions): System {
    if (demand.barePages === undefined) {
      const defaults = Object.entries(kpop.axes).map(([name, axis]) => [name, axis.default]);
      const all = { ...Object.fromEntries(defaults), ...axes, ...AXES };
      return kpop.build(machine, demand, all, conditions);
    }
    return buildPolicyHost(machine, demand);
  },
};

interface Parts {
  readonly vm: KpopVm;
  readonly answering: Answering;
  readonly l1Memory: AnonymousBacking;
  /** Word: the newest version whose publishing has returned. */
  readonly published: number;
  /** A line per vCPU: what was published when it entered last; an answer older than that. */
  readonly seen: (vcpu: number) => number;
}

function buildPolicyHost(machine: Machine, demand: Demand): System {
  const platform = hostPlatform(machine);
  const guest = buildGuestVm(machine, demand, 2);
  const l0: Vm = { name: 'l1', platform, vcpus: [] };
  const l1Memory = new AnonymousBacking(platform, [{ base: 0, pages: VERSIONS }]);
  const answering: Answering = {
    policy: new Policy(platform),
    sibling: (index) => vm.vcpus[index]?.answered,
    runners: l0.vcpus,
    armed: () => 0, // nobody arms a timer
  };
  const vm: KpopVm = {
    space: new Space({
      platform,
      format: machine.translator.secondStage,
      l1Memory,
      l1Pages: VERSIONS,
      scope: 'entry',
    }),
    vcpus: [],
    pinned: [],
    l2Pages: demand.barePages ?? 0,
    answering,
  };
  const published = platform.arena.take(64);
  const seenAt = platform.arena.take(64 * machine.cpus.length);
  const parts: Parts = { vm, answering, l1Memory, published, seen: (i) => seenAt + 64 * i };
  for (const [i, context] of guest.contexts.entries()) addRunning(machine, l0, parts, context, i);
  attachGrace(vm.space, l0);
  answering.policy.rcu = attachRcu(platform, [l0]);
  writeVersions(machine, parts);
  startVcpus(machine, l0);
  return {
    machine,
    environments: guest.environments,
    hostInvalidate: function* none(): Routine<void> {
      // explorations name their operations
    },
    memory: () => ({ tableBytes: 0, bookBytes: 0 }),
    checked: checkedPolicy(l0, parts),
  };
}

/** vCPU `i` of L1 has just begun its RUN of L2's. */
function addRunning(
  machine: Machine,
  l0: Vm,
  parts: Parts,
  l2: System['environments'][number]['cpu'],
  i: number,
): void {
  const { vm } = parts;
  const { platform } = vm.space;
  const { rootFrame: root, format } = vm.space;
  const l1 = machine.guest(1, `l1.${i}`);
  l1.seat = i;
  l1.homeCpu = i;
  l2.homeCpu = i;
  const options = { root, levels: format.geometry.levels, vpid: 1, virtualIpis: false };
  const block = makeBlock(platform, i, options);
  const answered = { index: i, state: platform.arena.frames(1) * FRAME_BYTES, words: 0 };
  answered.words = platform.arena.place(L2Words);
  const claim = platform.arena.take(64);
  const v = new Vcpu(l0, i, i, running(l1, block, new Map()));
  const real = runningL2(vm, l2, block, answered);
  const active = watched(parts, real, i);
  vm.vcpus.push({ claim, state: answered.state, guest: l2, running: active, answered });
  machine.memory.write(claim, 1);
  machine.memory.write(answered.words + L2Words.at.runner, i + 1);
  v.active = active;
}

/** Notes what was published when L2 enters, and an answer that is older. */
function watched(parts: Parts, real: Running, i: number): Running {
  const { exits } = parts.vm.space.platform.virt;
  const seen = parts.seen(i);
  const cpuid = real.exits.get(exits.cpuid)!;
  return {
    ...real,
    *beforeEntry(cpu, v): Routine<boolean> {
      cpu.write(seen, num(yield cpu.load(parts.published, 'l1.published')));
      return yield* real.beforeEntry!(cpu, v);
    },
    exits: new Map([
      ...real.exits,
      [exits.hypercall, answerOwnerCalls(NO_OWNER)],
      [
        exits.cpuid,
        function* answer(cpu, v): Routine<void> {
          yield* cpuid(cpu, v);
          const version = v.active.guest.top.word.lo;
          if (version < cpu.read(seen)) cpu.write(seen + 8, version);
        },
      ],
    ]),
  };
}

/** L1's page n has version n + 1, whose every answer is n + 1; the first is published. */
function writeVersions(machine: Machine, { answering, l1Memory, published }: Parts): void {
  const { memory } = machine;
  const { frames } = answering.policy.platform;
  for (let page = 0; page < VERSIONS; page++) {
    const frame = frames.reserve(memory, 1);
    l1Memory.install(memory, page, frame);
    const at = frame * FRAME_BYTES;
    writePolicy(
      { write: (to, value) => memory.write(to, value), spend: () => undefined },
      at,
      page + 1,
    );
    const rows = memory.read(at + PolicyPage.cpuids);
    for (let row = 0; row < rows; row++) {
      memory.write(at + PolicyPage.rows + row * CPUID_ROW_BYTES + CpuidRow.eax, page + 1);
    }
  }
  runAtBoot(machine, function* first(me): Routine<void> {
    yield* answering.policy.publish(me, l1Memory, 0);
  });
  memory.write(published, 1);
}

/** L1 publishes versions one after the other: page n is version n + 2. */
function* publish(cpu: Context, parts: Parts, page: number): Routine<void> {
  const { answering, l1Memory, published } = parts;
  const status = yield* answering.policy.publish(cpu, l1Memory, page + 1);
  if (status === Status.ok) yield cpu.store(published, page + 2, 'l1.published.now');
}

function checkedPolicy(l0: Vm, parts: Parts): Checked {
  const { vm, answering } = parts;
  const { platform } = answering.policy;
  const first = (): Answered => vm.vcpus[0]!.answered!;
  return {
    roots: [vm.space.rootFrame],
    operations: {
      publish: (cpu, range) => publish(cpu, parts, range.first),
      post: (cpu) => postToL2(cpu, answering, first(), VECTOR_RESCHEDULE),
    },
    premap: () => {
      // no memory is touched
    },
    pools: [{ name: platform.name, ...poolOf(platform.frames) }],
    misuse: () => undefined,
    exclusive: false,
    freeHanded: ['policy.halt'],
    privates: (hart) => l0.vcpus.filter((v) => v.seat === hart),
    promises: [answersPromise(parts, l0.vcpus.length)],
    structures: platform.arena.placed,
  };
}
