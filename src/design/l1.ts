/**
 * A guest hypervisor's place in the stack: its VM in L0 with EPT01, its contexts, and the platform
 * that its hypervisor parts stand on. Its memory is guest-physical memory of L0's, mapped by L0
 * like any other guest's; only what firmware and boot would have touched is there when the exam
 * begins.
 */
import { Arena } from '../alloc/arena.ts';
import { type BootMemory, Frames } from '../alloc/frames.ts';
import { AnonymousBacking } from '../hypervisor/backing/anonymous.ts';
import type { HugeSize } from '../hypervisor/backing/huge.ts';
import type { PageRange } from '../hypervisor/mmu/common.ts';
import { TdpMmu } from '../hypervisor/mmu/tdp/mmu.ts';
import { premap } from '../hypervisor/mmu/tdp/premap.ts';
import type { Platform } from '../hypervisor/platform.ts';
import type { Vm } from '../hypervisor/vcpu.ts';
import type { GuestContext } from '../machine/guest.ts';
import type { Machine } from '../machine/machine.ts';
import { FRAME_BYTES } from '../machine/memory.ts';
import type { Conditions, Demand } from './system.ts';
import { hugeSize } from './tdp.ts';

/** L1's own tables, books and argument pages per L2 vCPU, in frames. */
const OWN_FRAMES_PER_VCPU = 96;
/** The same for L1s that are explored, whose pages are few: those of all CPUs, and per CPU. */
const BARE = { arena: 3, arenaPerCpu: 2, poolPerCpu: 4, batch: 2 };

export interface L1 {
  /** L0's VM whose guest is L1, and L0's MMU for it. */
  readonly vm: Vm;
  readonly mmu: TdpMmu;
  readonly contexts: readonly GuestContext[];
  /** L1's own platform, in its own addresses. */
  readonly platform: Platform;
  /** Number of L1 pages; those of its pool. */
  readonly pages: number;
  readonly pool: PageRange;
  /** Host-physical address of one of L1's, for what L0 pins. */
  toHost(at: number): number;
}

/** With a guest without a kernel L1 is as small as it can be, and has a vCPU on every CPU. */
export function buildL1(
  machine: Machine,
  host: Platform,
  demand: Demand,
  l2Memory: readonly PageRange[],
  conditions: Conditions,
): L1 {
  // One more for a thread of L1's user space that asks what L2 has written to.
  const beside = demand.logs === true ? 1 : 0;
  const vcpus = demand.barePages === undefined ? demand.vcpus + beside : machine.cpus.length;
  const huge = hugeSize(machine.translator.secondStage.geometry, conditions.pages);
  const size = demand.barePages === undefined ? sizeOf(vcpus, l2Memory, huge) : bareSize(vcpus);
  const pages = size.arena + size.pool;
  const vm: Vm = { name: 'l1', platform: host, vcpus: [] };
  const backing = new AnonymousBacking(host, [{ base: 0, pages }], huge);
  const format = machine.translator.secondStage;
  const lockClass = 'l0.mmu';
  const mmu = new TdpMmu({ vm, format, backing, lockClass, faultLock: 'read' });
  premap(machine.memory, mmu, { first: 0, end: conditions.l1 === 'warm' ? pages : size.arena });
  const contexts = Array.from({ length: vcpus }, (_, i) => {
    const context = machine.guest(1, `l1.${i}`);
    context.seat = i;
    return context;
  });
  for (const context of contexts) {
    context.siblings = contexts;
    context.apic.signalsEnd = conditions.eoi === 'apic';
  }
  const toHost = (at: number): number => {
    const frame = backing.peekFrame(machine.memory, Math.floor(at / FRAME_BYTES));
    return frame * FRAME_BYTES + (at % FRAME_BYTES);
  };
  const boot: BootMemory = {
    read: (at) => machine.memory.read(toHost(at)),
    write: (at, value) => machine.memory.write(toHost(at), value),
  };
  const arena = new Arena(1, size.arena);
  const region = { base: size.arena, limit: pages, ...size.batch };
  const frames = new Frames(arena, region, vcpus);
  const { virt } = host;
  const platform: Platform = { name: 'l1', arena, frames, idle: 'halt', cpus: vcpus, boot, virt };
  const pool = { first: size.arena, end: pages };
  return { vm, mmu, contexts, platform, pages, pool, toHost };
}

/** Frames of L1's boot region and of its pool. */
interface Size {
  readonly arena: number;
  readonly pool: number;
  readonly batch?: { readonly batch: number };
}

function bareSize(cpus: number): Size {
  const { arena, arenaPerCpu, poolPerCpu, batch } = BARE;
  return { arena: arena + arenaPerCpu * cpus, pool: poolPerCpu * cpus, batch: { batch } };
}

function sizeOf(vcpus: number, l2Memory: readonly PageRange[], huge: HugeSize | undefined): Size {
  const l2Pages = l2Memory.reduce((sum, range) => sum + range.end - range.first, 0);
  // What lies before an aligned block is used for small pages.
  const spare = huge === undefined ? 0 : (1 + vcpus) * huge.pages;
  const pool = Math.ceil(l2Pages * 1.05) + vcpus * OWN_FRAMES_PER_VCPU + 1024 + spare;
  const words = pool + l2Pages + (huge === undefined ? 0 : 2 * l2Pages);
  return { arena: 1024 + Math.ceil((words * 8) / FRAME_BYTES) + 16 * vcpus, pool };
}
