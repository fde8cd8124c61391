/**
 * L0's side of KPOP's hypercalls: MAP, UNMAP and PROTECT with a list in L1's memory, RUN with
 * operations in the state page. Lists are copied once before anything in them is believed.
 */
import {
  DIRTY_INJECT,
  DIRTY_RIP,
  FLAG_MORE,
  FUSED_LIMIT,
  FUSED_RECORD_BYTES,
  KpopCall,
  LIST_ELEMENT_BYTES,
  LIST_HEADER_BYTES,
  LIST_LIMIT,
  ListHeader,
  NO_PROGRESS,
  PROT_READ,
  type Progress,
  packAnswer,
  packProgress,
  RUN_REFUSED,
  StatePage,
  Status,
  targetGfn,
  targetProt,
  unpackCount,
  unpackPage,
  unpackVectors,
} from '../../abi/kpop.ts';
import { DIRTY_CALL } from '../../abi/kpop-dirty.ts';
import { POLICY_CALL } from '../../abi/kpop-policy.ts';
import { WINDOW_CALL } from '../../abi/kpop-window.ts';
import { FRAME_BYTES } from '../../machine/memory.ts';
import { Unit } from '../../machine/preset/price.ts';
import { completeAct } from '../../machine/world-switch.ts';
import { num, type Routine, won } from '../../runtime/act.ts';
import type { Context } from '../../runtime/context.ts';
import { Event } from '../../runtime/trace.ts';
import { frameOf } from '../backing/huge.ts';
import { advance, retire } from '../emulate.ts';
import type { PageRange } from '../mmu/common.ts';
import { joinFlush } from '../mmu/kpop/flush.ts';
import { kpopMap, type MapElement } from '../mmu/kpop/map.ts';
import { type HugeElement, kpopMapHuge } from '../mmu/kpop/map-huge.ts';
import { kpopProtect, nothingProtected, type ProtectElement } from '../mmu/kpop/protect.ts';
import type { Space } from '../mmu/kpop/space.ts';
import { loadDying } from '../mmu/kpop/teardown.ts';
import { finishUnmap, kpopUnmap } from '../mmu/kpop/unmap.ts';
import type { Vcpu } from '../vcpu.ts';
import { ageCall } from './age-call.ts';
import { type Answering, beginRun } from './answers.ts';
import { dirtyCall } from './dirty-call.ts';
import type { KpopVcpu, KpopVm } from './vm.ts';
import { windowCall } from './window-call.ts';

/** Those below are the processor's own. */
const FIRST_LEGAL_VECTOR = 16;
/** Words are read as numbers: an epoch beyond this would not be exact. */
const EPOCH_LIMIT = 2 ** 52;
/** Pages of one UNMAP element. */
const RANGE_LIMIT = 2 ** 18;
/** Entries that one call looks at: a bound on work that cannot be interrupted. */
const BUDGET = 4096;

/** Level of the largest leaf that any processor has: 1 GiB. */
const LARGEST_LEAF = 2;

/** Calls that pass a list. */
const LISTED: readonly number[] = [KpopCall.map, KpopCall.unmap, KpopCall.protect];

/** Words of one list element or fused record, as copied. */
interface Element {
  readonly first: number;
  readonly second: number;
}

/** Answers one hypercall of L1; undefined if the operation is not KPOP's. */
export function answerKpopCall(cpu: Context, v: Vcpu, vm: KpopVm): Routine<void> | undefined {
  const { registers } = v.active.guest;
  const call = registers[0]!;
  if (call === KpopCall.run) return run(cpu, v, vm);
  if (call === KpopCall.flush) return flush(cpu, v, vm, registers[1]!);
  if (call === POLICY_CALL && vm.answering !== undefined) {
    return policy(cpu, v, vm, vm.answering, registers[1]!);
  }
  const { log } = vm.space;
  if (call === DIRTY_CALL && log !== undefined) return dirtyCall(cpu, v, vm, log, registers[1]!);
  const { windows } = vm.space;
  if (call === WINDOW_CALL && windows !== undefined) {
    return windowCall(cpu, v, vm, windows, registers[1]!);
  }
  if (call === KpopCall.age) return age(cpu, v, vm, registers[1]!);
  if (!LISTED.includes(call)) return undefined;
  return listed(cpu, v, vm, call, registers[1]!);
}

