/**
 * Exits of a VM whose slots come and go: a fault in a slot maps its page under the root that the
 * vCPU holds; one in no slot is an access to a device, whose page gets an entry that is malformed
 * on purpose and keeps the slots' generation. The next access to it is an exit that says so, and
 * needs neither the slots nor a lock: an entry with today's generation is believed, any other is
 * looked up anew. Devices are emulated in user space.
 *
 * Source: arch/x86/kvm/mmu/mmu.c, kvm_faultin_pfn, is_page_fault_stale, handle_mmio_page_fault,
 * check_mmio_spte; vmx.c, handle_ept_misconfig (facts; primer/x86.md 2.2, 2.6; I8, I9).
 * Leaves out: devices of the kernel and its fast MMIO bus; decoding by the guest's own tables; the
 * price of the way to user space and back; huge pages, logging, and lockless faults of such VMs.
 */
import { generationOf } from '../../../machine/format/mmio.ts';
import { FRAME_BYTES } from '../../../machine/memory.ts';
import { Unit } from '../../../machine/preset/price.ts';
import { num, type Routine } from '../../../runtime/act.ts';
import type { Context } from '../../../runtime/context.ts';
import { Event } from '../../../runtime/trace.ts';
import { readLock, readUnlock, writeLock, writeUnlock } from '../../../sync/rwlock.ts';
import { retire } from '../../emulate.ts';
import { NO_SLOT, SLOT_LEAVING } from '../../slots/slots.ts';
import type { ExitHandler, Vcpu } from '../../vcpu.ts';
import { beginLookup, entryAt, type FaultOutcome, isStale, type Stage2Fault } from '../common.ts';
import { NO_DEVICE, tdpMap } from './fault.ts';
import type { TdpMmu, TdpSlots } from './mmu.ts';

/** Reason of a return to user space (KVM_EXIT_MMIO). */
const EXIT_MMIO = 6;
const NOTHING_REMOVED: number[] = [];

/** Handlers of second-stage faults and of malformed entries. */
export function slotExits(
  mmu: TdpMmu,
  slots: TdpSlots,
): { readonly fault: ExitHandler; readonly misconfig: ExitHandler } {
  return {
    *fault(cpu, v): Routine<void> {
      const { virt, active } = v;
      const code = num(yield virt.faultCode(cpu, active.block, 'violation.why'));
      const gpa = num(yield virt.faultAddress(cpu, active.block, 'violation.where'));
      if (virt.isMalformed(code)) return yield* malformed(cpu, mmu, slots, v, gpa);
      yield* resolve(cpu, mmu, slots, v, gpa, virt.accessOf(code));
    },
    *misconfig(cpu, v): Routine<void> {
      const gpa = num(yield v.virt.faultAddress(cpu, v.active.block, 'misconfig.where'));
      yield* malformed(cpu, mmu, slots, v, gpa);
    },
  };
}

/** The walk met an entry for a device, or did a moment ago. */
function* malformed(
  cpu: Context,
  mmu: TdpMmu,
  slots: TdpSlots,
  v: Vcpu,
  gpa: number,
): Routine<void> {
  const noted = yield* notedAt(cpu, mmu, v.root, Math.floor(gpa / FRAME_BYTES));
  if (noted === NO_DEVICE) return; // it is another one by now: again
  if (yield* slots.sets.isCurrent(cpu, noted)) yield* emulate(cpu, v, gpa);
  else yield* resolve(cpu, mmu, slots, v, gpa, 'read'); // hardware does not say which access
}

/** The generation that the entry of a page keeps; NO_DEVICE if it is none of a device. */
function* notedAt(cpu: Context, { format }: TdpMmu, root: number, gfn: number): Routine<number> {
  let table = root;
  for (let level = format.geometry.levels - 1; ; level--) {
    cpu.spend(Unit.levelWalked, 1);
    const at = entryAt(format.geometry, table, gfn, level);
    const seen = format.decode(yield cpu.load(at, 'mmio.look'), level);
    if (seen.kind === 'mmio') return generationOf(seen);
    if (seen.kind !== 'table') return NO_DEVICE;
    table = seen.pfn;
  }
}

function* resolve(
  cpu: Context,
  mmu: TdpMmu,
  slots: TdpSlots,
  v: Vcpu,
  gpa: number,
  access: Stage2Fault['access'],
): Routine<void> {
  const outcome = yield* faultInSlots(cpu, mmu, slots, v, {
    gfn: Math.floor(gpa / FRAME_BYTES),
    access,
  });
  if (outcome === 'device') yield* emulate(cpu, v, gpa);
}

/** `device`: the page is in no slot, and its entry says so now. */
export function* faultInSlots(
  cpu: Context,
  mmu: TdpMmu,
  { sets, roots }: TdpSlots,
  v: Vcpu,
  { gfn, access }: Stage2Fault,
): Routine<FaultOutcome | 'device'> {
  yield* mmu.topUp(cpu);
  const seq = yield* beginLookup(cpu, mmu.words);
  const page = yield* sets.find(cpu, gfn);
  if (page === SLOT_LEAVING) return 'retry'; // until it is gone
  const pfn = page === NO_SLOT ? 0 : yield* mmu.backing.find(cpu, page); // may sleep
  const device = page === NO_SLOT ? yield* sets.generation(cpu) : NO_DEVICE;
  const { root } = v;
  const removed = NOTHING_REMOVED;
  const wanted = { gfn, access, root, pfn, device, goal: 0, refused: 0, logs: false, removed };
  if (mmu.faultLock === 'read') yield* readLock(cpu, mmu.lock, 'tdp.fault.lock');
  else yield* writeLock(cpu, mmu.lock, 'tdp.fault.lock');
  let outcome: FaultOutcome = 'retry'; // the page left, or the root is being taken apart
  if (!(yield* roots.isInvalid(cpu, v)) && !(yield* isStale(cpu, mmu.words, seq, gfn))) {
    outcome = yield* tdpMap(cpu, mmu, wanted);
  }
  if (mmu.faultLock === 'read') yield* readUnlock(cpu, mmu.lock, 'tdp.fault.unlock');
  else yield* writeUnlock(cpu, mmu.lock, 'tdp.fault.unlock');
  return outcome === 'mapped' && device !== NO_DEVICE ? 'device' : outcome;
}

/** User space does what the guest's instruction wants of the device; what it reads is 0. */
function* emulate(cpu: Context, v: Vcpu, gpa: number): Routine<void> {
  cpu.spend(Unit.instructionEmulated, 1);
  cpu.note(Event.userspace, EXIT_MMIO, Math.floor(gpa / FRAME_BYTES));
  yield* retire(cpu, v, 0);
}
