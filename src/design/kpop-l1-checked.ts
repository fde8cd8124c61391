/**
 * KPOP's L1 by itself, for exploration: its fault path, its book, its invalidation are the
 * product's code; L0 is its specification (kpop-specified.ts). A thread of the host is a vCPU of
 * L1: `touch` runs L2 until it has accessed a page, `drop` takes pages from L2.
 */
import { type KpopL1, kpopL1Frames, kpopL1Promises } from '../check/invariant/kpop-l1.ts';
import { isReadOnly, l1gfnOf, SlotState, stateOf } from '../guest/l1/book/slot.ts';
import { KpopGuest } from '../guest/l1/kpop.ts';
import { AnonymousBacking } from '../hypervisor/backing/anonymous.ts';
import type { PageRange } from '../hypervisor/mmu/common.ts';
import { type Answer, answered } from '../machine/answered.ts';
import type { Machine } from '../machine/machine.ts';
import type { Routine } from '../runtime/act.ts';
import type { Context } from '../runtime/context.ts';
import { runAtBoot } from './boot.ts';
import { kpop } from './kpop.ts';
import { l1Options } from './kpop-parts.ts';
import { SpecifiedL0 } from './kpop-specified.ts';
import {
  type Axes,
  type Checked,
  type Demand,
  type Design,
  hostPlatform,
  type Operation,
} from './system.ts';
import { poolOf } from './tdp.ts';

/** Faults on a page after which a vCPU does something else: who runs for ever is never at rest. */
const MOST_FAULTS = 3;

/** What only a guest hypervisor with a book does. */
const OF_BOOKS = ['l1.settle.valid', 'l1.scan.take', 'l1.withdraw.pending'];

interface Parts {
  readonly l0: SpecifiedL0;
  readonly l1: KpopGuest;
}

export const kpopL1: Design = {
  id: 'kpop-l1',
  title: "KPOP's L1 over the specification of its L0",
  axes: {
    run: kpop.axes['run']!,
    book: kpop.axes['book']!,
    flush: kpop.axes['flush']!,
    batch: { ...kpop.axes['batch']!, values: ['1', '2'] },
  },
  source: 'primer/x86.md 6.6 (proposal)',
  leavesOut: ["L0's code, L2's hardware, exits of L2 other than its faults"],
  isolates: "whether L1's protocol needs more of L0 than L0 promises",
  build(machine, demand, axes) {
    return {
      machine,
      environments: [],
      hostInvalidate: function* none(): Routine<void> {
        // explorations name their operations
      },
      memory: () => ({ tableBytes: 0, bookBytes: 0 }),
      checked: checkedL1(machine, demand, axes),
    };
  },
};

function checkedL1(machine: Machine, demand: Demand, axes: Axes): Checked {
  const platform = hostPlatform(machine);
  const pages = demand.barePages ?? 0;
  const options = l1Options({ ...axes, shards: '1' });
  const lingers = options.flush === 'request';
  const l0 = new SpecifiedL0(platform, { pages, l1Pages: machine.memory.frameLimit, lingers });
  const backing = new AnonymousBacking(platform, [{ base: 0, pages }]);
  const l1 = new KpopGuest({ platform, backing, memory: [{ first: 0, end: pages }], ...options });
  const parts = { l0, l1 };
  const seen: KpopL1 = {
    pages,
    backing,
    book: {
      wordOf: (me, page) => l1.book.wordOf(me, page),
      l1gfn: l1gfnOf,
      isValid: (word) => stateOf(word) === SlotState.valid,
      isReadOnly,
    },
    hasBook: l1.book.keeps,
    slabs: l1.book.slabs,
    mapped: (view, page) => l0.l1gfnOf(view, page),
    lingering: (view, page) => l0.lingeringAt(view, page),
    canWrite: (view, page) => l0.canWrite(view, page),
  };
  return {
    roots: [],
    repeated: [],
    operations: {
      touch: (cpu, range) => touch(cpu, parts, range),
      ...(l1.book.canWait ? { collect: collecting(parts) } : {}),
      drop: (cpu, range) => answered(l1.invalidate(cpu, [range]), answerOf(cpu, parts)),
    },
    premap: (range) => runAtBoot(machine, (me) => touch(me, parts, range)),
    pools: [{ name: platform.name, ...poolOf(platform.frames) }],
    misuse: () => undefined,
    exclusive: false,
    freeHanded: [],
    privates: () => [],
    promises: [...kpopL1Promises(seen), kpopL1Frames(platform, seen)],
    structures: platform.arena.placed,
    specified: l0,
    lacks: l1.book.keeps ? [] : OF_BOOKS,
  };
}

function answerOf(cpu: Context, { l0 }: Parts): Answer {
  return (operation, [page = 0]) => l0.answer(cpu, operation, page);
}

/** Write-protects a range and asks which pages were written to. */
function collecting(parts: Parts): Operation {
  return function* collect(cpu, range): Routine<void> {
    yield* answered(parts.l1.collect(cpu, range), answerOf(cpu, parts));
  };
}

/** L2 on this vCPU accesses each page: RUN, and again after each fault that L1 has resolved. */
function* touch(cpu: Context, parts: Parts, range: PageRange): Routine<void> {
  const { l0, l1 } = parts;
  for (let page = range.first; page < range.end; page++) {
    for (let tries = 0; tries <= MOST_FAULTS; tries++) {
      const isThere = yield* l0.run(cpu, l1.statePage(cpu.seat), page);
      const statuses = l1.fusedStatuses(cpu);
      if (statuses !== undefined) yield* l1.settle(cpu, statuses);
      if (isThere) {
        yield cpu.load(l0.at, 'host.touched');
        break;
      }
      cpu.rest(page * (MOST_FAULTS + 1) + tries, 1);
      if (tries < MOST_FAULTS) yield* answered(l1.fault(cpu, page), answerOf(cpu, parts));
    }
  }
}
