/**
 * The guest of an exam: its physical memory, its kernel and its vCPU contexts, the same for every
 * design. Words of the guest are formatted by the guest itself when it boots, because where its
 * memory lies is the business of whoever owns it.
 */
import { Arena } from '../alloc/arena.ts';
import { Frames } from '../alloc/frames.ts';
import { GuestKernel, type PageSource } from '../guest/kernel/kernel.ts';
import { kernelServices } from '../guest/kernel/services.ts';
import { answerShootdown } from '../guest/kernel/unmap.ts';
import type { Environment } from '../guest/program/environment.ts';
import type { PageRange } from '../hypervisor/mmu/common.ts';
import type { GuestContext } from '../machine/guest.ts';
import type { Machine } from '../machine/machine.ts';
import type { Routine } from '../runtime/act.ts';
import type { Context } from '../runtime/context.ts';
import type { Demand } from './system.ts';

const FRAME_BYTES = 4096;
/** Tables of a process with a scattered address space, and lists of the CPUs, in frames. */
const TABLES_PER_VCPU = 160;

export interface GuestVm {
  readonly contexts: readonly GuestContext[];
  readonly environments: readonly Environment[];
  /** Guest page ranges that are memory, ascending. */
  readonly memory: readonly PageRange[];
}

export function buildGuestVm(machine: Machine, demand: Demand, level: number): GuestVm {
  const { vcpus, stride } = demand;
  const pool = vcpus * (TABLES_PER_VCPU + (stride === 1 ? demand.pagesPerVcpu : 0)) + 64;
  const arenaFrames = 8 + Math.ceil((pool * 8) / FRAME_BYTES) + 2 * vcpus;
  const arena = new Arena(1, arenaFrames);
  const region = { base: arenaFrames, limit: arenaFrames + pool };
  const frames = new Frames(arena, region, vcpus);
  const contexts = Array.from({ length: vcpus }, (_, i) => machine.guest(level, `guest.${i}`));
  const data = stride === 1 ? frames : new StridedPages(region.limit, stride, demand);
  const kernel = new GuestKernel({
    arena,
    frames,
    format: machine.translator.firstStage,
    vcpus: contexts,
    data,
  });
  const lists = arena.frames(vcpus) * FRAME_BYTES;
  const services = kernelServices(kernel, { first: 1, end: arena.end, lists });
  contexts.forEach((context, i) => {
    context.seat = i;
    context.siblings = contexts;
    context.vector = () => answerShootdown(kernel, context);
  });
  const environments = contexts.map((cpu, index) => ({
    cpu,
    kernel: services,
    index,
    vcpus,
    hostThreads: demand.hostThreads,
  }));
  const base = { first: 0, end: region.limit };
  const strided = data instanceof StridedPages ? data.ranges() : [];
  return { contexts, environments, memory: [base, ...strided] };
}

/** Data pages far apart, so that each lies under tables of its own (condition `upper=absent`). */
class StridedPages implements PageSource {
  readonly #first: number;
  readonly #stride: number;
  readonly #perVcpu: number;
  readonly #vcpus: number;
  readonly #used: number[]; // of each vCPU: private to its context

  constructor(after: number, stride: number, demand: Demand) {
    this.#stride = stride;
    this.#first = (Math.floor(after / stride) + 1) * stride;
    this.#perVcpu = demand.pagesPerVcpu;
    this.#vcpus = demand.vcpus;
    this.#used = new Array<number>(demand.vcpus).fill(0);
  }

  // biome-ignore lint/correctness/useYield: a source may need steps; this one does not
  *take(cpu: Context): Routine<number> {
    const used = this.#used[cpu.seat]!;
    this.#used[cpu.seat] = used + 1;
    return this.#first + (cpu.seat * this.#perVcpu + used) * this.#stride;
  }

  ranges(): PageRange[] {
    return Array.from({ length: this.#vcpus * this.#perVcpu }, (_, i) => {
      const first = this.#first + i * this.#stride;
      return { first, end: first + 1 };
    });
  }
}
