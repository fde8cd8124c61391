/** Scenes of the pair for the naive explorer: who does what, in mini geometry. */
import { OwnerCall } from '../../src/abi/owner.ts';
import { tdpFault } from '../../src/hypervisor/mmu/tdp/fault.ts';
import type { TdpMmu } from '../../src/hypervisor/mmu/tdp/mmu.ts';
import { tdpUnmap } from '../../src/hypervisor/mmu/tdp/zap.ts';
import type { GuestContext } from '../../src/machine/guest.ts';
import { cpuid, vmcall } from '../../src/machine/instruction.ts';
import type { Machine } from '../../src/machine/machine.ts';
import type { Routine } from '../../src/runtime/act.ts';
import type { Context } from '../../src/runtime/context.ts';
import {
  exploreNaively,
  findSimplest,
  type NaiveOptions,
  type NaiveReport,
  type Scene,
} from '../../src/schedule/explore/naive.ts';
import { ExploredMachine, HeardMemory, type Weakening } from './explored-machine.ts';
import { buildPair, PAGES, type PairOptions } from './pair.ts';
import { staleTranslation, strayMapping, strayStore } from './promises.ts';

export interface SceneOptions extends PairOptions {
  readonly order?: 'sc' | 'tso';
  readonly weaken?: readonly Weakening[];
  /** A vCPU that spins is cut after so many entries; 4 unless given. */
  readonly entries?: number;
  /** A fault that is refused again and again is cut after so many tries; 4 unless given. */
  readonly tries?: number;
}

/** A guest that stores to each of `pages` in turn and is then done. */
export function touching(pages: readonly number[]) {
  return function* touch(cpu: GuestContext): Routine<void> {
    for (const page of pages) yield cpu.store(page * 4096, 1, 'guest.store');
    yield vmcall(cpu, OwnerCall.done, [], 'guest.done');
  };
}

/** A thread of the host that resolves faults, as the exit handler of a guest would. */
export function faulting(pages: readonly number[]) {
  return function* fault(cpu: Context, mmu: TdpMmu): Routine<void> {
    for (const gfn of pages) {
      let outcome = yield* tdpFault(cpu, mmu, { gfn, access: 'write' });
      while (outcome === 'retry') outcome = yield* tdpFault(cpu, mmu, { gfn, access: 'write' });
    }
  };
}

/** An owner that unmaps pages `first` .. `end - 1` in one call and gives their frames back. */
export function unmapping(first: number, end: number) {
  return (cpu: Context, mmu: TdpMmu): Routine<void> => tdpUnmap(cpu, mmu, [{ first, end }], 'free');
}

export function buildScene(options: SceneOptions): Scene & { readonly machine: Machine } {
  const pair = buildPair({ ...options, memory: new HeardMemory({ frames: 32 }) });
  const engine = new ExploredMachine(pair.machine, {
    order: options.order ?? 'sc',
    weaken: options.weaken ?? [],
    roots: [pair.mmu.root],
    pages: PAGES,
  });
  return {
    machine: pair.machine,
    engine,
    always: () => staleTranslation(pair) ?? strayStore(pair, engine),
    atQuiescence: () => strayMapping(pair),
  };
}

function naiveOptions(scene: SceneOptions, rest: Partial<NaiveOptions>): NaiveOptions {
  return {
    build: () => buildScene(scene),
    merge: 'states',
    limits: [
      { label: 'run.enter', times: scene.entries ?? 4 },
      { label: 'mmu.seq', times: scene.tries ?? 4 },
    ],
    ...rest,
  };
}

export function explore(scene: SceneOptions, rest: Partial<NaiveOptions> = {}): NaiveReport {
  return exploreNaively(naiveOptions(scene, rest));
}

export function simplest(scene: SceneOptions, most: number): NaiveReport {
  return findSimplest(naiveOptions(scene, {}), most);
}

/** A guest that stores to a page, leaves by CPUID, and stores to it again. */
export function* touchLeaveTouch(cpu: GuestContext): Routine<void> {
  yield cpu.store(0, 1, 'guest.store');
  yield cpuid(cpu, 0, 'guest.cpuid');
  yield cpu.store(0, 2, 'guest.store');
  yield vmcall(cpu, OwnerCall.done, [], 'guest.done');
}
