/**
 * The proof of concept's three hypercalls against an L1 that may pass anything: what they answer,
 * and that random calls, one after the other, refine one abstract map per address space. Beside
 * them the host takes pages, and its taking reaches the roots.
 */
import { describe, expect, it } from 'vitest';
import { PocStatus, packSpace } from '../../src/abi/kpop-poc.ts';
import { Random } from '../../src/base/random.ts';
import { usedEntries } from '../../src/check/invariant/tables.ts';
import { hostView } from '../../src/check/invariant/view.ts';
import { runAtBoot } from '../../src/design/boot.ts';
import { attachRcu } from '../../src/design/host.ts';
import { entryOptions } from '../../src/design/nested-host.ts';
import { hostPlatform } from '../../src/design/system.ts';
import { AnonymousBacking } from '../../src/hypervisor/backing/anonymous.ts';
import { pocStage } from '../../src/hypervisor/kpop-poc/calls.ts';
import { pocMap, pocTake, pocUnmap } from '../../src/hypervisor/kpop-poc/map.ts';
import { pocLoad, pocUnload } from '../../src/hypervisor/kpop-poc/roots.ts';
import { makeTables, type PocVm, RootWords } from '../../src/hypervisor/kpop-poc/vm.ts';
import { TdpMmu } from '../../src/hypervisor/mmu/tdp/mmu.ts';
import type { Vm } from '../../src/hypervisor/vcpu.ts';
import { Machine } from '../../src/machine/machine.ts';
import { intelCascadeLake } from '../../src/machine/preset/intel-cascade-lake.ts';
import type { Routine } from '../../src/runtime/act.ts';
import type { Context } from '../../src/runtime/context.ts';

const L1_PAGES = 32;
const VCPUS = 2;
const A = packSpace(1, 0);
const B = packSpace(1, 1);

class Bench {
  readonly machine = new Machine({
    preset: intelCascadeLake,
    cpus: 1,
    trace: { event: () => undefined },
    softwareScale: 1,
    levels: { second: 4, first: 4 },
  });
  readonly vm: PocVm;

  constructor() {
    const platform = hostPlatform(this.machine);
    const l0: Vm = { name: 'l1', platform, vcpus: [] };
    const { secondStage: format } = this.machine.translator;
    const backing = new AnonymousBacking(platform, [{ base: 0, pages: L1_PAGES }]);
    const tdp = new TdpMmu({ vm: l0, format, backing, lockClass: 'l0.mmu', faultLock: 'read' });
    tdp.rcu = attachRcu(platform, [l0]);
    const vm: PocVm = {
      ...entryOptions(this.machine, {}),
      tdp,
      stage: pocStage(() => vm),
      vcpus: [],
      poc: makeTables(tdp, format, VCPUS),
    };
    this.vm = vm;
  }

  call(what: (cpu: Context, vm: PocVm) => Routine<number>): number {
    let answer = -1;
    const { vm } = this;
    runAtBoot(this.machine, function* one(me): Routine<void> {
      answer = yield* what(me, vm);
    });
    return answer;
  }

  map(space: number, l2gfn: number, l1gfn: number): number {
    return this.call((cpu, vm) => pocMap(cpu, vm, space, l2gfn, l1gfn));
  }

  unmap(space: number, first: number, end: number): number {
    return this.call((cpu, vm) => pocUnmap(cpu, vm, space, { first, end }));
  }

  load(holder: number, space: number): number {
    return this.call((cpu, vm) => pocLoad(cpu, vm, holder, space));
  }

  unload(holder: number, space: number): number {
    return this.call((cpu, vm) => pocUnload(cpu, vm, holder, space));
  }

  take(first: number, end: number): void {
    this.call(function* take(cpu, vm): Routine<number> {
      yield* pocTake(cpu, vm, 'all', [{ first, end }], 'free');
      return 0;
    });
  }

  /** L2 page to frame, of an address space. */
  mapped(space: number): Map<number, number> {
    const view = hostView(this.machine.memory);
    const root = this.vm.poc.roots.find(
      ({ words }) => view.read(words + RootWords.at.space) === space + 1,
    );
    if (root === undefined) return new Map();
    const { format, root: table } = root.mmu;
    const leaves = usedEntries(view, format, table).filter(({ entry }) => entry.kind === 'leaf');
    return new Map(leaves.map(({ page, entry }) => [page, entry.pfn]));
  }

  frameOf(l1gfn: number): number {
    return this.vm.tdp.backing.peekFrame(this.machine.memory, l1gfn);
  }
}

