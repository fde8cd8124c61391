/**
 * What a design is and what it builds: a machine with its contexts in place, ready for a scheduler.
 * A design composes hypervisor and guest parts; it knows neither the workload nor who watches.
 */

import { Arena, type Placed } from '../alloc/arena.ts';
import { Frames } from '../alloc/frames.ts';
import type { View } from '../check/invariant/view.ts';
import type { Oracle } from '../check/oracle/specification.ts';
import type { FramePool, StatePromise } from '../check/promise.ts';
import type { GuestImage } from '../guest/common/image.ts';
import type { Environment } from '../guest/program/environment.ts';
import type { PageRange } from '../hypervisor/mmu/common.ts';
import type { Platform } from '../hypervisor/platform.ts';
import { virtOf } from '../hypervisor/virt/index.ts';
import type { HostileHardware, Spaces } from '../machine/explored/adversary.ts';
import type { Geometry } from '../machine/format/format.ts';
import type { GuestContext } from '../machine/guest.ts';
import { Instruction } from '../machine/instruction.ts';
import type { Machine } from '../machine/machine.ts';
import type { Routine } from '../runtime/act.ts';
import type { Context } from '../runtime/context.ts';
import type { Likeness } from '../runtime/hart.ts';

/** What a workload needs from the system it runs on. */
export interface Demand {
  readonly vcpus: number;
  /** Guest pages that programs of one vCPU may touch, tables not counted. */
  readonly pagesPerVcpu: number;
  /** Distance between the guest frames of data pages; 1 = consecutive. */
  readonly stride: number;
  /** Threads of L0 beside the vCPU threads, each on a CPU of its own. */
  readonly hostThreads: number;
  /** Interrupts of the guest's kernel; undefined: it takes shootdowns only. */
  readonly interrupts?: InterruptDemand | undefined;
  /** Files of a guest whose processes have areas; undefined: none has. */
  readonly spaces?: { readonly files: number; readonly filePages: number } | undefined;
  /**
   * Guests without a kernel: so many pages of guest-physical memory from 0 on, which programs touch
   * directly. What an exploration uses.
   */
  readonly barePages?: number;
  /** Whether slots may be logged while the guest runs; never unless given. */
  readonly logs?: boolean;
  /** Whether a guest hypervisor may open windows (KPOP); never unless given. */
  readonly windows?: boolean;
  /** Slots that come and go while the guest runs, and pages in none of them; never unless given. */
  readonly slots?: SlotDemand | undefined;
  /** A guest that is one program with tables of its own, instead of a kernel with processes. */
  readonly image?: GuestImage;
}

export interface SlotDemand {
  /** Pages of devices, in no slot. */
  readonly devices: number;
  /** Pages of user space's memory of which a slot may be made later. */
  readonly spare: number;
}

export interface InterruptDemand {
  /** Cycles between two ticks; 0: none. */
  readonly tickCycles: number;
  /** Whether handlers signal the end of an interrupt to the APIC. */
  readonly signalsEnd: boolean;
}

/** Counting conditions that change what a system does (DESIGN.md section 5). */
export interface Conditions {
  /** Whether L1's memory is mapped in L0 before the exam. */
  readonly l1: 'warm' | 'cold';
  /** APIC virtualisation, IPI virtualisation included. */
  readonly apicv: 'on' | 'off';
  /**
   * How the end of a virtual interrupt is signalled: by a paravirtual flag, at no price, or by the
   * APIC's register, which exits without APIC virtualisation; `pv` unless given.
   */
  readonly eoi?: 'pv' | 'apic';
  /** Timer interrupts of the guest's kernel, per second and vCPU; the workload's unless given. */
  readonly tick?: Tick;
  /** Pages of the host behind a slot that has room for whole ones; 4 KiB unless given. */
  readonly pages?: HostPages;
  /** Levels of second-stage tables, and of the guest's own; 4 unless given. */
  readonly levels?: '4' | '5';
  readonly guestLevels?: '4' | '5';
}

export type Tick = 'none' | '100hz' | '250hz' | '1000hz';
export type HostPages = '4k' | '2m' | '1g';

