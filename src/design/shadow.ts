/**
 * KVM's legacy shadow paging, not nested: without EPT the owner of the guest's memory mirrors the
 * guest's own tables in tables of its own, which hardware walks.
 */

import { defect } from '../base/assert.ts';
import { badInput } from '../base/bad-input.ts';
import type { GuestImage } from '../guest/common/image.ts';
import { DirectMap } from '../guest/kernel/direct-map.ts';
import { AnonymousBacking } from '../hypervisor/backing/anonymous.ts';
import { stopVcpus } from '../hypervisor/flush/stop.ts';
import { MmuWords, type PageRange } from '../hypervisor/mmu/common.ts';
import { ShadowMmu } from '../hypervisor/mmu/shadow/mmu.ts';
import { Role } from '../hypervisor/mmu/shadow/page.ts';
import { answerOwnerCalls, type Owner } from '../hypervisor/owner.ts';
import type { Platform } from '../hypervisor/platform.ts';
import { shadowExits, type UserSpace } from '../hypervisor/shadow/exits.ts';
import { prepareRoot } from '../hypervisor/shadow/roots.ts';
import { newShadowVcpu, type ShadowVm } from '../hypervisor/shadow/state.ts';
import { longModeTables } from '../hypervisor/shadow/tables.ts';
import { shadowTeardown, shadowUnmap } from '../hypervisor/shadow/unmap.ts';
import type { Vm } from '../hypervisor/vcpu.ts';
import { vmxWithoutEpt } from '../hypervisor/virt/vmx-flat.ts';
import { SUPERVISOR, USER } from '../machine/format/judge.ts';
import type { GuestContext } from '../machine/guest.ts';
import type { Machine } from '../machine/machine.ts';
import type { Routine } from '../runtime/act.ts';
import { Event } from '../runtime/trace.ts';
import { rwlock } from '../sync/rwlock.ts';
import { buildGuestVm, type GuestVm, imageGuest } from './guest-vm.ts';
import { addVcpus, startVcpus } from './host.ts';
import { bootGuest, checkedShadow } from './shadow-checked.ts';
import { GUEST_FRAMES } from './shadow-guest.ts';
import { type Axes, type Demand, type Design, hostPlatform, type System } from './system.ts';
import { hostExits, rangesOf, slotsOf } from './tdp.ts';

/** The paging mode of the guests that there are: long mode, NX, CR0.WP, no SMEP, no SMAP. */
const MODE = Role.ofMode({ nxe: true, wp: true, smep: false, smap: false });

export const shadow: Design = {
  id: 'shadow',
  title: 'KVM legacy shadow paging, not nested: the guest’s own tables are mirrored',
  axes: {
    unsync: {
      values: ['on', 'off'],
      default: 'on',
      describe: 'whether a shadowed leaf table may be written without an exit until it is synced',
    },
    supervisor: {
      values: ['native', 'emulated'],
      default: 'native',
      alike: { emulated: 'native' }, // guests of explorations have no instructions
      describe:
        'whether hardware runs supervisor code of the guest (VMX without EPT), or the host ' +
        'emulates it (no VMX: only guests whose program is all there is, as shadow-guest)',
    },
  },
  source: 'Linux 6.12 arch/x86/kvm/mmu/mmu.c, paging_tmpl.h, x86.c; primer/x86.md section 3',
  leavesOut: [
    'quotas of shadow pages, 32-bit and PAE guests, SMEP and SMAP, large host pages, MMIO',
    'page faults of a kernel’s plain words after a switch of roots; its text and its stack',
    'INVVPID of one address (the whole tag is dropped), batches and lock breaks of long syncs',
    'emulation of supervisor code: of the instructions that handlers in recordings have',
  ],
  isolates: 'what mirroring the guest’s own tables costs, where no second stage exists',
  explored: { isFlat: true },
  build(machine, demand, axes, conditions): System {
    if (machine.vendor.id !== 'intel') {
      badInput('design shadow is made of VMX without EPT: it needs a machine that has VMX');
    }
    const platform: Platform = { ...hostPlatform(machine), virt: vmxWithoutEpt };
    const guest = guestOf(machine, demand, axes);
    const vm: Vm = { name: 'guest', platform, vcpus: [] };
    const isExplored = demand.barePages !== undefined;
    const memory = isExplored ? [{ first: 0, end: GUEST_FRAMES }] : guest.memory;
    const own = shadowVm(machine, vm, { contexts: guest.contexts, memory }, axes);
    const { image } = demand;
    const exits = new Map([
      ...hostExits(() => defect('shadow', 'a violation without EPT'), answerOwnerCalls(owner(own))),
      ...shadowExits({
        vm: own,
        supervisor: axes['supervisor'] === 'emulated' ? image?.tables : undefined,
        userSpace: image === undefined ? undefined : userSpaceOf(own, image),
      }),
    ]);
    const virtualIpis = conditions.apicv === 'on';
    addVcpus(vm, guest.contexts, { root: 0, vpid: 1, virtualIpis }, exits, (cpu, v) =>
      prepareRoot(cpu, v, own),
    );
    for (const context of isExplored ? [] : guest.contexts) {
      context.plainFrame = (page) => own.backing.peekFrame(machine.memory, page);
    }
    if (isExplored) bootGuest(machine, own);
    if (image !== undefined) install(machine, own, guest, image);
    startVcpus(machine, vm);
    return {
      machine,
      environments: guest.environments,
      hostInvalidate: (cpu, gfns) => shadowUnmap(cpu, own, rangesOf(gfns), 'keep'),
      memory: () => {
        const { tables, books } = own.mmu.bytes((at) => machine.memory.read(at));
        return { tableBytes: tables, bookBytes: books };
      },
      ...(isExplored ? { checked: checkedShadow(machine, own) } : {}),
    };
  },
};

