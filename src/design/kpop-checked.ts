/**
 * KPOP's L0 by itself, for exploration: address space, entries, flush, fills and the host's
 * invalidation are the product's code; L1 is the most general one, a thread that makes any of its
 * calls at any time. Where a fault of L2 is L1's to decide, the vCPU's own thread does what the
 * best L1 would ask for (MAP with the fault's epoch), as its fused RUN does.
 *
 * Leaves out: RUN's claim and state page, argument lists, L1's own code: those are explored in the
 * whole stack.
 */
import { MAP_PROMOTE, PROT_ALL, PROT_EXECUTE, PROT_READ, PROT_WRITE, Status } from '../abi/kpop.ts';
import { defect } from '../base/assert.ts';
import { kpopLogged } from '../check/invariant/kpop-log.ts';
import { kpopPromises, misuseOfKpop, type Revoked } from '../check/invariant/kpop-state.ts';
import { kpopWindows } from '../check/invariant/kpop-windows.ts';
import { kpopOracle } from '../check/oracle/kpop-words.ts';
import { AnonymousBacking } from '../hypervisor/backing/anonymous.ts';
import { kpopPml } from '../hypervisor/kpop/pml.ts';
import type { PageRange } from '../hypervisor/mmu/common.ts';
import { kpopAge } from '../hypervisor/mmu/kpop/age.ts';
import { enterSpace, joinFlush, leaveSpace } from '../hypervisor/mmu/kpop/flush.ts';
import { type FillOutcome, kpopFill, kpopMap } from '../hypervisor/mmu/kpop/map.ts';
import { kpopMapHuge } from '../hypervisor/mmu/kpop/map-huge.ts';
import { kpopProtect, nothingProtected } from '../hypervisor/mmu/kpop/protect.ts';
import { beginSection, endSection } from '../hypervisor/mmu/kpop/section.ts';
import { type LockScope, Space } from '../hypervisor/mmu/kpop/space.ts';
import { kpopTeardown, loadDying } from '../hypervisor/mmu/kpop/teardown.ts';
import { finishUnmap, kpopInvalidate, kpopUnmap } from '../hypervisor/mmu/kpop/unmap.ts';
import { walk } from '../hypervisor/mmu/kpop/walk.ts';
import { openWindow } from '../hypervisor/mmu/kpop/window.ts';
import { answerOwnerCalls, type Owner } from '../hypervisor/owner.ts';
import type { Platform } from '../hypervisor/platform.ts';
import { type ExitHandler, Vcpu, type Vm } from '../hypervisor/vcpu.ts';
import { pagesAt } from '../machine/format/format.ts';
import type { Machine } from '../machine/machine.ts';
import { FRAME_BYTES } from '../machine/memory.ts';
import { num, type Routine } from '../runtime/act.ts';
import type { Context } from '../runtime/context.ts';
import { runAtBoot } from './boot.ts';
import { buildGuestVm } from './guest-vm.ts';
import { makeBlock, nothing, startVcpus } from './host.ts';
import { attachGrace } from './kpop-grace.ts';
import { logOptions } from './kpop-log.ts';
import { copiesOf, logOperations } from './kpop-log-checked.ts';
import { ticketsOf } from './likeness.ts';
import {
  type Axes,
  type Checked,
  type Conditions,
  type Demand,
  FRESH,
  hostPlatform,
  type Operation,
  type System,
} from './system.ts';
import { hostExits, hugeSize, poolOf } from './tdp.ts';

const OUTCOMES: readonly FillOutcome[] = ['filled', 'retry', 'ask-owner'];
const READ_ONLY = PROT_READ | PROT_EXECUTE;
const NEEDED = { read: PROT_READ, write: PROT_WRITE, execute: PROT_EXECUTE } as const;
/** Statuses by number, as results of operations. */
const STATUS = Object.keys(Status);
/** Room in the list of a CPU that is explored: small enough to be full. */
const EXPLORED_PML = 1;
/** L1 pages per L2 page: a page may be moved to a second one. */
const PLACES = 2;