export interface System {
  readonly machine: Machine;
  /** One per vCPU of the guest whose programs are the exam; bodies are pushed by the experiment. */
  readonly environments: readonly Environment[];
  /** What a host thread does so that the given guest pages lose their second-stage entries. */
  hostInvalidate(cpu: Context, gfns: readonly number[]): Routine<void>;
  /** What user space of the host does to learn what is written to; not of every design. */
  readonly log?: DirtyLog;
  /** What user space of the host does to the guest's memory slots, where they change. */
  readonly slots?: SlotChanges;
  /**
   * One turn of the worker that makes pages huge again which a fetch has split: takes one in
   * `ratio` of them away; how many.
   */
  recoverHuge?(cpu: Context, ratio: number): Routine<number>;
  /** Bytes of second-stage tables of all levels, and of other books that track guest memory. */
  memory(): { tableBytes: number; bookBytes: number };
  /** What a checker may ask of the system and do with it; nothing is checked without. */
  readonly checked?: Checked;
}

/** One more memory slot, beside all those of the guest that is measured. */
export interface SlotChanges {
  add(cpu: Context): Routine<void>;
  delete(cpu: Context): Routine<void>;
}

/** Dirty logging of all memory of the guest that is measured. */
export interface DirtyLog {
  start(cpu: Context): Routine<void>;
  /** How many pages were written to since it was asked last. */
  harvest(cpu: Context): Routine<number>;
  stop(cpu: Context): Routine<void>;
  /** Starts the thread that asks, where that is none of L0's. */
  seat?(body: (me: Context) => Routine<void>): void;
}

/** An operation that a thread of the host may perform on a range of guest pages. */
export type Operation = (cpu: Context, range: PageRange) => Routine<void>;

/**
 * Acts of host threads on a frame that was taken from the pool a moment ago: who could reach it
 * still was found when it was free.
 */
export const FRESH: readonly number[] = [Instruction.zeroFrame];

/** Hypercalls from this number on name what `Checked.asked` lists. */
export const ASKED = 64;

/** What a CPU in guest mode can use at this moment. */
export interface GuestUse {
  readonly hart: number;
  /** The space that it runs in. */
  readonly space: number;
  /** Numbers of everything that is cached there, of all spaces. */
  readonly cached: readonly number[];
  readonly hardware: HostileHardware;
  /** Whether some CPU holds a lock. */
  readonly locked: boolean;
}

/** The kernel of a guest that has page tables of its own: what it is asked for it does itself. */
export interface CheckedKernel {
  readonly asked: Readonly<Record<string, (cpu: GuestContext) => Routine<void>>>;
  /** An access of a program; false: the kernel's tables do not permit it. */
  access(cpu: GuestContext, page: number, kind: 'read' | 'write'): Routine<boolean>;
}

/** A system as a checker sees it. */
export interface Checked {
  /** Frames of the second-stage roots under which the guest's programs run. */
  readonly roots: readonly number[];
  readonly operations: Readonly<Record<string, Operation>>;
  /** Maps a range before anybody runs. */
  premap(range: PageRange): void;
  /**
   * Told before anybody runs what the threads of the host will do, each by the names of its
   * operations.
   */
  begin?(threads: readonly (readonly string[])[]): void;
  /** Pools whose free frames nobody may touch. */
  readonly pools: readonly FramePool[];
  /**
   * Why a CPU in guest mode must not be able to use `frame` for `page` with these rights (RIGHT_*
   * of the machine) now; or undefined.
   */
  misuse(view: View, page: number, frame: number, rights: number): string | undefined;
  /** Whether at most one frame per page may be usable at any instant, on all CPUs together. */
  readonly exclusive: boolean;
  /**
   * Flushes are broadcasts, which no interrupt comes with: a CPU has answered one when accesses by
   * what it drops are over, so stores of guests do not linger in its buffer.
   */
  readonly broadcasts?: boolean;
  /** Labels of waits at which no lock may be held. */
  readonly freeHanded: readonly string[];
  /** Objects that only the code of one hart changes; their fields are part of its local state. */
  privates(hart: number): readonly object[];
  readonly promises: readonly StatePromise[];
  /** Operation codes of acts that are no moves of their own (`World.silent`); none unless given. */
  readonly silent?: readonly number[];
  /** Words of which only a part matters; none unless given. */
  readonly likenesses?: readonly Likeness[];
  /** Spaces that CPUs in guest mode use; those of `roots`, in one format, unless given. */
  readonly spaces?: Spaces;
  /**
   * The same question as `misuse` and `exclusive` where the answer depends on the CPU: the promise
   * that what a CPU in guest mode can use breaks, and why.
   */
  judgeUse?(view: View, use: GuestUse): readonly [promise: string, why: string] | undefined;
  /** Labels of what its axes leave out: no litmus program is too easy for want of these. */
  readonly lacks?: readonly string[];
  /** What the guest's hypervisor may be asked for by a hypercall: number `ASKED` and on. */
  readonly asked?: readonly string[];
  /** Guests with page tables of their own. */
  readonly kernel?: CheckedKernel;
  /** Labels of what goes on for ever when it is done again and again; `run.enter` unless given. */
  readonly repeated?: readonly string[];
  /** What the operations do, by specification; only of systems that say when they begin. */
  readonly oracle?: Oracle<unknown>;
  /** Words of a specification that stands in for code: what a step of it touches is one act. */
  readonly specified?: { readonly at: number; readonly bytes: number };
  /** Structures at host-physical places, so that words have names in counterexamples. */
  readonly structures?: readonly Placed[];
}