function guestOf(machine: Machine, demand: Demand, axes: Axes): GuestVm {
  const { image, barePages } = demand;
  const emulated = axes['supervisor'] === 'emulated' && barePages === undefined;
  if (emulated && image === undefined) {
    return badInput(
      'design shadow: supervisor=emulated needs a guest that is one program with its own gates, ' +
        'as workload shadow-guest; a kernel of this model is not made of instructions',
    );
  }
  const guest =
    image === undefined
      ? buildGuestVm(machine, demand, 1, 'direct map')
      : imageGuest(machine, demand, image);
  const { firstStage } = machine.translator;
  for (const context of guest.contexts) {
    context.deprivileged = emulated;
    context.direct =
      image === undefined && barePages === undefined
        ? { base: DirectMap.base(firstStage), privilege: SUPERVISOR }
        : { base: 0, privilege: USER };
  }
  return guest;
}

function shadowVm(
  machine: Machine,
  vm: Vm,
  guest: Pick<GuestVm, 'contexts' | 'memory'>,
  axes: Axes,
): ShadowVm {
  const { platform } = vm;
  const { firstStage } = machine.translator;
  const backing = new AnonymousBacking(platform, slotsOf(guest.memory));
  const mmu = new ShadowMmu({
    platform,
    format: firstStage,
    backing,
    memory: guest.memory,
    header: 'full',
  });
  const words = platform.arena.place(MmuWords);
  return {
    vm,
    mmu,
    backing,
    tables: longModeTables(vm, mmu, backing, MODE),
    judge: firstStage.judge,
    mode: MODE,
    words,
    lock: rwlock(words + MmuWords.at.lock, 'l0.mmu'),
    memory: guest.memory,
    unsync: axes['unsync'] === 'off' ? 'off' : 'on',
    reload: platform.arena.take(64),
    vcpus: guest.contexts.map(newShadowVcpu),
  };
}

function owner(vm: ShadowVm): Owner {
  return {
    unmap: (cpu, ranges) => shadowUnmap(cpu, vm, ranges, 'free'),
    // There are no tables by guest frame: what maps the range goes, and what mirrors stays.
    removeTables: (cpu, range) => shadowUnmap(cpu, vm, within(vm.memory, range), 'keep'),
    owns: (range) => vm.backing.covers(range),
    frameOf: (cpu, gfn) => vm.backing.resident(cpu, gfn),
  };
}

/** The parts of a range that are memory, ascending. */
function within(memory: readonly PageRange[], { first, end }: PageRange): PageRange[] {
  return memory
    .map((part) => ({ first: Math.max(part.first, first), end: Math.min(part.end, end) }))
    .filter((part) => part.first < part.end);
}

/** The image's memory is resident, and its words are in it. */
function install(machine: Machine, vm: ShadowVm, guest: GuestVm, image: GuestImage): void {
  const { memory } = machine;
  const { frames } = vm.mmu.platform;
  for (const { first, end } of image.memory) {
    const pfn = frames.reserve(memory, end - first);
    for (let gfn = first; gfn < end; gfn++) vm.backing.install(memory, gfn, pfn + gfn - first);
  }
  for (const { at, lo, hi } of image.words) {
    const frame = vm.backing.peekFrame(memory, Math.floor(at / 4096));
    memory.writeHalves(frame * 4096 + (at % 4096), lo, hi);
  }
  guest.contexts.forEach((context: GuestContext, i) => {
    context.regime.cr3 = image.root;
    context.push(image.body(context, i));
  });
}

/**
 * What user space does after the guest's OUTs: the deeds of the image, one list after the other.
 */
function userSpaceOf(vm: ShadowVm, image: GuestImage): UserSpace {
  let next = 0; // private to the thread of vCPU 0
  return function* userSpace(cpu, v): Routine<void> {
    if (v.index !== 0) return;
    for (const deed of image.deeds[next++] ?? []) {
      if (deed.kind === 'phase') cpu.note(Event.phase, deed.number, 0);
      else if (deed.kind === 'discard') yield* shadowUnmap(cpu, vm, [deed.frames], 'free');
      else {
        yield* stopVcpus(cpu, vm.vm, v);
        v.own.guest.kill();
        yield* shadowTeardown(cpu, vm);
      }
    }
  };
}