/** POLICY: the table in the page at guest-physical address `page` of L1 is in force. */
function* policy(
  cpu: Context,
  v: Vcpu,
  { space }: KpopVm,
  answering: Answering,
  page: number,
): Routine<void> {
  cpu.note(Event.hypercall, POLICY_CALL, 0);
  let status: number = Status.invalid;
  if (num(yield loadDying(cpu, space)) !== 0) status = Status.stale;
  else if (page % FRAME_BYTES === 0) {
    status = yield* answering.policy.publish(cpu, space.l1Memory, page / FRAME_BYTES);
  }
  yield* retire(cpu, v, status);
}

function* age(cpu: Context, v: Vcpu, vm: KpopVm, page: number): Routine<void> {
  cpu.note(Event.hypercall, KpopCall.age, 0);
  yield* retire(cpu, v, yield* ageCall(cpu, vm, page));
}

function* listed(cpu: Context, v: Vcpu, vm: KpopVm, call: number, page: number): Routine<void> {
  cpu.note(Event.hypercall, call, 0);
  yield* retire(cpu, v, yield* listCall(cpu, vm, call, page));
}

/** MAP, UNMAP or PROTECT of the list at guest-physical address `page` of L1. */
function* listCall(cpu: Context, vm: KpopVm, call: number, page: number): Routine<number> {
  if (page % FRAME_BYTES !== 0) return Status.invalid;
  if (num(yield loadDying(cpu, vm.space)) !== 0) return Status.stale;
  const frame = frameOf(yield* vm.space.l1Memory.find(cpu, page / FRAME_BYTES));
  if (frame < 0) return Status.fault;
  const at = frame * FRAME_BYTES;
  const { count, done } = unpackCount(cpu.read(at + ListHeader.count));
  if (count > LIST_LIMIT || done.elements > count || done.pages >= RANGE_LIMIT) {
    return Status.invalid;
  }
  if (call === KpopCall.map && packProgress(done) !== 0) return Status.invalid;
  const epoch = cpu.read(at + ListHeader.epoch);
  if (epoch > EPOCH_LIMIT) return Status.invalid;
  const isLast = (cpu.read(at + ListHeader.flags) & FLAG_MORE) === 0;
  const join = cpu.read(at + ListHeader.join);
  const elements = copyList(cpu, at + LIST_HEADER_BYTES, count);
  if (call === KpopCall.unmap) {
    return yield* unmapList(cpu, vm, elements, { epoch, join, isLast, done });
  }
  if (call === KpopCall.protect) return yield* protectList(cpu, vm, elements, { epoch, done });
  for (let i = 0; i < count; i++) {
    const wanted = mappingOf(vm, elements[i]!, epoch);
    let status: number = Status.invalid;
    if (wanted !== undefined) status = num(yield cpu.call(mapOne(cpu, vm.space, wanted)));
    if (status !== Status.ok) return packAnswer(status, i);
  }
  return Status.ok;
}

function copyList(cpu: Context, at: number, count: number): Element[] {
  return Array.from({ length: count }, (_, i) => {
    cpu.spend(Unit.listElement, 1);
    const element = at + i * LIST_ELEMENT_BYTES;
    return { first: cpu.read(element), second: cpu.read(element + 8) };
  });
}

function mapOne(cpu: Context, space: Space, wanted: HugeElement): Routine<number> {
  return wanted.level === 0 ? kpopMap(cpu, space, wanted) : kpopMapHuge(cpu, space, wanted);
}

/** What an element asks to be mapped; `undefined` if no MAP could ask for that. */
function mappingOf(vm: KpopVm, element: Element, epoch: number): HugeElement | undefined {
  const l1gfn = targetGfn(element.second);
  const prot = targetProt(element.second);
  if ((prot & PROT_READ) === 0) return undefined;
  const l2gfn = element.first;
  if (l2gfn < vm.l2Pages) return { l2gfn, l1gfn, prot, epoch, level: 0, flags: 0 };
  return hugeMappingOf(vm, l2gfn, { l1gfn, prot, epoch });
}