export interface Axis {
  /** Whose machines alone can have another value than the default. */
  readonly vendor?: 'intel' | 'amd';
  /** What a litmus must need for the axis to matter to it (`needsOf`); nothing unless given. */
  readonly concerns?: readonly string[];
  readonly values: readonly string[];
  readonly default: string;
  readonly describe: string;
  /** Values that build the same as another one where a check builds it, and which one that is. */
  readonly alike?: Readonly<Record<string, string>>;
}

/** A system as it was: with this value of an axis, programs that do such things break a promise. */
export interface KnownBroken {
  readonly axis: string;
  readonly value: string;
  /** What a litmus program must need (`needsOf`) to meet it. */
  readonly needs: readonly string[];
}

export interface Design {
  readonly id: string;
  readonly title: string;
  readonly axes: Readonly<Record<string, Axis>>;
  readonly source: string;
  readonly leavesOut: readonly string[];
  /** Whether guest memory can be logged (`System.log`). */
  readonly logs?: true;
  /** Whether a guest may have devices, and slots that come and go (`System.slots`). */
  readonly changesSlots?: true;
  /** Whether it may keep huge pages from being executed (`System.recoverHuge`). */
  readonly recoversHuge?: true;
  /** What a comparison with the other designs isolates. */
  readonly isolates: string;
  /** Sizes of the host's pages that it can map; 4 KiB only unless given. */
  readonly pages?: readonly HostPages[];
  readonly explored?: {
    /** Tables of explorations where they are not the smallest. */
    readonly secondStage?: Geometry;
    /** Whose processors explorations have; Intel's unless given. */
    readonly vendor?: 'intel' | 'amd';
    /** There is no second stage: hardware walks first-stage tables that the hypervisor makes. */
    readonly isFlat?: true;
    /** What the modelled system itself breaks; a check of that is expected to find it. */
    readonly breaks?: readonly KnownBroken[];
  };
  build(machine: Machine, demand: Demand, axes: Axes, conditions: Conditions): System;
}

export type Axes = Readonly<Record<string, string>>;

const HOST_ARENA_FRAMES = 1 << 18;
const HOST_POOL_FRAMES = 1 << 22;

/** The bare machine as the host's platform. */
export function hostPlatform(machine: Machine): Platform {
  const limit = Math.min(machine.memory.frameLimit, HOST_ARENA_FRAMES + HOST_POOL_FRAMES);
  const base = Math.min(HOST_ARENA_FRAMES, Math.floor(limit / 2));
  const arena = new Arena(1, base);
  const region = { base, limit };
  const boot = machine.memory;
  const cpus = machine.cpus.length;
  const frames = new Frames(arena, region, cpus);
  const virt = virtOf(machine.preset);
  return { name: 'l0', arena, frames, cpus, boot, virt };
}
