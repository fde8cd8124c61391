/**
 * Random MAPs and UNMAPs of L1 on the real L0 of KPOP: after each of them what hardware finds under
 * L0's root is what an abstract map from L2 pages to L1 pages says.
 */
import { expect } from 'vitest';
import {
  KpopCall,
  LIST_ELEMENT_BYTES,
  LIST_HEADER_BYTES,
  ListHeader,
  PROT_EXECUTE,
  PROT_READ,
  PROT_WRITE,
  packTarget,
  Status,
} from '../../src/abi/kpop.ts';
import { OwnerCall } from '../../src/abi/owner.ts';
import { Random } from '../../src/base/random.ts';
import { parseDesign } from '../../src/design/index.ts';
import { composeKpop, type KpopStack, startL0 } from '../../src/design/kpop-parts.ts';
import { buildL1 } from '../../src/design/l1.ts';
import { hostPlatform } from '../../src/design/system.ts';
import { ALL_RIGHTS, OK, READ, RIGHT_WRITE, USER } from '../../src/machine/format/judge.ts';
import type { GuestContext } from '../../src/machine/guest.ts';
import { vmcall } from '../../src/machine/instruction.ts';
import { Machine } from '../../src/machine/machine.ts';
import { findPreset } from '../../src/machine/preset/index.ts';
import { Walker } from '../../src/machine/walk.ts';
import { num, type Routine } from '../../src/runtime/act.ts';
import { runTimed } from '../../src/schedule/timed.ts';
import type { Silicon } from './vendors.ts';

/** L2 pages in play: neighbours, and pages that share only upper tables with them. */
const L2_PAGES = [0, 1, 511, 512, 513, 2 ** 18, 2 ** 18 + 1, 2 ** 27 - 1];
const L2_END = 2 ** 27;
/** L1 pages that they are mapped to. */
const L1_PAGES = 4;
const RIGHTS = [PROT_READ | PROT_WRITE, PROT_READ, PROT_READ | PROT_WRITE | PROT_EXECUTE];

interface Target {
  readonly l1gfn: number;
  readonly prot: number;
}

function build({ machine: preset, levels }: Silicon): KpopStack {
  const machine = new Machine({
    preset: findPreset(preset),
    cpus: 1,
    trace: { event: () => undefined },
    levels: { second: Number(levels), first: Number(levels) },
  });
  const memory = [0, 2 ** 18, L2_END - 514].map((first) => ({ first, end: first + 514 }));
  const demand = { vcpus: 1, pagesPerVcpu: 0, stride: 1, hostThreads: 0 };
  const own = [{ first: 0, end: 4096 }]; // L1 need not hold all of so large an L2
  const l1 = buildL1(machine, hostPlatform(machine), demand, own, { l1: 'warm', apicv: 'on' });
  const stack = composeKpop(machine, l1, memory, demand, parseDesign('kpop').axes);
  startL0(stack, true);
  return stack;
}

/** What L0 answered, operation by operation. */
export function refine(silicon: Silicon, seed: number, operations: number): number[] {
  const stack = build(silicon);
  const { machine, l1, vm } = stack;
  const random = new Random(seed, 0);
  const abstract = new Map<number, Target>();
  const walker = new Walker(machine.memory, machine.translator.nestedStage);
  const answers: number[] = [];

  function compare(): void {
    for (const page of L2_PAGES) {
      const wanted = abstract.get(page);
      const top = walker.format.geometry.levels - 1;
      walker.reset();
      const outcome = walker.descend(top, vm.space.rootFrame, ALL_RIGHTS, page, READ, USER);
      expect(outcome === OK).toBe(wanted !== undefined);
      if (wanted === undefined) continue;
      expect(walker.pfn).toBe(l1.mmu.backing.peekFrame(machine.memory, wanted.l1gfn));
      expect((walker.rights & RIGHT_WRITE) !== 0).toBe((wanted.prot & PROT_WRITE) !== 0);
    }
  }

  function* body(me: GuestContext): Routine<void> {
    const list = (yield* l1.platform.frames.take(me)) * 4096;
    const targets: number[] = [];
    for (let i = 0; i < L1_PAGES; i++) targets.push(yield* l1.platform.frames.take(me));
    const call = function* one(operation: number, first: number, second: number): Routine<number> {
      me.write(list + ListHeader.count, 1);
      me.write(list + LIST_HEADER_BYTES, first);
      me.write(list + LIST_HEADER_BYTES + LIST_ELEMENT_BYTES / 2, second);
      return num(yield vmcall(me, operation, [list], 'test.call'));
    };
    for (let i = 0; i < operations; i++) {
      const page = L2_PAGES[random.below(L2_PAGES.length)]!;
      if (random.below(3) > 0) {
        const l1gfn = targets[random.below(L1_PAGES)]!;
        const prot = RIGHTS[random.below(RIGHTS.length)]!;
        const answer = yield* call(KpopCall.map, page, packTarget(l1gfn, prot));
        const there = abstract.get(page);
        const isSame = there?.l1gfn === l1gfn && there.prot === prot;
        expect(answer).toBe(there === undefined || isSame ? Status.ok : Status.busy);
        if (there === undefined) abstract.set(page, { l1gfn, prot });
        answers.push(answer);
      } else {
        const pages = [1, 3, 1024][random.below(3)]!;
        const end = Math.min(page + pages, L2_END);
        answers.push(yield* call(KpopCall.unmap, page, end - page));
        for (const each of L2_PAGES) if (each >= page && each < end) abstract.delete(each);
      }
      compare();
    }
    yield vmcall(me, OwnerCall.done, [], 'test.done');
  }

  const [me] = l1.contexts;
  me!.push(body(me!));
  expect(runTimed(machine).stuck).toEqual([]);
  return answers;
}