describe('what is refused', () => {
  it('MAP: of no address space, of no page, to no memory, over another page', () => {
    const bench = new Bench();
    expect(bench.map(A, 3, 4)).toBe(PocStatus.unknown);
    expect(bench.load(7, A)).toBe(PocStatus.ok);
    expect(bench.map(B, 3, 4)).toBe(PocStatus.unknown);
    expect(bench.map(A, 2 ** 36, 4)).toBe(PocStatus.invalid);
    expect(bench.map(A, -1, 4)).toBe(PocStatus.invalid);
    expect(bench.map(A, 3, L1_PAGES)).toBe(PocStatus.fault);
    expect(bench.map(A, 3, 4)).toBe(PocStatus.ok);
    expect(bench.map(A, 3, 4)).toBe(PocStatus.ok); // the same again
    expect(bench.map(A, 3, 5)).toBe(PocStatus.busy);
    expect([...bench.mapped(A)]).toEqual([[3, bench.frameOf(4)]]);
  });

  it('UNMAP: of no address space, of no range, of too much', () => {
    const bench = new Bench();
    expect(bench.unmap(A, 0, 1)).toBe(PocStatus.unknown);
    bench.load(7, A);
    expect(bench.unmap(A, 1, 1)).toBe(PocStatus.invalid);
    expect(bench.unmap(A, 0, 2 ** 18 + 1)).toBe(PocStatus.invalid);
    expect(bench.unmap(A, 2 ** 36 - 1, 2 ** 36 + 1)).toBe(PocStatus.invalid);
  });

  it('LOAD: a second time, and of more control blocks or address spaces than fit', () => {
    const bench = new Bench();
    expect([0, 1, 2, 3].map((i) => bench.load(10 + i, packSpace(i, 0)))).toEqual([0, 0, 0, 0]);
    expect(bench.load(10, A)).toBe(PocStatus.busy);
    expect(bench.load(14, packSpace(0, 0))).toBe(PocStatus.full); // of 2 vCPUs, 4
    expect(bench.unload(10, packSpace(3, 0))).toBe(PocStatus.unknown); // has another
    expect(bench.unload(10, packSpace(0, 0))).toBe(PocStatus.ok);
    expect(bench.unload(10, packSpace(0, 0))).toBe(PocStatus.unknown);
    expect(bench.load(14, packSpace(9, 1))).toBe(PocStatus.ok); // its root is free again
  });
});

it('the last control block to leave an address space empties it, and not before', () => {
  const bench = new Bench();
  bench.load(7, A);
  bench.load(9, A); // of the same bucket
  bench.map(A, 3, 4);
  bench.unload(7, A);
  expect(bench.mapped(A).size).toBe(1);
  expect(bench.map(A, 5, 4)).toBe(PocStatus.ok);
  bench.unload(9, A);
  bench.load(7, A);
  expect(bench.mapped(A).size).toBe(0);
});

it('random calls refine one map per address space, and what the host takes leaves all', () => {
  const bench = new Bench();
  const random = new Random(11);
  const spaces = new Map<number, Map<number, number>>([A, B].map((each) => [each, new Map()]));
  bench.load(7, A);
  bench.load(8, B);
  for (let i = 0; i < 400; i++) {
    const space = random.below(2) === 0 ? A : B;
    const model = spaces.get(space)!;
    const [page, l1gfn] = [random.below(24) * 40, random.below(L1_PAGES)];
    const act = random.below(8);
    if (act < 5) {
      const expected = (model.get(page) ?? l1gfn) === l1gfn ? PocStatus.ok : PocStatus.busy;
      expect(bench.map(space, page, l1gfn)).toBe(expected);
      if (expected === PocStatus.ok) model.set(page, l1gfn);
    } else if (act < 7) {
      const end = page + 1 + random.below(120);
      bench.unmap(space, page, end);
      for (const each of [...model.keys()]) if (each >= page && each < end) model.delete(each);
    } else {
      bench.take(l1gfn, Math.min(L1_PAGES, l1gfn + 3));
      for (const each of spaces.values()) {
        for (const [at, to] of [...each]) if (to >= l1gfn && to < l1gfn + 3) each.delete(at);
      }
    }
    for (const [each, wanted] of spaces) {
      const frames = [...wanted].map(([at, to]) => [at, bench.frameOf(to)] as const);
      expect(bench.mapped(each)).toEqual(new Map(frames));
    }
  }
});
