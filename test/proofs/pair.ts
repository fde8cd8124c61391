/**
 * The real pair of the first proof: guests that touch pages, and owners that unmap them. All code
 * is the product's: run loop, EPT violation handler, fault, unmap, remote flush. Geometry is a
 * parameter; exploration uses two levels of one index bit (four pages).
 */
import { Arena } from '../../src/alloc/arena.ts';
import { Frames } from '../../src/alloc/frames.ts';
import { addVcpus, attachRcu, startVcpus } from '../../src/design/host.ts';
import { hostExits, tdpOwner } from '../../src/design/tdp.ts';
import { AnonymousBacking } from '../../src/hypervisor/backing/anonymous.ts';
import type { PageRange } from '../../src/hypervisor/mmu/common.ts';
import { TdpMmu } from '../../src/hypervisor/mmu/tdp/mmu.ts';
import { premap } from '../../src/hypervisor/mmu/tdp/premap.ts';
import { handleViolation } from '../../src/hypervisor/mmu/tdp/violation.ts';
import { answerOwnerCalls } from '../../src/hypervisor/owner.ts';
import type { Platform } from '../../src/hypervisor/platform.ts';
import type { Vm } from '../../src/hypervisor/vcpu.ts';
import { vmx } from '../../src/hypervisor/virt/vmx.ts';
import { ept } from '../../src/machine/format/ept.ts';
import type { Geometry } from '../../src/machine/format/format.ts';
import type { GuestContext } from '../../src/machine/guest.ts';
import { Machine } from '../../src/machine/machine.ts';
import type { Memory } from '../../src/machine/memory.ts';
import { intelCascadeLake } from '../../src/machine/preset/intel-cascade-lake.ts';
import type { Preset } from '../../src/machine/preset/price.ts';
import type { Routine } from '../../src/runtime/act.ts';
import type { Context } from '../../src/runtime/context.ts';
import { fanOut, type TraceSink } from '../../src/runtime/trace.ts';

export const MINI: Geometry = { levels: 2, indexBits: 1 };
export const PAGES = 4;
/** Frames of structures, beside the free lists of the pool. */
const STRUCTURES = 32;

/** Everything is free, and the TLB is no larger than the pages of a mini geometry need. */
export const FREE: Preset = {
  ...intelCascadeLake,
  id: 'free',
  tlb: { sets: 4, ways: 4, structures: 1 },
  prices: Object.fromEntries(
    Object.entries(intelCascadeLake.prices).map(([name, price]) => [name, { ...price, value: 0 }]),
  ) as Preset['prices'],
};

export interface PairOptions {
  readonly memory?: Memory;
  readonly preset?: Preset;
  readonly geometry?: Geometry;
  readonly trace?: TraceSink;
  /** Guest pages that are memory; 4 unless given. */
  readonly pages?: number;
  /** Frames of the pool. */
  readonly pool?: number;
  readonly accessDirty?: boolean;
  readonly faultLock?: 'read' | 'write';
  /** Mapped before anybody runs. */
  readonly mapped?: PageRange;
  /** One vCPU each, on CPUs 0, 1, …. */
  readonly guests: readonly ((cpu: GuestContext) => Routine<void>)[];
  /** One host thread each, on the CPUs after those. */
  readonly owners: readonly ((cpu: Context, mmu: TdpMmu) => Routine<void>)[];
}

export interface Pair {
  readonly machine: Machine;
  readonly vm: Vm;
  readonly mmu: TdpMmu;
  readonly platform: Platform;
  /** Frame behind `gfn` according to the host, -1 if it is not resident. */
  frameOf(gfn: number): number;
}

export function buildPair(options: PairOptions): Pair {
  const cpus = options.guests.length + options.owners.length;
  const machine = new Machine({
    preset: options.preset ?? FREE,
    cpus,
    trace: options.trace ?? fanOut([]),
    ...(options.memory === undefined ? {} : { memory: options.memory }),
    secondStage: ept(options.geometry ?? MINI, { accessDirty: options.accessDirty ?? true }),
  });
  const size = options.pool ?? 192;
  const base = STRUCTURES + Math.floor((size * 8 + (options.pages ?? PAGES) * 16) / 4096);
  const arena = new Arena(1, base);
  const frames = new Frames(arena, { base, limit: base + size }, cpus);
  const platform: Platform = { name: 'l0', arena, frames, cpus, boot: machine.memory, virt: vmx };
  const vm: Vm = { name: 'guest', platform, vcpus: [] };
  const words = arena.take(0); // where the backing's slot begins
  const backing = new AnonymousBacking(platform, [{ base: 0, pages: options.pages ?? PAGES }]);
  const mmu = new TdpMmu({
    vm,
    format: machine.translator.secondStage,
    backing,
    lockClass: 'l0.mmu',
    faultLock: options.faultLock ?? 'read',
  });
  const exits = hostExits(handleViolation(mmu), answerOwnerCalls(tdpOwner(mmu)));
  const contexts = options.guests.map((_, i) => machine.guest(1, `guest.${i}`));
  addVcpus(vm, contexts, { root: mmu.root, vpid: 1, virtualIpis: false }, exits);
  contexts.forEach((context, i) => {
    context.seat = i;
    context.push(options.guests[i]!(context));
  });
  mmu.rcu = attachRcu(platform, [vm]);
  if (options.mapped !== undefined) premap(machine.memory, mmu, options.mapped);
  startVcpus(machine, vm);
  options.owners.forEach((body, i) => {
    machine.hostThread(options.guests.length + i, `owner.${i}`, (me) => body(me, mmu));
  });
  return { machine, vm, mmu, platform, frameOf: (gfn) => peekWord(machine, words + gfn * 8) - 1 };
}

/** A word as it is in memory, unheard by whoever listens to reads. */
export function peekWord(machine: Machine, pa: number): number {
  const at = machine.memory.indexOf(pa);
  return machine.memory.words[at]! >>> 0;
}
