/** L0's side of the three hypercalls; and where L2's second stage comes from between them. */
import { PocCall, PocStatus } from '../../abi/kpop-poc.ts';
import { num, type Routine } from '../../runtime/act.ts';
import type { Context } from '../../runtime/context.ts';
import { Event } from '../../runtime/trace.ts';
import { readLock, readUnlock } from '../../sync/rwlock.ts';
import { retire } from '../emulate.ts';
import { type NestedStage, nestedOf } from '../nested/state.ts';
import type { Vcpu } from '../vcpu.ts';
import { pocMap, pocUnmap } from './map.ts';
import { pocLoad, pocUnload, rootOfHolder } from './roots.ts';
import type { PocVm } from './vm.ts';

/** Words are read as numbers: what is beyond is no page and no name. */
const LIMIT = 2 ** 52;

/** Answers one hypercall of L1; undefined if it is none of the three. */
export function answerPocCall(cpu: Context, v: Vcpu, vm: PocVm): Routine<void> | undefined {
  const [call, first, second, third] = Array.from(v.active.guest.registers) as number[];
  const args = [first!, second!, third!] as const;
  switch (call) {
    case PocCall.loadUnload:
      return answered(cpu, v, call, args, loadUnload(cpu, vm, ...args));
    case PocCall.map:
      return answered(cpu, v, call, args, pocMap(cpu, vm, ...args));
    case PocCall.unmap:
      return answered(cpu, v, call, args, unmap(cpu, vm, ...args));
    default:
      return undefined;
  }
}

function* answered(
  cpu: Context,
  v: Vcpu,
  call: number,
  args: readonly number[],
  act: Routine<number>,
): Routine<void> {
  cpu.note(Event.hypercall, call, 0);
  const isLegal = args.every((each) => each >= 0 && each < LIMIT);
  yield* retire(cpu, v, isLegal ? yield* act : PocStatus.invalid);
}

function loadUnload(
  cpu: Context,
  vm: PocVm,
  holder: number,
  space: number,
  isLoad: number,
): Routine<number> {
  return isLoad === 1 ? pocLoad(cpu, vm, holder, space) : pocUnload(cpu, vm, holder, space);
}

function unmap(
  cpu: Context,
  vm: PocVm,
  space: number,
  first: number,
  pages: number,
): Routine<number> {
  return pocUnmap(cpu, vm, space, { first, end: first + pages });
}

/** L2 runs on the root that its control block has loaded; what is not there is L1's business. */
export function pocStage(vm: () => PocVm): NestedStage {
  return {
    prepare: (cpu, v) => prepareRoot(cpu, v, vm()),
    *fault(): ReturnType<NestedStage['fault']> {
      return { malformed: false, rights: 0 };
    },
  };
}

function* prepareRoot(cpu: Context, v: Vcpu, vm: PocVm): Routine<void> {
  const { tdp, poc } = vm;
  const nested = nestedOf(vm, v);
  const generation = num(yield cpu.load(poc.loads, 'poc.root.loads'));
  const isSame = nested.rootGfn === nested.block12 && nested.rootGeneration === generation;
  if (nested.root !== 0 && isSame) return;
  yield* readLock(cpu, tdp.lock, 'poc.root.lock');
  const root = rootOfHolder(cpu, poc, nested.block12);
  yield* readUnlock(cpu, tdp.lock, 'poc.root.unlock');
  // Unloaded meanwhile: `loads` has risen, and the flush sends this vCPU here again.
  const table = root?.mmu.root ?? poc.empty;
  nested.root = table;
  nested.rootTable = table;
  nested.rootGfn = nested.block12;
  nested.rootGeneration = generation;
  vm.side.useRoot(cpu, nested, table, poc.roots[0]!.mmu.format.geometry.levels);
}