/** The same where word 0 says more than a page. */
function hugeMappingOf(
  { space, l2Pages }: KpopVm,
  word: number,
  rest: Omit<MapElement, 'l2gfn'>,
): HugeElement | undefined {
  const page = unpackPage(word);
  if (page === undefined) return undefined;
  const level = page.order / space.format.geometry.indexBits;
  if (!Number.isInteger(level) || level > LARGEST_LEAF) return undefined;
  const pages = 2 ** page.order;
  const isAligned = page.gfn % pages === 0 && rest.l1gfn % pages === 0;
  if (!isAligned || page.gfn + pages > l2Pages) return undefined;
  return { ...rest, l2gfn: page.gfn, level, flags: page.flags };
}

function* unmapList(
  cpu: Context,
  vm: KpopVm,
  elements: readonly Element[],
  series: {
    readonly epoch: number;
    readonly join: number;
    readonly isLast: boolean;
    readonly done: Progress;
  },
): Routine<number> {
  const whole = elements.map(({ first, second }) => rangeOf(vm, first, second));
  if (!whole.every((range) => range !== undefined)) return Status.invalid;
  if (yield* isFuture(cpu, vm, series.join)) return Status.invalid;
  const ranges = leftOf(whole, series.done);
  const unmapped = yield* kpopUnmap(cpu, vm.space, ranges, series.epoch, BUDGET);
  if (unmapped.isBusy === true) return Status.busy;
  const label = Math.max(unmapped.label, series.join);
  if (unmapped.left !== undefined) {
    yield* finishUnmap(cpu, vm.space, { ...unmapped, label });
    const { range, first } = unmapped.left;
    return continued(whole, series.done.elements + range, first, false);
  }
  // Table pages cannot wait for the end of the series: nothing here remembers them.
  const isOver = series.isLast || unmapped.tables.length > 0;
  if (isOver) yield* finishUnmap(cpu, vm.space, { ...unmapped, label });
  return series.isLast ? Status.ok : packAnswer(Status.ok, label);
}

/** Ranges of which nothing is done yet: the first of them perhaps only in part. */
function leftOf<R extends PageRange>(ranges: readonly R[], done: Progress): readonly R[] {
  const [next, ...rest] = ranges.slice(done.elements);
  if (next === undefined) return [];
  return [{ ...next, first: Math.min(next.end, next.first + done.pages) }, ...rest];
}

/** The answer where the budget has left page `first` of an element over. */
function continued(
  ranges: readonly PageRange[],
  elements: number,
  first: number,
  isStale: boolean,
): number {
  const pages = first - ranges[elements]!.first;
  return packAnswer(Status.continue, packProgress({ elements, pages, isStale }));
}

/** A label from the future would make the generation jump; such a call is none of a series. */
function* isFuture(cpu: Context, { space }: KpopVm, label: number): Routine<boolean> {
  return label > num(yield cpu.load(space.gen, 'kpop.call.gen')) + 1;
}

/** FLUSH: the change with this label is finished when it returns. */
function* flush(cpu: Context, v: Vcpu, vm: KpopVm, label: number): Routine<void> {
  cpu.note(Event.hypercall, KpopCall.flush, 0);
  let status: number = Status.ok;
  if (num(yield loadDying(cpu, vm.space)) !== 0) status = Status.stale;
  else if (!(label >= 0) || (yield* isFuture(cpu, vm, label))) status = Status.invalid;
  else yield* joinFlush(cpu, vm.space, label);
  yield* retire(cpu, v, status);
}

/** The pages that an element names; `undefined` if L2 has no such pages, or they are too many. */
function rangeOf({ l2Pages }: KpopVm, first: number, count: number): PageRange | undefined {
  const isInside = count >= 1 && count <= RANGE_LIMIT && first + count <= l2Pages;
  return isInside ? { first, end: first + count } : undefined;
}

/** All elements are checked before any is done; one flush for all. */
function* protectList(
  cpu: Context,
  vm: KpopVm,
  elements: readonly Element[],
  { epoch, done: before }: { readonly epoch: number; readonly done: Progress },
): Routine<number> {
  const wanted = elements.map((element) => protectionOf(vm, element, epoch));
  if (!wanted.every((each) => each !== undefined)) return Status.invalid;
  const done = nothingProtected(BUDGET);
  for (const [i, each] of leftOf(wanted, before).entries()) {
    const first = yield* kpopProtect(cpu, vm.space, each, done);
    if (done.isBusy) break;
    if (first === each.end) continue;
    yield* joinFlush(cpu, vm.space, done.label);
    const isStale = before.isStale || done.isStale;
    return continued(wanted, before.elements + i, first, isStale);
  }
  yield* joinFlush(cpu, vm.space, done.label);
  if (done.isBusy) return Status.busy;
  return before.isStale || done.isStale ? Status.stale : Status.ok;
}

