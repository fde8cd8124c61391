/**
 * An L1 that a test writes: its vCPUs make the calls of the test, L0 with its tables and flushes is
 * the real one. A test file that uses it mocks what `observed.ts` watches: AnonymousBacking, Space,
 * KpopGuest.
 */
import { expect, vi } from 'vitest';
import {
  KpopCall,
  LIST_ELEMENT_BYTES,
  LIST_HEADER_BYTES,
  ListHeader,
  PROT_READ,
  PROT_WRITE,
  packTarget,
} from '../../src/abi/kpop.ts';
import { OwnerCall } from '../../src/abi/owner.ts';
import { kpopEntries, kpopGenerations } from '../../src/check/invariant/kpop-entries.ts';
import { kpopReverse } from '../../src/check/invariant/kpop-reverse.ts';
import { kpopTree } from '../../src/check/invariant/kpop-tree.ts';
import { hostView, type View } from '../../src/check/invariant/view.ts';
import { assemble } from '../../src/design/assemble.ts';
import { parseDesign } from '../../src/design/index.ts';
import type { Conditions } from '../../src/design/system.ts';
import { DEFAULT_CONDITIONS } from '../../src/experiment/run.ts';
import type { KpopGuest } from '../../src/guest/l1/kpop.ts';
import type { Space } from '../../src/hypervisor/mmu/kpop/space.ts';
import type { GuestContext } from '../../src/machine/guest.ts';
import { cpuid, vmcall } from '../../src/machine/instruction.ts';
import { Machine } from '../../src/machine/machine.ts';
import { intelCascadeLake } from '../../src/machine/preset/intel-cascade-lake.ts';
import { num, type Routine } from '../../src/runtime/act.ts';
import type { TraceSink } from '../../src/runtime/trace.ts';
import { runTimed } from '../../src/schedule/timed.ts';
import { forget, madeOf } from './observed.ts';

const RW = PROT_READ | PROT_WRITE;

/** L1's side of a test: one vCPU of it. */
export class Caller {
  readonly me: GuestContext;
  readonly scene: Scene;
  #page = 0;

  constructor(me: GuestContext, scene: Scene) {
    this.me = me;
    this.scene = scene;
  }

  *setUp(): Routine<void> {
    this.#page = (yield* this.scene.hypervisor.platform.frames.take(this.me)) * 4096;
  }

  /** An L1 page that nothing else uses. */
  page(): Routine<number> {
    return this.scene.hypervisor.platform.frames.take(this.me);
  }

  /** L1 pages that are a huge one, if the host has those. */
  block(pages: number): Routine<number> {
    return this.scene.hypervisor.platform.frames.takeBlock(this.me, pages);
  }

