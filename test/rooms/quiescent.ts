/**
 * A system after a random run under the timed scheduler, with everything that the readers of
 * src/check/invariant ask for: its parts (observed.ts), memory of the host and of L1.
 */
import type { Frames } from '../../src/alloc/frames.ts';
import type { Slab } from '../../src/alloc/slab.ts';
import { Random } from '../../src/base/random.ts';
import { framesOwned, type PoolUse } from '../../src/check/invariant/frames-owned.ts';
import { kpopBook, type SlotBook, type SlotCodec } from '../../src/check/invariant/kpop-book.ts';
import { kpopEntries, kpopGenerations } from '../../src/check/invariant/kpop-entries.ts';
import { kpopReverse } from '../../src/check/invariant/kpop-reverse.ts';
import { kpopTree } from '../../src/check/invariant/kpop-tree.ts';
import {
  backingClaim,
  deferredOf,
  isFrame,
  mmuClaims,
} from '../../src/check/invariant/mmu-frames.ts';
import { nestedComposition } from '../../src/check/invariant/nested-composition.ts';
import { shadowReverse, shadowTracking } from '../../src/check/invariant/shadow-books.ts';
import { shadowPages } from '../../src/check/invariant/shadow-pages.ts';
import { tdpBacking } from '../../src/check/invariant/tdp-backing.ts';
import { guestView, hostView, Onlooker, type View } from '../../src/check/invariant/view.ts';
import { assemble } from '../../src/design/assemble.ts';
import { parseDesign } from '../../src/design/index.ts';
import type { System } from '../../src/design/system.ts';
import { DEFAULT_CONDITIONS } from '../../src/experiment/run.ts';
import { isReadOnly, l1gfnOf, SlotState, stateOf } from '../../src/guest/l1/book/slot.ts';
import type { KpopGuest } from '../../src/guest/l1/kpop.ts';
import type { AnonymousBacking } from '../../src/hypervisor/backing/anonymous.ts';
import type { PageRange } from '../../src/hypervisor/mmu/common.ts';
import type { Space } from '../../src/hypervisor/mmu/kpop/space.ts';
import type { ShadowMmu } from '../../src/hypervisor/mmu/shadow/mmu.ts';
import { ShadowPage } from '../../src/hypervisor/mmu/shadow/page.ts';
import type { TdpMmu } from '../../src/hypervisor/mmu/tdp/mmu.ts';
import type { Platform } from '../../src/hypervisor/platform.ts';
import { intelCascadeLake } from '../../src/machine/preset/intel-cascade-lake.ts';
import { Unit } from '../../src/machine/preset/price.ts';
import type { Routine } from '../../src/runtime/act.ts';
import type { Context } from '../../src/runtime/context.ts';
import { runTimed } from '../../src/schedule/timed.ts';
import { hostPart, parseWorkload, seatPrograms } from '../../src/workload/index.ts';
import type { Plan } from '../../src/workload/workload.ts';
import { forget, madeOf } from './observed.ts';

export interface Quiescent {
  readonly system: System;
  readonly host: View;
  /** Of L1; the host's where there is no L1. */
  readonly l1: View;
  readonly l1Pages: number;
  /** The host's MMU for its guest, and L1's for its own, if it has one. */
  readonly tdp: TdpMmu;
  readonly upper: TdpMmu | undefined;
  readonly shadow: ShadowMmu | undefined;
  readonly space: Space | undefined;
  readonly hypervisor: KpopGuest | undefined;
  /** Pages of the exam's guest that are memory. */
  readonly guestMemory: readonly PageRange[];
}

export interface RandomRun {
  readonly design: string;
  readonly plan: Plan;
  readonly vcpus: number;
  readonly seed: number;
  /** How often a thread of the host takes entries away while the guest runs. */
  readonly invalidations?: number;
}

