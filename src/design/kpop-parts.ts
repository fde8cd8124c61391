/**
 * How a KPOP stack is put together: L0 with its address space for L2 and its exits, L1 with its
 * threads, and what the host does when it takes pages of L1. One composition, whether the stack is
 * timed or explored.
 */
import { defect } from '../base/assert.ts';
import { BOOK_KINDS } from '../guest/l1/book/kinds.ts';
import { KpopGuest, type KpopGuestOptions } from '../guest/l1/kpop.ts';
import { kpopVcpuThread } from '../guest/l1/kpop-loop.ts';
import { AnonymousBacking } from '../hypervisor/backing/anonymous.ts';
import { retire } from '../hypervisor/emulate.ts';
import { postVector } from '../hypervisor/interrupt.ts';
import { type Answering, expired, L2Words } from '../hypervisor/kpop/answers.ts';
import { answerKpopCall } from '../hypervisor/kpop/calls.ts';
import { Policy } from '../hypervisor/kpop/policy.ts';
import { runningL2 } from '../hypervisor/kpop/run.ts';
import type { KpopVcpu, KpopVm } from '../hypervisor/kpop/vm.ts';
import type { PageRange } from '../hypervisor/mmu/common.ts';
import { type LockScope, Space } from '../hypervisor/mmu/kpop/space.ts';
import { kpopInvalidate } from '../hypervisor/mmu/kpop/unmap.ts';
import { handleViolation } from '../hypervisor/mmu/tdp/violation.ts';
import { tdpUnmap } from '../hypervisor/mmu/tdp/zap.ts';
import { answerCall, type Owner } from '../hypervisor/owner.ts';
import type { ExitHandler, Vcpu, Vm } from '../hypervisor/vcpu.ts';
import type { GuestContext } from '../machine/guest.ts';
import { VECTOR_TIMER } from '../machine/instruction.ts';
import type { Machine } from '../machine/machine.ts';
import { FRAME_BYTES } from '../machine/memory.ts';
import type { Routine } from '../runtime/act.ts';
import type { Context } from '../runtime/context.ts';
import type { GuestVm } from './guest-vm.ts';
import { addVcpus, attachRcu, blocksOf, makeBlock, startVcpus } from './host.ts';
import { attachGrace } from './kpop-grace.ts';
import { logOptions } from './kpop-log.ts';
import type { L1 } from './l1.ts';
import type { Axes, Demand } from './system.ts';
import { hostExits, slotsOf, tdpOwner, widened } from './tdp.ts';

/** VPIDs or ASIDs of L2 vCPUs start here; L1's are below. */
const L2_TAGS = 1024;
const LINE_BYTES = 64;

/** L0's part and L1's part of a KPOP stack. */
export interface KpopStack {
  readonly machine: Machine;
  readonly l1: L1;
  readonly vm: KpopVm;
  readonly hypervisor: KpopGuest;
}

/** L0's address space for L2, and the guest hypervisor in L1's memory; nobody runs yet. */
export function composeKpop(
  machine: Machine,
  l1: L1,
  memory: readonly PageRange[],
  demand: Demand,
  axes: Axes,
): KpopStack {
  // L1 has huge pages where its host has, and gives L2 whole ones.
  const huge = l1.mmu.backing.huge;
  const l2Memory = widened(memory, huge);
  const last = l2Memory[l2Memory.length - 1] ?? defect('kpop', 'L2 has no memory');
  const vm: KpopVm = {
    space: new Space({
      platform: l1.vm.platform,
      format: machine.translator.nestedStage,
      l1Memory: l1.mmu.backing,
      l1Pages: l1.pages,
      scope: axes['lock'] as LockScope,
      windows: demand.windows === true,
      log: logOptions(demand, axes, l1.vm.platform.virt.exits.logFull !== undefined, {
        l2Pages: last.end,
        l1Pages: l1.pages,
      }),
    }),
    vcpus: [],
    pinned: [],
    l2Pages: last.end,
    answering: axes['policy'] === 'tables' ? answeringOf(l1, (i) => vm.vcpus[i]) : undefined,
  };
  const hypervisor = new KpopGuest({
    platform: l1.platform,
    backing: new AnonymousBacking(l1.platform, slotsOf(l2Memory), huge),
    memory: l2Memory,
    ...l1Options(axes),
  });
  return { machine, l1, vm, hypervisor };
}

/** Where L0 answers for L1: its table, and what it knows of the L2 vCPUs. */
function answeringOf(
  { vm, contexts }: L1,
  vcpu: (index: number) => KpopVcpu | undefined,
): Answering {
  const { platform } = vm;
  const armed = platform.arena.take(contexts.length * LINE_BYTES);
  return {
    policy: new Policy(platform),
    sibling: (index) => vcpu(index)?.answered,
    runners: vm.vcpus,
    armed: (v) => armed + v.index * LINE_BYTES,
  };
}

/** What the axes say of L1. */
export function l1Options(
  axes: Axes,
): Pick<KpopGuestOptions, 'book' | 'run' | 'flush' | 'batch' | 'policy'> {
  const kind = BOOK_KINDS.find((each) => each === axes['book']) ?? 'xarray';
  return {
    book: { kind, shards: axes['shards'] === '1' ? '1' : 'gib' },
    run: axes['run'] === 'separate' ? 'separate' : 'fused',
    flush: axes['flush'] === 'request' ? 'request' : 'visible',
    batch: Number(axes['batch'] ?? 1),
    policy: axes['policy'] === 'tables',
  };
}

