/**
 * `tdp` with a guest whose memory slots come and go and which has devices: roots that are replaced,
 * look-ups under a grace period, entries that name a device. Composed apart, so that a guest whose
 * slots never change pays for none of it.
 */
import { badInput } from '../base/bad-input.ts';
import { AnonymousBacking } from '../hypervisor/backing/anonymous.ts';
import type { PageRange } from '../hypervisor/mmu/common.ts';
import { TdpMmu, type TdpSlots } from '../hypervisor/mmu/tdp/mmu.ts';
import { TdpRoots } from '../hypervisor/mmu/tdp/roots.ts';
import { addSlot, deleteSlot, unmapPages } from '../hypervisor/mmu/tdp/slot-change.ts';
import { slotExits } from '../hypervisor/mmu/tdp/slot-fault.ts';
import { answerOwnerCalls, type Owner } from '../hypervisor/owner.ts';
import type { Platform } from '../hypervisor/platform.ts';
import { type Slot, SlotSets } from '../hypervisor/slots/slots.ts';
import type { Vcpu, Vm } from '../hypervisor/vcpu.ts';
import { MMIO_GENERATION_BITS } from '../machine/format/mmio.ts';
import type { Machine } from '../machine/machine.ts';
import type { Routine } from '../runtime/act.ts';
import type { Context } from '../runtime/context.ts';
import type { GuestVm } from './guest-vm.ts';
import { addVcpus, attachRcu, blocksOf, FIRST_TAG, startVcpus } from './host.ts';
import type { Axes, Conditions, Demand, SlotChanges, System } from './system.ts';
import { hostExits, rangesOf, tableBytes } from './tdp-parts.ts';
import { checkedSlots } from './tdp-slots-checked.ts';

/** Bits of a generation in explorations: four changes, and they begin anew. */
const EXPLORED_GENERATIONS = 2;
/** Slots beside those that a guest begins with. */
const MORE_SLOTS = 2;

export interface SlotSite {
  readonly machine: Machine;
  readonly demand: Demand;
  readonly axes: Axes;
  readonly conditions: Conditions;
  readonly platform: Platform;
  readonly vm: Vm;
  readonly guest: GuestVm;
}

export function buildWithSlots(site: SlotSite): System {
  const { machine, demand, axes, conditions, platform, vm, guest } = site;
  if ((conditions.pages ?? '4k') !== '4k') {
    badInput('condition pages: a guest whose memory slots change has host pages of 4k here');
  }
  const { slots, pages } = layOut(guest, demand);
  const backing = new AnonymousBacking(platform, pages);
  const root = platform.frames.reserve(platform.boot, 1);
  const mmu = new TdpMmu({
    vm,
    format: machine.translator.secondStage,
    backing,
    lockClass: 'l0.mmu',
    faultLock: axes['lock'] === 'write' ? 'write' : 'read',
    root,
  });
  const owned = slotsOfMmu(site, mmu, slots);
  mmu.slots = owned;
  const { sets, roots } = owned;
  vm.roots = roots;
  sets.onWrap = (cpu) => roots.zapAll(cpu);
  const { fault, misconfig } = slotExits(mmu, owned);
  const exits = hostExits(fault, answerOwnerCalls(ownerOf(mmu)), misconfig);
  const shared = vm.sharedTag !== undefined;
  const options = { ...blocksOf(mmu, FIRST_TAG, conditions.apicv === 'on'), shared };
  addVcpus(vm, guest.contexts, options, exits, (cpu, v) => reload(cpu, v, roots));
  for (const v of vm.vcpus) {
    v.root = root;
    platform.boot.write(v.rootRecord, 1);
  }
  mmu.rcu = attachRcu(platform, [vm]);
  sets.rcu = mmu.rcu;
  startVcpus(machine, vm);
  return {
    machine,
    environments: guest.environments,
    *hostInvalidate(cpu, gfns): Routine<void> {
      for (const range of rangesOf(gfns)) yield* unmapPages(cpu, mmu, owned, range, 'keep');
    },
    slots: changesOf(mmu, owned, guest.spare),
    memory: () => ({ tableBytes: bytesNow(machine, mmu, owned), bookBytes: 0 }),
    checked: checkedSlots(machine, mmu, owned, demand.barePages ?? 0),
  };

  function* reload(cpu: Context, v: Vcpu, from: TdpRoots): Routine<void> {
    if (v.root === 0) yield* from.load(cpu, v);
  }
}

function slotsOfMmu(
  { platform, guest, demand, axes }: SlotSite,
  mmu: TdpMmu,
  slots: readonly Slot[],
): TdpSlots {
  const isExplored = demand.barePages !== undefined;
  const generationBits = isExplored ? EXPLORED_GENERATIONS : MMIO_GENERATION_BITS;
  const capacity = slots.length + MORE_SLOTS;
  return {
    sets: new SlotSets(platform, slots, { capacity, generationBits }),
    roots: new TdpRoots(mmu, platform, guest.contexts.length),
    zap: axes['slot'] === 'range' ? 'range' : 'all',
  };
}

/**
 * The slots that a guest begins with, and what user space has mapped: under exploration the lower
 * half of all pages is in a slot, the upper half is devices until somebody adds one.
 */
function layOut(
  { memory, spare }: GuestVm,
  { barePages }: Demand,
): { readonly slots: Slot[]; readonly pages: { base: number; pages: number }[] } {
  const slot = ({ first, end }: PageRange): Slot => {
    return { first, end, page: first, isLeaving: false };
  };
  const mapped = barePages === undefined ? [...memory, spare] : memory;
  const pages = mapped.map(({ first, end }) => ({ base: first, pages: end - first }));
  if (barePages === undefined) return { slots: memory.map(slot), pages };
  return { slots: [slot({ first: 0, end: barePages / 2 })], pages };
}

/** A guest whose slots change gives nothing back by a call of its own. */
function ownerOf(mmu: TdpMmu): Owner {
  const nothing = function* nothing(): Routine<void> {
    // no range is its own to give
  };
  return {
    unmap: nothing,
    removeTables: nothing,
    owns: () => false,
    frameOf: (cpu, gfn) => mmu.backing.resident(cpu, gfn),
  };
}

function changesOf(mmu: TdpMmu, slots: TdpSlots, spare: PageRange): SlotChanges {
  return {
    *add(cpu: Context): Routine<void> {
      yield* addSlot(cpu, slots, spare, spare.first);
    },
    *delete(cpu: Context): Routine<void> {
      yield* deleteSlot(cpu, mmu, slots, spare.first);
    },
  };
}

function bytesNow(machine: Machine, mmu: TdpMmu, { roots }: TdpSlots): number {
  const at = (address: number): number => address;
  return roots
    .seen(machine.memory)
    .reduce((sum, { frame }) => sum + tableBytes(machine, mmu, at, frame), 0);
}