export function runToRest(run: RandomRun): Quiescent {
  forget();
  const { plan, vcpus, seed, invalidations = 0 } = run;
  const hostThreads = plan.withdrawn === undefined && invalidations === 0 ? 0 : 1;
  const { pagesPerVcpu, stride } = plan;
  const system = assemble(parseDesign(run.design), {
    preset: intelCascadeLake,
    cpus: vcpus + hostThreads,
    trace: { event: () => undefined },
    softwareScale: 1,
    demand: { vcpus, pagesPerVcpu, stride, hostThreads },
    conditions: DEFAULT_CONDITIONS,
  });
  seatPrograms(system.environments, plan, (vcpu) => new Random(seed, vcpu).below(4096));
  const parts = partsOf(system);
  if (hostThreads === 1) {
    system.machine.hostThread(vcpus, 'host', (me) => hostBody(me, run, parts));
  }
  const { stuck } = runTimed(system.machine);
  if (stuck.length > 0) throw new Error(`${stuck.join(', ')} wait for ever`);
  return parts;
}

function partsOf(system: System): Quiescent {
  const host = hostView(system.machine.memory);
  const [tdp, upper] = madeOf<TdpMmu>('TdpMmu').map(({ object }) => object) as [TdpMmu, TdpMmu];
  const ranges = madeOf<AnonymousBacking>('AnonymousBacking').map(({ args }) => args[1]) as {
    base: number;
    pages: number;
  }[][];
  const one = <T>(name: string): T | undefined => madeOf<T>(name)[0]?.object;
  const isNested = ranges.length > 1;
  return {
    system,
    host,
    l1: isNested ? guestView(host, (gfn) => tdp.backing.peekFrame(host, gfn)) : host,
    l1Pages: isNested ? ranges[0]![0]!.pages : 0,
    tdp,
    upper,
    shadow: one<ShadowMmu>('ShadowMmu'),
    space: one<Space>('Space'),
    hypervisor: one<KpopGuest>('KpopGuest'),
    guestMemory: ranges.at(-1)!.map(({ base, pages }) => ({ first: base, end: base + pages })),
  };
}

/** Lets the vCPUs begin, then takes entries of resident pages away, again and again. */
function* hostBody(cpu: Context, run: RandomRun, parts: Quiescent): Routine<void> {
  const { plan, vcpus, invalidations = 0 } = run;
  const { system } = parts;
  yield* hostPart(cpu, vcpus, (me) => system.hostInvalidate(me, plan.withdrawn ?? []));
  const random = new Random(run.seed, 1000);
  for (let i = 0; i < invalidations; i++) {
    cpu.spend(Unit.zeroPage, 1 + random.below(30));
    const gfns = residentPages(parts, random);
    if (gfns.length > 0) yield* system.hostInvalidate(cpu, gfns);
  }
}

function residentPages(parts: Quiescent, random: Random): number[] {
  const { backing, view } = ownerOf(parts);
  const chosen = new Set<number>();
  for (let i = 0; i < 12; i++) {
    const range = parts.guestMemory[1 + random.below(parts.guestMemory.length - 1)]!;
    const gfn = range.first + random.below(range.end - range.first);
    if (backing.peekFrame(view, gfn) >= 0) chosen.add(gfn);
  }
  return [...chosen];
}

/** Who backs the exam's guest, and in which memory. */
function ownerOf(parts: Quiescent): { backing: AnonymousBacking; view: View } {
  if (parts.hypervisor !== undefined) return { backing: parts.hypervisor.backing, view: parts.l1 };
  return { backing: (parts.upper ?? parts.tdp).backing, view: parts.l1 };
}

