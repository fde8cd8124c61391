/** What may be done to a TDP MMU by threads of its host, and what it promises. */

import type { Frames } from '../alloc/frames.ts';
import { defect } from '../base/assert.ts';
import { tdpFrames } from '../check/invariant/mmu-frames.ts';
import { backedBy, tdpDirty, tdpPromises } from '../check/invariant/tdp-backing.ts';
import { tdpLogged } from '../check/invariant/tdp-log.ts';
import { Fetches, nxPromises } from '../check/invariant/tdp-nx.ts';
import { tdpOracle } from '../check/oracle/tdp-words.ts';
import type { FramePool } from '../check/promise.ts';
import { postVector } from '../hypervisor/interrupt.ts';
import type { PageRange, Stage2Fault } from '../hypervisor/mmu/common.ts';
import { tdpAge } from '../hypervisor/mmu/tdp/age.ts';
import { harvestLog, startLogging, stopLogging } from '../hypervisor/mmu/tdp/dirty-log.ts';
import { tdpFault } from '../hypervisor/mmu/tdp/fault.ts';
import type { TdpMmu } from '../hypervisor/mmu/tdp/mmu.ts';
import { tdpRecover } from '../hypervisor/mmu/tdp/nx.ts';
import { premap } from '../hypervisor/mmu/tdp/premap.ts';
import { tdpCollapse, tdpRemoveTables } from '../hypervisor/mmu/tdp/remove.ts';
import { tdpSplit } from '../hypervisor/mmu/tdp/split.ts';
import { tdpTeardown } from '../hypervisor/mmu/tdp/teardown.ts';
import { tdpUnmap } from '../hypervisor/mmu/tdp/zap.ts';
import { VECTOR_RESCHEDULE } from '../machine/instruction.ts';
import type { Machine } from '../machine/machine.ts';
import { FRAME_BYTES } from '../machine/memory.ts';
import { num, type Routine } from '../runtime/act.ts';
import type { Context } from '../runtime/context.ts';
import { type Checked, FRESH, type Operation } from './system.ts';

/** What a flush by requests does, and a broadcast does not. */
const OF_KICKS = ['flush.kick', 'flush.wait', 'run.flush'];

export function checkedTdp(machine: Machine, mmu: TdpMmu, memory: readonly PageRange[]): Checked {
  const { platform, backing } = mmu;
  const isBroadcast = mmu.vm.sharedTag !== undefined;
  const pages = memory.reduce((most, { end }) => Math.max(most, end), 0);
  const copies = mmu.logging === undefined ? 0 : platform.arena.take(pages * 8);
  const fetches = mmu.nx === undefined ? undefined : new Fetches(platform, pages);
  const takes = (operation: Operation): Operation => fetches?.taking(operation) ?? operation;
  return {
    roots: [mmu.root],
    operations: {
      fault: (cpu, range) => faultAll(cpu, mmu, range, 'write'),
      'fault-execute': (cpu, range) => {
        const fault = faultAll(cpu, mmu, range, 'execute');
        return fetches === undefined ? fault : fetches.fetch(cpu, range.first, fault);
      },
      'nx-recover': takes(function* recover(cpu): Routine<void> {
        yield* tdpRecover(cpu, mmu, 1);
      }),
      unmap: takes(told('unmap', (cpu, range) => tdpUnmap(cpu, mmu, [range], 'free'))),
      'unmap-yield': (cpu, range) => tdpUnmap(cpu, mmu, [range], 'free', true),
      *age(cpu, range): Routine<void> {
        yield* tdpAge(cpu, mmu, range);
      },
      invalidate: told('invalidate', (cpu, range) => tdpUnmap(cpu, mmu, [range], 'keep')),
      post: (cpu) => postVector(cpu, mmu.vm.vcpus[0]!, VECTOR_RESCHEDULE),
      teardown: told('teardown', (cpu) => tdpTeardown(cpu, mmu)),
      'remove-tables': takes(
        told('remove-tables', (cpu, range) => tdpRemoveTables(cpu, mmu, range)),
      ),
      ...logOperations(mmu, copies),
      ...CHANGES_OF_SLOTS,
      split: (cpu, range) => tdpSplit(cpu, mmu, range),
      collapse: takes((cpu, range) => tdpCollapse(cpu, mmu, range)),
    },
    premap: (range) => premap(machine.memory, mmu, range, 'clean'),
    pools: [{ name: platform.name, ...poolOf(platform.frames) }],
    misuse: (view, page, frame) => {
      const now = backing.has(page) ? backing.peekFrame(view, page) : -1;
      return now === frame ? undefined : backedBy(now);
    },
    exclusive: true,
    broadcasts: isBroadcast,
    lacks: [...(isBroadcast ? OF_KICKS : []), ...(mmu.nx === undefined ? OF_FETCHES : [])],
    freeHanded: [],
    privates: (hart) => mmu.vm.vcpus.filter((v) => v.seat === hart),
    promises: [
      ...tdpPromises(mmu),
      tdpDirty(mmu, memory),
      tdpFrames(mmu, memory),
      ...tdpLogged(mmu, copies),
      ...nxPromises(mmu, fetches, pages),
    ],
    silent: FRESH,
    structures: platform.arena.placed,
    oracle: tdpOracle(mmu, pages),
  };
}