/** What the general L1 and its pages are made of. */
interface Parts {
  readonly space: Space;
  readonly l1Memory: AnonymousBacking;
  /** What L1 has been told is over for good. */
  readonly revoked: Revoked;
  /** Word: 1 once a teardown has returned. */
  readonly torn: number;
}

export function buildKpopHost(
  machine: Machine,
  demand: Demand,
  axes: Axes,
  conditions: Conditions,
): System {
  const platform = hostPlatform(machine);
  const guest = buildGuestVm(machine, demand, 1);
  const pages = demand.barePages ?? 0;
  const huge = hugeSize(machine.translator.secondStage.geometry, conditions.pages);
  const l1Memory = new AnonymousBacking(platform, [{ base: 0, pages: pages * PLACES }], huge);
  const space = new Space({
    platform,
    format: machine.translator.secondStage,
    l1Memory,
    l1Pages: pages * PLACES,
    scope: axes['lock'] as LockScope,
    notesDirty: huge !== undefined || demand.logs === true,
    windows: demand.windows === true,
    log: logOptions(demand, axes, platform.virt.exits.logFull !== undefined, {
      l2Pages: pages,
      l1Pages: pages * PLACES,
    }),
  });
  const revokedAt = platform.arena.take(pages * 8);
  const withdrawnAt = platform.arena.take(pages * 8);
  const revoked = {
    at: (page: number): number => revokedAt + page * 8,
    withdrawnAt: (page: number): number => withdrawnAt + page * 8,
    pages,
  };
  const parts = { space, l1Memory, revoked, torn: platform.arena.take(8) };
  const vm: Vm = { name: 'l2', platform, vcpus: [] };
  guest.contexts.forEach((context, i) => {
    context.homeCpu = i;
    const { rootFrame: root, format } = space;
    const { levels } = format.geometry;
    const block = makeBlock(platform, i, { root, levels, vpid: 1, virtualIpis: false });
    new Vcpu(vm, i, i, {
      guest: context,
      block,
      exits: hostExits(violation(parts), answerOwnerCalls(NO_OWNER)),
      beforeEntry: (cpu, v) => enterSpace(cpu, v, space),
      afterExit: (cpu) => leaveSpace(cpu, space),
    });
  });
  if (space.log?.by === 'pml') {
    const blocks = vm.vcpus.map(({ own }) => own.block);
    vm.logging = kpopPml(platform, space.log, blocks, { entries: EXPLORED_PML });
    for (const v of vm.vcpus) v.logs = true;
  }
  attachGrace(space, vm);
  startVcpus(machine, vm);
  return {
    machine,
    environments: guest.environments,
    hostInvalidate: function* none(): Routine<void> {
      // explorations name their operations
    },
    memory: () => ({ tableBytes: 0, bookBytes: 0 }),
    checked: checkedKpop(machine, platform, vm, parts),
  };
}

/** What a guest under exploration may ask its owner for: nothing. */
export const NO_OWNER: Owner = {
  *unmap(): Routine<void> {
    // the general L1 calls L0 itself
  },
  *removeTables(): Routine<void> {
    // it keeps no tables
  },
  owns: () => false,
  *frameOf(): Routine<number> {
    return -1;
  },
};

function violation(parts: Parts): ExitHandler {
  return function* handle(cpu, v): Routine<void> {
    const code = num(yield v.virt.faultCode(cpu, v.active.block, 'kpop.violation.why'));
    const gpa = num(yield v.virt.faultAddress(cpu, v.active.block, 'kpop.violation.where'));
    const page = Math.floor(gpa / FRAME_BYTES);
    const needed = NEEDED[v.virt.accessOf(code)];
    const outcome = yield* fillPage(cpu, parts, page, needed);
    if (outcome === 'ask-owner') yield* mapPage(cpu, parts, page, 0);
  };
}

/** MAP of one page with what the general L1 believed at the beginning: epoch 0. */
function* mapPage(cpu: Context, parts: Parts, page: number, epoch: number): Routine<void> {
  const l1gfn = epoch === 0 ? page : page + parts.revoked.pages;
  if (num(yield loadDying(cpu, parts.space)) !== 0) return;
  cpu.began('map', page, l1gfn, PROT_ALL, epoch);
  cpu.attempt('map');
  const status = yield* kpopMap(cpu, parts.space, { l2gfn: page, l1gfn, prot: PROT_ALL, epoch });
  cpu.conclude('map', status);
  cpu.ended('map', STATUS[status]!);
}