/** Everything that is wrong with it. */
export function complaints(q: Quiescent): string[] {
  const { host, l1, l1Pages, tdp, upper, shadow, space, hypervisor, guestMemory } = q;
  const wrong = [...tdpBacking(host, tdp), ...framesOwned(host, hostPool(q))];
  if (upper !== undefined) wrong.push(...tdpBacking(l1, upper));
  if (l1Pages > 0) wrong.push(...framesOwned(l1, l1Pool(q)));
  if (shadow !== undefined) {
    const views = { host, l1, l1Pages };
    wrong.push(...nestedComposition(views, shadow, tdp));
    wrong.push(...shadowReverse(views, shadow), ...shadowTracking(views, shadow, tdp));
  }
  if (space !== undefined) {
    wrong.push(...kpopEntries(host, space), ...kpopGenerations(host, space));
    wrong.push(...kpopReverse(host, space, l1Pages));
    wrong.push(...kpopBook({ host, l1 }, space, slotsOf(hypervisor!), guestMemory));
  }
  return wrong;
}

/** L1's book as a checker reads it. */
export function slotsOf({ book }: KpopGuest): SlotBook & SlotCodec {
  return {
    wordOf: (cpu, l2gfn) => book.wordOf(cpu, l2gfn),
    l1gfn: l1gfnOf,
    isValid: (word) => stateOf(word) === SlotState.valid,
    isReadOnly,
  };
}

/** The plan of a workload that replays no recording. */
export function planOf(workload: string, vcpus: number): Plan {
  const work = parseWorkload(workload);
  return work.workload.plan(work.settings, vcpus, new Map());
}

/** What the host's pool was used for. */
export function hostPool(q: Quiescent): PoolUse {
  const { tdp, host, shadow, space } = q;
  const range = q.l1Pages > 0 ? [{ first: 0, end: q.l1Pages }] : q.guestMemory;
  const claims = [...mmuClaims(host, tdp), backingClaim(host, tdp.backing, range)];
  if (space !== undefined) {
    const [, ...tables] = kpopTree(host, space).tables; // the root's frames are of the boot region
    const frames = tables.flatMap(({ hardware, intents, items }) => [hardware, intents, items]);
    claims.push({ owner: 'a table page of KPOP', frames });
  }
  if (shadow !== undefined) {
    const frames = shadowPages(host, shadow, q.l1Pages).flatMap((sp) => [sp.table, sp.mapped]);
    claims.push({ owner: 'a shadow page', frames });
    claims.push({ owner: 'spares of the shadow', frames: shadowSpares(host, shadow) });
  }
  return { ...poolOf(tdp.platform), deferred: deferredOf(tdp), claims };
}

/** What L1's pool was used for, in L1's frames. */
export function l1Pool(q: Quiescent): PoolUse {
  const { backing, view } = ownerOf(q);
  const claims = [backingClaim(view, backing, q.guestMemory)];
  if (q.upper !== undefined) claims.push(...mmuClaims(view, q.upper));
  const platform = q.upper?.platform ?? q.hypervisor!.platform;
  const deferred = q.upper === undefined ? undefined : deferredOf(q.upper);
  return { ...poolOf(platform), deferred, claims };
}

function poolOf(platform: Platform): Pick<PoolUse, 'pool' | 'cpus' | 'slabs'> {
  const slabs = madeOf<Slab>('Slab')
    .filter(({ args }) => (args[1] as Frames) === platform.frames)
    .map(({ object, args }) => ({ slab: object, bytes: args[2] as number }));
  return { pool: platform.frames, cpus: platform.cpus, slabs };
}

/** Each new SP takes two spares: its table and its notes. */
function shadowSpares(view: View, mmu: ShadowMmu): number[] {
  const spares: number[] = [];
  for (let seat = 0; seat < mmu.platform.cpus; seat++) {
    const onlooker = new Onlooker(view, seat);
    for (let gfn = 0; ; gfn++) {
      const { page } = onlooker.run((me) => mmu.get(me, gfn, 9))!; // of a level that no SP has
      const { table, mapped } = ShadowPage.at;
      const frames = [onlooker.me.read(page + table), onlooker.me.read(page + mapped)];
      if (!frames.every(isFrame)) break;
      spares.push(...frames);
    }
  }
  return spares;
}