/** What a fetch and the worker do only where huge pages are not executable. */
const OF_FETCHES = ['nx.track.lock', 'nx.untrack.lock', 'nx.recover.unlink'];

/** Offered by the same design for a guest whose slots change (tdp-slots-checked.ts). */
const CHANGES_OF_SLOTS: Readonly<Record<string, Operation>> = Object.fromEntries(
  ['slot-add', 'slot-delete', 'slot-move'].map((name): [string, Operation] => [
    name,
    () => defect('checkedTdp', `${name}: the slots of this guest never change`),
  ]),
);

/** An operation that says when it begins and ends. */
function told(name: string, operation: Operation): Operation {
  return function* tell(cpu, range): Routine<void> {
    cpu.began(name, range.first, range.end);
    yield* operation(cpu, range);
    cpu.ended(name, 'ok');
  };
}

/** Resolves faults as the exit handler of a guest would, again until each page is there. */
function* faultAll(
  cpu: Context,
  mmu: TdpMmu,
  range: PageRange,
  access: Stage2Fault['access'],
): Routine<void> {
  for (let gfn = range.first; gfn < range.end; gfn++) {
    for (;;) {
      cpu.began('fault', gfn);
      const outcome = yield* tdpFault(cpu, mmu, { gfn, access });
      cpu.ended('fault', outcome);
      if (outcome !== 'retry') break;
      cpu.rest(gfn, 1);
    }
  }
}

/**
 * User space that copies a VM's memory elsewhere: all pages once logging is on, and after each
 * harvest the pages that it names. `copies`: one word per page, the copy of its first word.
 */
function logOperations(mmu: TdpMmu, copies: number): Record<string, Operation> {
  return {
    *'log-start'(cpu, { first, end }): Routine<void> {
      yield* startLogging(cpu, mmu, first);
      for (let gfn = first; gfn < end; gfn++) yield* copyPage(cpu, mmu, copies, gfn);
    },
    *'log-harvest'(cpu, { first }): Routine<void> {
      const pages = yield* harvestLog(cpu, mmu, first);
      for (const gfn of pages) yield* copyPage(cpu, mmu, copies, gfn);
    },
    'log-stop': (cpu, { first }) => stopLogging(cpu, mmu, first),
  };
}

/** A page that is not resident has never been written to. */
function* copyPage(cpu: Context, mmu: TdpMmu, copies: number, gfn: number): Routine<void> {
  cpu.attempt('copy');
  const frame = yield* mmu.backing.resident(cpu, gfn);
  if (frame >= 0) {
    const content = num(yield cpu.load(frame * FRAME_BYTES, 'copy.read'));
    yield cpu.store(copies + gfn * 8, content, 'copy.write');
  }
  cpu.conclude('copy', 0);
}

export function poolOf(frames: Frames): Omit<FramePool, 'name'> {
  return {
    covers: (frame) => frames.covers(frame),
    isFree: (view, frame) => frames.isFree(view, frame),
    linkAt: (frame) => frames.linkAt(frame),
  };
}