/** L0's threads for L1's vCPUs; L1's hypercalls are KPOP's, or those of any guest to its owner. */
export function startL0(
  stack: KpopStack,
  virtualIpis: boolean,
  threads?: (vm: Vm) => readonly Vcpu[],
): void {
  const { machine, l1, vm } = stack;
  const owner: Owner = {
    ...tdpOwner(l1.mmu),
    unmap: (cpu, ranges) => takeFromL1(cpu, stack, ranges, 'free'),
    // What L0 reads by its own address stays where it is.
    owns: (range) => l1.mmu.backing.covers(range) && !vm.pinned.some((p) => isIn(p, range)),
  };
  const toOwner: ExitHandler = function* call(cpu, v): Routine<void> {
    if (yield* answerCall(cpu, owner, v.active.guest)) yield* retire(cpu, v, 0);
  };
  const vmcall: ExitHandler = (cpu, v) => answerKpopCall(cpu, v, vm) ?? toOwner(cpu, v);
  const exits = hostExits(handleViolation(l1.mmu), vmcall);
  addVcpus(l1.vm, l1.contexts, blocksOf(l1.mmu, 1, virtualIpis), exits);
  l1.mmu.rcu = attachRcu(l1.vm.platform, [l1.vm]);
  attachGrace(vm.space, l1.vm); // L2 faults and calls of L1 are served by the same threads
  startVcpus(machine, l1.vm, threads?.(l1.vm));
  if (vm.answering !== undefined) answerTimers(machine, l1, vm.answering);
}

/** A CPU's timer is L2's where L0 has armed it by L1's policy; else L1's. */
function answerTimers(machine: Machine, { vm, mmu }: L1, answering: Answering): void {
  answering.policy.rcu = mmu.rcu;
  machine.hostVectors.set(VECTOR_TIMER, function* timer(cpu, host): Routine<void> {
    const v = vm.vcpus[cpu.id] ?? defect('answerTimers', `CPU ${cpu.id} runs no vCPU`);
    if (!(yield* expired(host, answering, v))) yield* postVector(host, v, VECTOR_TIMER);
  });
}

function isIn(page: number, range: PageRange): boolean {
  return page >= range.first && page < range.end;
}

/** L0 takes pages of L1: L2's entries first, then EPT01 with its own flush, then the frames. */
export function takeFromL1(
  cpu: Context,
  { l1, vm }: KpopStack,
  ranges: readonly PageRange[],
  pages: 'keep' | 'free',
): Routine<void> {
  const l1gfns = ranges.flatMap(({ first, end }) =>
    Array.from({ length: end - first }, (_, i) => first + i),
  );
  return kpopInvalidate(cpu, vm.space, l1gfns, tdpUnmap(cpu, l1.mmu, ranges, pages));
}

/** L2's vCPUs as objects of L0, and L1's threads that run them. */
export function startL2(
  { l1, vm, hypervisor }: KpopStack,
  guest: GuestVm,
  asked?: Owner['asked'],
): void {
  guest.contexts.forEach((l2, i) => {
    const { rootFrame: root, format } = vm.space;
    const { levels } = format.geometry;
    const options = { root, levels, vpid: L2_TAGS, virtualIpis: false };
    const block = makeBlock(vm.space.platform, i, options);
    const state = l1.toHost(hypervisor.statePage(i));
    const { arena } = vm.space.platform;
    const answered =
      vm.answering === undefined ? undefined : { index: i, state, words: arena.place(L2Words) };
    const running = runningL2(vm, l2, block, answered);
    const claim = arena.take(64);
    vm.vcpus.push({ claim, state, guest: l2, running, answered });
    vm.pinned.push(hypervisor.statePage(i) / FRAME_BYTES);
    l2.homeCpu = i;
    const context = l1.contexts[i]!;
    context.push(l1Thread(hypervisor, context, l2, asked));
  });
}

/** Body of L1's vCPU that runs an L2 vCPU; `asked`: what L2 may ask for beside reclaim. */
export function l1Thread(
  hypervisor: KpopGuest,
  context: GuestContext,
  l2: GuestContext,
  asked?: Owner['asked'],
): Routine<void> {
  const owner: Owner = {
    unmap: (cpu, ranges) => hypervisor.invalidate(cpu, ranges),
    *removeTables(): Routine<void> {
      // a KPOP guest hypervisor keeps no tables
    },
    owns: (range) => hypervisor.backing.covers(range),
    frameOf: (cpu, gfn) => hypervisor.backing.resident(cpu, gfn),
    ...(asked === undefined ? {} : { asked }),
  };
  return kpopVcpuThread(context, hypervisor, owner, l2);
}

/** The L1 pages behind L2 pages, as the exam's host thread needs them. */
export function l1PagesOf(stack: KpopStack, gfns: readonly number[]): number[] {
  const { machine, l1, hypervisor } = stack;
  const read = (at: number): number => machine.memory.read(l1.toHost(at));
  return gfns.map((gfn) => hypervisor.backing.peekFrame({ read }, gfn)).sort((a, b) => a - b);
}