  /** A word of the argument page, behind its header. */
  word(index: number): number {
    return this.me.read(this.#page + LIST_HEADER_BYTES + index * 8);
  }

  /** A word of the argument page, its header included. */
  answer(index: number): number {
    return this.me.read(this.#page + index * 8);
  }

  /** Passes a list; the answer. `count` may lie. */
  *call(
    operation: number,
    elements: readonly (readonly [number, number])[],
    header: { epoch?: number; flags?: number; join?: number; count?: number; at?: number } = {},
  ): Routine<number> {
    const { me } = this;
    const page = this.#page;
    me.write(page + ListHeader.count, header.count ?? elements.length);
    me.write(page + ListHeader.epoch, header.epoch ?? 0);
    me.write(page + ListHeader.flags, header.flags ?? 0);
    me.write(page + ListHeader.join, header.join ?? 0);
    elements.forEach(([first, second], i) => {
      me.write(page + LIST_HEADER_BYTES + i * LIST_ELEMENT_BYTES, first);
      me.write(page + LIST_HEADER_BYTES + i * LIST_ELEMENT_BYTES + 8, second);
    });
    return num(yield vmcall(me, operation, [header.at ?? page], 'test.call'));
  }

  map(l2gfn: number, l1gfn: number, epoch = 0, prot = RW): Routine<number> {
    return this.call(KpopCall.map, [[l2gfn, packTarget(l1gfn, prot)]], { epoch });
  }

  protect(l2gfn: number, prot: number, epoch = 0, pages = 1): Routine<number> {
    return this.call(KpopCall.protect, [[packTarget(l2gfn, prot), pages]], { epoch });
  }

  unmap(l2gfn: number, pages = 1, epoch = 0): Routine<number> {
    return this.call(KpopCall.unmap, [[l2gfn, pages]], { epoch });
  }
}

export interface Scene {
  readonly machine: Machine;
  readonly host: View;
  readonly space: Space;
  readonly hypervisor: KpopGuest;
  /** First L2 page of the data range, the number of L2's pages, and of L1's. */
  readonly first: number;
  readonly l2Pages: number;
  readonly l1Pages: number;
}

export type Body = (l1: Caller) => Routine<void>;

/** What L2 may be asked for beside, what it does, and who hears of events. */
export interface Extra {
  readonly logs?: boolean;
  readonly windows?: boolean;
  readonly l2?: (me: GuestContext) => Routine<void>;
  readonly trace?: Partial<TraceSink>;
}

/** Lets each L1 vCPU run a body, to the end of all. */
export function l1Runs(
  bodies: readonly Body[],
  design = 'kpop',
  conditions: Partial<Conditions> = {},
  { logs = false, windows = false, l2 = cpuidForEver, trace = {} }: Extra = {},
): Scene {
  forget();
  const real = Machine.prototype.guest;
  const contexts: GuestContext[] = [];
  const spy = vi.spyOn(Machine.prototype, 'guest').mockImplementation(function spied(
    this: Machine,
    level,
    name,
  ) {
    const made = real.call(this, level, name);
    if (level === 1) contexts.push(made);
    else made.push(l2(made)); // code that a RUN could enter
    return made;
  });
  const vcpus = bodies.length;
  const beside = logs ? 1 : 0; // a vCPU of L1 that has nothing to do here
  const { machine } = assemble(parseDesign(design), {
    preset: intelCascadeLake,
    cpus: vcpus + beside,
    trace: { event: () => undefined, ...trace },
    softwareScale: 1,
    demand: { vcpus, pagesPerVcpu: 600, stride: 1, hostThreads: beside, logs, windows },
    conditions: { ...DEFAULT_CONDITIONS, ...conditions },
  });
  spy.mockRestore();
  type Slots = { base: number; pages: number }[];
  const [l1Slots, l2Slots] = madeOf('AnonymousBacking').map(({ args }) => args[1] as Slots);
  const last = l2Slots!.at(-1)!;
  const scene: Scene = {
    machine,
    host: hostView(machine.memory),
    space: madeOf<Space>('Space')[0]!.object,
    hypervisor: madeOf<KpopGuest>('KpopGuest')[0]!.object,
    first: l2Slots![1]!.base,
    l2Pages: last.base + last.pages,
    l1Pages: l1Slots![0]!.pages,
  };
  contexts.forEach((me, i) => {
    me.kill();
    const caller = new Caller(me, scene);
    me.push(
      (function* l1(): Routine<void> {
        yield* caller.setUp();
        yield* bodies[i]?.(caller) ?? [];
        yield vmcall(me, OwnerCall.done, [], 'test.done');
      })(),
    );
  });
  expect(runTimed(machine).stuck).toEqual([]);
  expect(complaints(scene)).toEqual([]);
  return scene;
}

function* cpuidForEver(me: GuestContext): Routine<void> {
  for (;;) yield cpuid(me, 0, 'test.l2');
}

export function complaints({ host, space, l1Pages }: Scene): string[] {
  return [
    ...kpopEntries(host, space),
    ...kpopGenerations(host, space),
    ...kpopReverse(host, space, l1Pages),
  ];
}

/** What L2 may use and L1 has asked for: every leaf place, and the generations. */
export function state({ host, space }: Scene): string {
  const places = kpopTree(host, space).places.filter(({ table }) => table.level === 0);
  const shown = places.map(({ page, intent, entry }) => [page, intent, entry.lo, entry.hi]);
  return JSON.stringify([shown, host.read(space.gen), host.read(space.doneGen)]);
}

/** The call is refused with this status, and nothing has changed. */
export function* refused(l1: Caller, status: number, call: Routine<number>): Routine<void> {
  const before = state(l1.scene);
  expect(yield* call).toBe(status);
  expect(state(l1.scene)).toBe(before);
}

export function intentOf({ host, space }: Scene, page: number) {
  const found = kpopTree(host, space).places.filter(({ table }) => table.level === 0);
  return found.find((place) => place.page === page);
}