/** MAP of one huge intent, of a range that is a block. */
function* mapHuge(
  cpu: Context,
  { space }: Parts,
  { first, end }: PageRange,
  flags: number,
): Routine<void> {
  const level = 1; // explorations have no larger one
  if (end - first !== pagesAt(space.format.geometry, level)) defect('mapHuge', 'not one block');
  if (num(yield loadDying(cpu, space)) !== 0) return;
  const element = { l2gfn: first, l1gfn: first, prot: PROT_ALL, epoch: 0, level, flags };
  cpu.began('map', first, first, PROT_ALL, 0, end - first, flags);
  const status = yield* kpopMapHuge(cpu, space, element);
  cpu.ended('map', STATUS[status]!);
}

function* fillPage(
  cpu: Context,
  { space }: Parts,
  page: number,
  needed: number,
): Routine<FillOutcome> {
  cpu.began('fill', page, needed);
  cpu.attempt('fill');
  const outcome = yield* kpopFill(cpu, space, page, needed);
  cpu.conclude('fill', OUTCOMES.indexOf(outcome));
  cpu.ended('fill', outcome);
  return outcome;
}

/** UNMAP as its caller sees it: over when the flush is. False if the address space is going. */
function* unmapRange(cpu: Context, { space }: Parts, range: PageRange): Routine<boolean> {
  if (num(yield loadDying(cpu, space)) !== 0) return false;
  cpu.began('unmap', range.first, range.end, 1);
  yield* finishUnmap(cpu, space, yield* kpopUnmap(cpu, space, [range], 1));
  cpu.ended('unmap', 'ok');
  return true;
}

/** UNMAP; when it has returned L1 takes the page for something else, which is noted in a word. */
function* unmap(cpu: Context, parts: Parts, range: PageRange): Routine<void> {
  const { revoked } = parts;
  if (!(yield* unmapRange(cpu, parts, range))) return;
  for (let page = range.first; page < range.end; page++) {
    yield cpu.store(revoked.at(page), 1, 'l1.revoked');
  }
}

/** L1 asks twice which pages are in use, and has them look unused. */
function* age(cpu: Context, { space }: Parts, range: PageRange): Routine<void> {
  for (let i = 0; i < 2; i++) yield* kpopAge(cpu, space, range, true);
}

/** The same in pieces, as L1 makes the call again while the budget ends it. */
function* unmapPieces(cpu: Context, { space, revoked }: Parts, range: PageRange): Routine<void> {
  for (let { first } = range; first < range.end; ) {
    if (num(yield loadDying(cpu, space)) !== 0) return;
    const piece = { first, end: range.end };
    const unmapped = yield* kpopUnmap(cpu, space, [piece], 1, 1);
    yield* finishUnmap(cpu, space, unmapped);
    const end = unmapped.left?.first ?? range.end;
    // What the answer counts is done: L1 may use those pages for something else.
    for (; first < end; first++) yield cpu.store(revoked.at(first), 1, 'l1.revoked');
  }
}

/** PROTECT of a range as its caller sees it: over when the flush is. */
function* protectRange(
  cpu: Context,
  { space }: Parts,
  { first, end }: PageRange,
  prot: number,
  epoch: number,
): Routine<boolean> {
  if (num(yield loadDying(cpu, space)) !== 0) return false;
  const done = nothingProtected();
  cpu.began('protect', first, end, prot, epoch);
  yield* kpopProtect(cpu, space, { first, end, prot, epoch }, done);
  yield* joinFlush(cpu, space, done.label);
  cpu.ended('protect', done.isStale ? 'stale' : 'ok');
  return true;
}

/** Takes the right to write away for good, which is noted in a word once it has returned. */
function* protect(cpu: Context, parts: Parts, range: PageRange): Routine<void> {
  if (!(yield* protectRange(cpu, parts, range, READ_ONLY, 1))) return;
  for (let page = range.first; page < range.end; page++) {
    yield cpu.store(parts.revoked.withdrawnAt(page), PROT_WRITE, 'l1.withdrawn');
  }
}

