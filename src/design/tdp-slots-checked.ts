/** What may be done to a VM whose slots come and go, and what it promises. */
import { slotFrames } from '../check/invariant/mmu-frames.ts';
import { backedBy } from '../check/invariant/tdp-backing.ts';
import { judgeRoots, slotPromises } from '../check/invariant/tdp-slots.ts';
import { postVector } from '../hypervisor/interrupt.ts';
import type { TdpMmu, TdpSlots } from '../hypervisor/mmu/tdp/mmu.ts';
import { premap } from '../hypervisor/mmu/tdp/premap.ts';
import { addSlot, deleteSlot, moveSlot, unmapPages } from '../hypervisor/mmu/tdp/slot-change.ts';
import { VECTOR_RESCHEDULE } from '../machine/instruction.ts';
import type { Machine } from '../machine/machine.ts';
import type { Routine } from '../runtime/act.ts';
import { callsOf, ticketsOf } from './likeness.ts';
import type { Checked, Operation } from './system.ts';
import { poolOf } from './tdp-checked.ts';

/** `pages`: of user space's memory, from 0 on. */
export function checkedSlots(
  machine: Machine,
  mmu: TdpMmu,
  slots: TdpSlots,
  pages: number,
): Checked {
  const { platform, backing, format } = mmu;
  const pools = [{ name: platform.name, ...poolOf(platform.frames) }];
  return {
    roots: [mmu.root],
    spaces: { fixed: [mmu.root], of: (root) => ({ root, format }), promised: [] },
    operations: slotOperations(mmu, slots),
    premap: (range) => premap(machine.memory, mmu, range, 'clean'),
    pools,
    misuse: (view, page, frame) => {
      const of = slots.sets.peekPage(view, page);
      const now = of < 0 ? -1 : backing.peekFrame(view, of);
      return now === frame ? undefined : backedBy(now);
    },
    judgeUse: judgeRoots(mmu, slots, pools),
    exclusive: false, // one page of user space may lie at two places of the guest for a moment
    freeHanded: [],
    privates: (hart) => mmu.vm.vcpus.filter((v) => v.seat === hart),
    promises: [...slotPromises(mmu, slots, pages), slotFrames(mmu, slots, pages)],
    structures: platform.arena.placed,
    likenesses: [
      ...mmu.vm.vcpus.map(callsOf),
      ...[mmu.lock.queue, slots.sets.lock, slots.sets.notifierLock, slots.roots.lock].map(
        ({ at }) => ticketsOf(at),
      ),
    ],
  };
}

/** Pages of user space's memory have the numbers of the guest pages that they first lie behind. */
function slotOperations(mmu: TdpMmu, slots: TdpSlots): Readonly<Record<string, Operation>> {
  return {
    *'slot-add'(cpu, range): Routine<void> {
      yield* addSlot(cpu, slots, range, range.first);
    },
    /** Afterwards user space unmaps the memory, and nobody tells the VM. */
    *'slot-delete'(cpu, { first, end }): Routine<void> {
      yield* deleteSlot(cpu, mmu, slots, first);
      for (let page = first; page < end; page++) yield* mmu.backing.release(cpu, page);
    },
    /** From `first` to `end`. */
    *'slot-move'(cpu, { first, end }): Routine<void> {
      yield* moveSlot(cpu, mmu, slots, first, end);
    },
    unmap: (cpu, range) => unmapPages(cpu, mmu, slots, range, 'free'),
    invalidate: (cpu, range) => unmapPages(cpu, mmu, slots, range, 'keep'),
    post: (cpu) => postVector(cpu, mmu.vm.vcpus[0]!, VECTOR_RESCHEDULE),
  };
}
