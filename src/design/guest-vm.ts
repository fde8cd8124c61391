/**
 * The guest of an exam: its physical memory, its kernel and its vCPU contexts, the same for every
 * design. Words of the guest are formatted by the guest itself when it boots, because where its
 * memory lies is the business of whoever owns it.
 */

import { REPORT_PAGES } from '../abi/owner.ts';
import { Arena } from '../alloc/arena.ts';
import { Frames } from '../alloc/frames.ts';
import { badInput } from '../base/bad-input.ts';
import type { GuestImage } from '../guest/common/image.ts';
import { DirectMap } from '../guest/kernel/direct-map.ts';
import { handleInterrupt, InterruptWords } from '../guest/kernel/interrupts.ts';
import { GuestKernel, spaceBytes } from '../guest/kernel/kernel.ts';
import { kernelServices } from '../guest/kernel/services.ts';
import type { Environment } from '../guest/program/environment.ts';
import type { PageRange } from '../hypervisor/mmu/common.ts';
import type { GuestContext } from '../machine/guest.ts';
import type { Machine } from '../machine/machine.ts';
import { FRAME_BYTES } from '../machine/memory.ts';
import { dataPages, dataWords, GIB_PAGES } from './guest-memory.ts';
import type { Demand } from './system.ts';

const LINE_BYTES = 64;
/** Tables of a process with a scattered address space, and lists of the CPUs, in frames. */
const TABLES_PER_VCPU = 160;
/** Call words, tags and user words of the kernel, in bytes. */
const KERNEL_WORDS_PER_VCPU = 512;

export interface GuestVm {
  readonly contexts: readonly GuestContext[];
  readonly environments: readonly Environment[];
  /** Guest page ranges that are memory, ascending. */
  readonly memory: readonly PageRange[];
  /** Guest pages of devices, and then where more memory may come: in no slot. */
  readonly devices: PageRange;
  readonly spare: PageRange;
}

const NOWHERE: PageRange = { first: 0, end: 0 };

/** `reach`: by what the kernel's own code reaches its memory; EPT needs no map of it. */
export function buildGuestVm(
  machine: Machine,
  demand: Demand,
  level: number,
  reach: 'second stage' | 'direct map' = 'second stage',
): GuestVm {
  const { vcpus } = demand;
  if (demand.image !== undefined) {
    badInput('this workload is a guest that only design shadow runs: it has tables of its own');
  }
  if (demand.barePages !== undefined) return bareGuest(machine, demand, level, demand.barePages);
  const pool = vcpus * (TABLES_PER_VCPU + Math.ceil(demand.pagesPerVcpu / 256)) + 64;
  const spaces = demand.spaces && { ...demand.spaces, dataPages: vcpus * demand.pagesPerVcpu };
  const kernelWords = vcpus * KERNEL_WORDS_PER_VCPU;
  const own =
    (spaces === undefined ? 0 : spaceBytes(spaces, vcpus)) +
    (demand.interrupts === undefined ? 0 : vcpus * InterruptWords.bytes + LINE_BYTES);
  const words = pool * 8 + dataWords(demand) + kernelWords + own;
  const arenaFrames = 8 + Math.ceil(words / FRAME_BYTES) + vcpus * REPORT_PAGES;
  const arena = new Arena(1, arenaFrames);
  const region = { base: arenaFrames, limit: arenaFrames + pool };
  const frames = new Frames(arena, region, vcpus);
  const contexts = Array.from({ length: vcpus }, (_, i) => machine.guest(level, `guest.${i}`));
  const data = dataPages(arena, region.limit, demand);
  const kernel = new GuestKernel({
    arena,
    frames,
    format: machine.translator.firstStage,
    vcpus: contexts,
    data,
    spaces,
    direct:
      reach === 'second stage'
        ? undefined
        : new DirectMap(machine.translator.firstStage, [
            { first: 0, end: region.limit },
            ...data.ranges,
          ]),
  });
  const interrupts = demand.interrupts && {
    base: arena.take(vcpus * InterruptWords.bytes),
    tickCycles: demand.interrupts.tickCycles,
  };
  const lists = arena.frames(vcpus * REPORT_PAGES) * FRAME_BYTES;
  const services = kernelServices(kernel, { first: 1, end: arena.end, lists }, interrupts);
  contexts.forEach((context, i) => {
    context.seat = i;
    context.siblings = contexts;
    context.apic.signalsEnd = demand.interrupts?.signalsEnd === true;
    context.vector = (vector) => handleInterrupt(kernel, interrupts, context, vector);
  });
  const memory = [{ first: 0, end: region.limit }, ...data.ranges];
  const { devices, spare } = beyond(memory, demand);
  const environments = contexts.map((cpu, index) => ({
    cpu,
    kernel: services,
    index,
    vcpus,
    hostThreads: demand.hostThreads,
    device: devices.first,
  }));
  return { contexts, environments, memory, devices, spare };
}

/** Beyond all memory, each in a GiB of its own. */
function beyond(
  memory: readonly PageRange[],
  { slots }: Demand,
): { readonly devices: PageRange; readonly spare: PageRange } {
  if (slots === undefined) return { devices: NOWHERE, spare: NOWHERE };
  const first = Math.ceil(memory.at(-1)!.end / GIB_PAGES) * GIB_PAGES;
  const above = (Math.floor((first + slots.devices) / GIB_PAGES) + 1) * GIB_PAGES;
  return {
    devices: { first, end: first + slots.devices },
    spare: { first: above, end: above + slots.spare },
  };
}

/** A guest that brings everything along: its contexts and where its memory is. */
export function imageGuest(machine: Machine, demand: Demand, image: GuestImage): GuestVm {
  const bare = bareGuest(machine, demand, 1, 0);
  return { ...bare, memory: image.memory };
}

/** Contexts and nothing else: whoever explores gives them what they run. */
function bareGuest(machine: Machine, demand: Demand, level: number, pages: number): GuestVm {
  const contexts = Array.from({ length: demand.vcpus }, (_, i) => {
    const context = machine.guest(level, `guest.${i}`);
    context.seat = i;
    return context;
  });
  for (const context of contexts) context.siblings = contexts;
  const memory = [{ first: 0, end: pages }];
  return { contexts, environments: [], memory, devices: NOWHERE, spare: NOWHERE };
}