/** Takes the right to write away and gives it back, as a log of writes does. */
function* protectAWhile(cpu: Context, parts: Parts, range: PageRange): Routine<void> {
  if (yield* protectRange(cpu, parts, range, READ_ONLY, 0)) {
    yield* protectRange(cpu, parts, range, PROT_ALL, 0);
  }
}

/** Gives all rights, as L1 believed at the beginning to be right. */
function* allow(cpu: Context, parts: Parts, range: PageRange): Routine<void> {
  yield* protectRange(cpu, parts, range, PROT_ALL, 0);
}

/** Whoever has torn the address space down gives the objects back, which a word notes. */
function* teardown(cpu: Context, parts: Parts, vm: Vm, pages: number): Routine<void> {
  if (yield* kpopTeardown(cpu, parts.space, vm, pages)) yield cpu.store(parts.torn, 1, 'l1.torn');
}

function* unmapAny(cpu: Context, parts: Parts, range: PageRange): Routine<void> {
  yield* unmapRange(cpu, parts, range);
}

/** UNMAP, then MAP of another L1 page in the same place. */
function* move(cpu: Context, parts: Parts, range: PageRange): Routine<void> {
  if (!(yield* unmapRange(cpu, parts, range))) return;
  for (let page = range.first; page < range.end; page++) yield* mapPage(cpu, parts, page, 1);
}

/** Fills until the page is there, as a vCPU that faults again and again; or L1 must decide. */
function* fill(cpu: Context, parts: Parts, range: PageRange): Routine<void> {
  for (let page = range.first; page < range.end; page++) {
    for (;;) {
      if ((yield* fillPage(cpu, parts, page, PROT_WRITE)) !== 'retry') break;
      if (yield* isMapped(cpu, parts.space, page)) break; // somebody else was faster
      cpu.rest(page, 1);
    }
  }
}

/** What the access after a fault finds. */
function* isMapped(cpu: Context, space: Space, page: number): Routine<boolean> {
  const { place, level } = yield* walk(cpu, space, { first: page, end: page + 1 });
  return space.format.decode(yield cpu.load(place.hardware, 'l2.again'), level).kind === 'leaf';
}

/** WINDOW with what the general L1 believed at the beginning. */
function* window(cpu: Context, { space }: Parts, { first, end }: PageRange): Routine<void> {
  const windows = space.windows ?? defect('window', 'this address space has none');
  if (num(yield loadDying(cpu, space)) !== 0) return;
  yield* openWindow(cpu, space, windows, { first, end, l1gfn: first, prot: PROT_ALL, epoch: 0 });
}

/** The host takes entries away and keeps the pages, as it does before it moves them. */
function* dropEntries(cpu: Context, { space }: Parts, range: PageRange): Routine<void> {
  const gfns = Array.from({ length: range.end - range.first }, (_, i) => range.first + i);
  yield* kpopInvalidate(cpu, space, gfns, nothing());
}

/** The host takes the L1 pages behind a range away and frees their frames. */
function* invalidate(cpu: Context, { space, l1Memory }: Parts, range: PageRange): Routine<void> {
  const { first, end } = range;
  const gfns = Array.from({ length: end - first }, (_, i) => first + i);
  cpu.began('invalidate', first, end);
  yield* kpopInvalidate(cpu, space, gfns, releaseAll(cpu, l1Memory, gfns));
  cpu.ended('invalidate', 'ok');
}

function* releaseAll(
  cpu: Context,
  memory: AnonymousBacking,
  gfns: readonly number[],
): Routine<void> {
  for (const gfn of gfns) yield* memory.release(cpu, gfn);
}