/** What an element asks to be protected; `undefined` if no PROTECT could ask for that. */
function protectionOf(vm: KpopVm, element: Element, epoch: number): ProtectElement | undefined {
  const range = rangeOf(vm, targetGfn(element.first), element.second);
  const prot = targetProt(element.first);
  return range === undefined || (prot & PROT_READ) === 0 ? undefined : { ...range, prot, epoch };
}

/** RUN: applies the fused operations, then the vCPU's run loop enters L2 instead of L1. */
function* run(cpu: Context, v: Vcpu, vm: KpopVm): Routine<void> {
  cpu.note(Event.hypercall, KpopCall.run, 0);
  const target = vm.vcpus[v.active.guest.registers[1]!];
  yield* advance(cpu, v);
  if (target === undefined || target.guest.finished || num(yield loadDying(cpu, vm.space)) !== 0) {
    completeAct(v.active.guest.top, Status.stale);
    return;
  }
  // An L2 vCPU runs for one L1 vCPU at a time.
  if (!won(yield cpu.cas(target.claim, 0, 1, 'kpop.run.claim'))) {
    completeAct(v.active.guest.top, Status.busy);
    return;
  }
  if (yield* applyFused(cpu, vm, target)) {
    loadRegisters(cpu, target);
    const dirty = cpu.read(target.state + StatePage.dirty);
    if (dirty !== 0) yield* loadDirty(cpu, v, target, dirty);
    if (target.answered !== undefined) yield beginRun(cpu, target.answered, v);
    v.active = target.running;
    return;
  }
  cpu.write(target.state + StatePage.exitReason, RUN_REFUSED);
  yield cpu.store(target.claim, 0, 'kpop.run.unclaim');
  completeAct(v.active.guest.top, Status.ok);
}

/** L2's registers as L1 left them in the state page. */
function loadRegisters(cpu: Context, { state, guest }: KpopVcpu): void {
  cpu.spend(Unit.fieldCopied, StatePage.registerCount);
  cpu.readRun(state + StatePage.registers, guest.registers);
}

/** What L1 has changed: L2's instruction pointer, or interrupts that it gives L2. */
function* loadDirty(cpu: Context, v: Vcpu, target: KpopVcpu, dirty: number): Routine<void> {
  const { state } = target;
  cpu.write(state + StatePage.dirty, 0);
  if ((dirty & DIRTY_INJECT) !== 0) {
    for (const vector of unpackVectors(cpu.read(state + StatePage.inject))) {
      if (vector >= FIRST_LEGAL_VECTOR) target.guest.apic.accept(vector);
    }
  }
  if ((dirty & DIRTY_RIP) === 0) return;
  const { block } = target.running;
  yield v.virt.load(cpu, block, 'kpop.run.load');
  v.loaded = block;
  const rip = cpu.read(state + StatePage.exitRip);
  yield v.virt.setInstructionPointer(cpu, block, rip, 'kpop.run.rip');
}

/** Each record's status replaces its operation; the first that fails stops, nothing enters L2. */
function* applyFused(cpu: Context, vm: KpopVm, target: KpopVcpu): Routine<boolean> {
  const { state } = target;
  const count = Math.min(cpu.read(state + StatePage.fusedCount), FUSED_LIMIT);
  for (let i = 0; i < count; i++) {
    cpu.spend(Unit.listElement, 1);
    const at = state + StatePage.fused + i * FUSED_RECORD_BYTES;
    const element = { first: cpu.read(at + 8), second: cpu.read(at + 16) };
    const epoch = cpu.read(at + 24);
    const operation = epoch <= EPOCH_LIMIT ? cpu.read(at) : 0;
    const isMap = operation === KpopCall.map;
    const wanted = isMap ? mappingOf(vm, element, epoch) : undefined;
    let status: number = Status.invalid;
    if (wanted !== undefined) status = num(yield cpu.call(mapOne(cpu, vm.space, wanted)));
    else if (operation === KpopCall.protect) {
      status = yield* protectList(cpu, vm, [element], { epoch, done: NO_PROGRESS });
    }
    cpu.write(at, status);
    if (status !== Status.ok) return false;
  }
  return true;
}
