/**
 * Exits of L2 while L1 runs it through emulated VMX or SVM: L0's own (interrupts, faults that the
 * shadow can answer), or L1's.
 */
import { type Entry, indexAt } from '../../machine/format/format.ts';
import { RESERVED } from '../../machine/format/judge.ts';
import { FRAME_BYTES } from '../../machine/memory.ts';
import { Unit } from '../../machine/preset/price.ts';
import { num, type Routine, won } from '../../runtime/act.ts';
import type { Context } from '../../runtime/context.ts';
import { writeLock, writeUnlock } from '../../sync/rwlock.ts';
import { beginLookup, isStale, type Stage2Fault } from '../mmu/common.ts';
import { fetchShadow, setNestedLeaf } from '../mmu/shadow/fetch.ts';
import type { GuestStep } from '../mmu/shadow/tables.ts';
import type { ExitHandler, ExitTable, Vcpu } from '../vcpu.ts';
import type { Refused } from './side.ts';
import { type NestedVm, nestedOf, type ShadowedVm } from './state.ts';

export function l2Exits(vm: NestedVm): ExitTable {
  const { exits } = vm.tdp.platform.virt;
  const toL1: ExitHandler = (cpu, v) => vm.side.reflectInstruction(cpu, v, vm);
  return new Map<number, ExitHandler>([
    [exits.fault, (cpu, v) => violation(cpu, v, vm)],
    [exits.interrupt, hostInterrupt],
    [exits.cpuid, toL1],
    [exits.hypercall, toL1],
    [exits.msrWrite, toL1],
    [exits.msrRead, toL1],
    [exits.halt, toL1],
  ]);
}

function* hostInterrupt(): Routine<void> {
  // What is pending for L1 is seen before the next entry.
}

function* violation(cpu: Context, v: Vcpu, vm: NestedVm): Routine<void> {
  const { block } = v.active;
  const code = num(yield v.virt.faultCode(cpu, block, 'nested.violation.why'));
  const gpa = num(yield v.virt.faultAddress(cpu, block, 'nested.violation.where'));
  const fault = { gfn: Math.floor(gpa / FRAME_BYTES), access: v.virt.accessOf(code) };
  const refused = yield* vm.stage.fault(cpu, v, fault);
  if (refused === undefined) return;
  const { malformed, rights } = refused;
  yield* vm.side.reflectFault(cpu, v, vm, { malformed, rights, code, gpa });
}

/** Fills the shadow for one fault; or says what kind of exit it is for L1. */
export function* shadowFault(
  cpu: Context,
  v: Vcpu,
  vm: ShadowedVm,
  fault: Stage2Fault,
): Routine<Refused | undefined> {
  yield* vm.shadow.topUp(cpu);
  const seq = yield* beginLookup(cpu, vm.tdp.words);
  const walk = yield* walkEpt12(cpu, v, vm, fault);
  if (walk.refused === undefined) yield* fill(cpu, v, vm, fault, walk.steps, seq);
  return walk.refused;
}

/** Steps down to the leaf, none if L1 changed an entry meanwhile; or why there is no leaf. */
interface Walk {
  readonly steps: readonly GuestStep[];
  readonly refused: Refused | undefined;
}

const ABSENT: Walk = { steps: [], refused: { malformed: false, rights: 0 } };
const MALFORMED: Walk = { steps: [], refused: { malformed: true, rights: 0 } };
const CHANGED: Walk = { steps: [], refused: undefined };

/**
 * Walks EPT12 in L1's memory by software, and sets its accessed and dirty bits as hardware
 * would.
 */
function* walkEpt12(cpu: Context, v: Vcpu, vm: ShadowedVm, fault: Stage2Fault): Routine<Walk> {
  const { format } = vm.shadow;
  const steps: GuestStep[] = [];
  let tableGfn = nestedOf(vm, v).rootGfn;
  let rights = 0x38;
  for (let level = format.geometry.levels - 1; level >= 0; level--) {
    cpu.spend(Unit.levelWalked, 1);
    const frame = yield* vm.tdp.backing.find(cpu, tableGfn);
    if (frame < 0) return ABSENT; // L1 points outside its memory
    const at = frame * FRAME_BYTES + indexAt(format.geometry, fault.gfn, level) * 8;
    const entry = format.decode(yield cpu.load(at, 'nested.walk.look'), level);
    const verdict = format.judge.judge(entry.lo, entry.hi, level);
    if (verdict === RESERVED) return MALFORMED;
    const wanted = level === 0 ? 'leaf' : 'table'; // huge pages in EPT12 are left out
    if (verdict < 0 || entry.kind !== wanted || !vm.tdp.backing.has(entry.pfn)) return ABSENT;
    rights &= (entry.read ? 8 : 0) | (entry.write ? 16 : 0) | (entry.execute ? 32 : 0);
    if (level === 0 && !permits(rights, fault.access)) {
      return { steps, refused: { malformed: false, rights } };
    }
    const marked = yield* markUsed(cpu, vm, at, entry, level, fault.access === 'write');
    if (marked === undefined) return CHANGED;
    steps.push({ level, at, entry: marked });
    tableGfn = entry.pfn;
  }
  return { steps, refused: undefined };
}

function permits(rights: number, access: Stage2Fault['access']): boolean {
  const bit = { read: 8, write: 16, execute: 32 }[access];
  return (rights & bit) !== 0;
}

/** The entry with A (and D for a written leaf) set; undefined if L1 changed it meanwhile. */
function* markUsed(
  cpu: Context,
  vm: ShadowedVm,
  at: number,
  entry: Entry,
  level: number,
  write: boolean,
): Routine<Entry | undefined> {
  const needsDirty = level === 0 && write && !entry.dirty;
  if (entry.accessed && !needsDirty) return entry;
  const { accessedMask, dirtyMask } = vm.tdp.walked;
  const lo = entry.lo | accessedMask | (needsDirty ? dirtyMask : 0);
  const marked = vm.shadow.format.decode({ lo, hi: entry.hi }, level);
  return won(yield cpu.casWord(at, entry, marked, 'nested.walk.mark')) ? marked : undefined;
}

/** The pure L0 miss: EPT12 has the page, the shadow has not. */
function* fill(
  cpu: Context,
  v: Vcpu,
  vm: ShadowedVm,
  fault: Stage2Fault,
  steps: readonly GuestStep[],
  seq: number,
): Routine<void> {
  const last = steps[steps.length - 1];
  if (last === undefined) return; // a race with L1: L2 tries again
  const gfn = last.entry.pfn;
  const pfn = yield* vm.tdp.backing.find(cpu, gfn);
  const { tdp, shadow } = vm;
  const nested = nestedOf(vm, v);
  const pages = [nested.rootGfn, ...steps.map((step) => step.entry.pfn)];
  yield* writeLock(cpu, tdp.lock, 'nested.fill.lock');
  // Another vCPU may have made something else of the root's page: the next entry finds another.
  const generation = num(yield cpu.load(vm.rootGeneration, 'nested.fill.generation'));
  const isGone = generation !== nested.rootGeneration;
  if (!isGone && !(yield* isStale(cpu, tdp.words, seq, ...pages))) {
    const leaf = { gfn, pfn, write: fault.access === 'write' };
    yield* fetchShadow(cpu, shadow, vm.tables, nested.root, fault.gfn, steps, (of, step) =>
      setNestedLeaf(cpu, shadow, vm.tables, of, step.entry, leaf),
    );
  }
  yield* writeUnlock(cpu, tdp.lock, 'nested.fill.unlock');
}