function checkedKpop(machine: Machine, platform: Platform, vm: Vm, parts: Parts): Checked {
  const { space } = parts;
  const copies = copiesOf(space);
  let isStrict = true;
  const logs = logOperations(space, copies, () => isStrict);
  return {
    roots: [space.rootFrame],
    // Under PML what another harvest is about to note is named by the next COLLECT.
    begin: (threads) => {
      isStrict = space.log?.by !== 'pml' || !threads.flat().includes('host-log-harvest');
    },
    operations: {
      ...Object.fromEntries(Object.entries(logs).map(([id, each]) => [id, called(space, each)])),
      'drop-entries': (cpu, range) => dropEntries(cpu, parts, range),
      map: called(space, (cpu, range) => eachPage(range, (page) => mapPage(cpu, parts, page, 0))),
      'map-huge': called(space, (cpu, range) => mapHuge(cpu, parts, range, 0)),
      promote: called(space, (cpu, range) => mapHuge(cpu, parts, range, MAP_PROMOTE)),
      window: called(space, (cpu, range) => window(cpu, parts, range)),
      unmap: called(space, (cpu, range) => unmap(cpu, parts, range)),
      'age-pages': called(space, (cpu, range) => age(cpu, parts, range)),
      'unmap-pieces': called(space, (cpu, range) => unmapPieces(cpu, parts, range)),
      move: called(space, (cpu, range) => move(cpu, parts, range)),
      fill: called(space, (cpu, range) => fill(cpu, parts, range)),
      protect: called(space, (cpu, range) => protect(cpu, parts, range)),
      allow: called(space, (cpu, range) => allow(cpu, parts, range)),
      'protect-a-while': called(space, (cpu, range) => protectAWhile(cpu, parts, range)),
      // An UNMAP after which L1 may map the pages again; it covers whole tables.
      'remove-tables': called(space, (cpu, range) => unmapAny(cpu, parts, range)),
      invalidate: (cpu, range) => invalidate(cpu, parts, range),
      teardown: (cpu, { end }) => teardown(cpu, parts, vm, end),
    },
    premap: (range) => premapKpop(machine, parts, range),
    pools: [{ name: platform.name, ...poolOf(platform.frames) }],
    misuse: (view, page, frame, rights) =>
      misuseOfKpop(view, parts.l1Memory, parts.revoked, { page, frame, rights }),
    exclusive: true,
    freeHanded: ['kpop.kick.wait'],
    // With one lock for all entries each new try takes a new ticket: no state ever comes again.
    silent: FRESH,
    likenesses: space.scope === 'entry' ? [] : [ticketsOf(space.lock.at)],
    repeated: space.scope === 'entry' ? ['run.enter'] : ['run.enter', 'l2.again'],
    privates: (hart) => vm.vcpus.filter((v) => v.seat === hart),
    oracle: kpopOracle(space, parts.l1Memory, sizeOf(parts.revoked)),
    promises: [
      ...kpopPromises(vm, parts),
      ...kpopLogged(space, copies),
      ...kpopWindows(space, parts.revoked),
    ],
    structures: platform.arena.placed,
  };
}

/**
 * A call of L1 as the thread of its vCPU serves it: outside guest mode it may look at table pages,
 * inside it does not. The thread's mode is the section here.
 */
function called(space: Space, operation: Operation): Operation {
  return function* call(cpu, range): Routine<void> {
    yield* beginSection(cpu, space);
    yield* operation(cpu, range);
    yield* endSection(cpu, space);
  };
}

function sizeOf({ pages }: Revoked): { pages: number; l1Pages: number } {
  return { pages, l1Pages: pages * PLACES };
}

function* eachPage(range: PageRange, act: (page: number) => Routine<void>): Routine<void> {
  for (let page = range.first; page < range.end; page++) yield* act(page);
}

function* mapBlocks(cpu: Context, parts: Parts, { first, end }: PageRange): Routine<void> {
  const pages = pagesAt(parts.space.format.geometry, 1);
  for (let at = first; at < end; at += pages) {
    yield* mapHuge(cpu, parts, { first: at, end: at + pages }, 0);
  }
}

/** Runs the product's MAP before anybody else runs; of a block where the host has huge pages. */
function premapKpop(machine: Machine, parts: Parts, range: PageRange): void {
  runAtBoot(machine, (me) => {
    if (parts.space.top > 0) return mapBlocks(me, parts, range);
    return eachPage(range, (page) => mapPage(me, parts, page, 0));
  });
}
