/**
 * The owner's side of a guest's hypercalls: taking back pages that the guest says are free. Runs in
 * the thread of the vCPU that called, as a balloon or a madvise from the VMM would.
 */

import { OwnerCall, REPORT_ELEMENT_BYTES, REPORT_LIMIT } from '../abi/owner.ts';
import type { GuestContext } from '../machine/guest.ts';
import { FRAME_BYTES } from '../machine/memory.ts';
import { Unit } from '../machine/preset/price.ts';
import type { Routine } from '../runtime/act.ts';
import type { Context } from '../runtime/context.ts';
import { Event } from '../runtime/trace.ts';
import { retire } from './emulate.ts';
import type { PageRange } from './mmu/common.ts';
import type { ExitHandler, Vcpu } from './vcpu.ts';

/** What an owner can do to its guest's memory. */
export interface Owner {
  unmap(cpu: Context, ranges: readonly PageRange[]): Routine<void>;
  removeTables(cpu: Context, range: PageRange): Routine<void>;
  /** Whether the range is memory of the guest that it may give back: anything else is ignored. */
  owns(range: PageRange): boolean;
  /** Frame of the owner's memory behind a guest page, if it is resident; else -1. */
  frameOf(cpu: Context, gfn: number): Routine<number>;
  /** Calls beyond those of the interface: what explorations let a guest ask for. */
  asked?(cpu: Context, call: number): Routine<void>;
}

/** Handler of VMCALL for the owner of the calling guest. */
export function answerOwnerCalls(owner: Owner): ExitHandler {
  return function* answer(cpu: Context, v: Vcpu): Routine<void> {
    if (yield* answerCall(cpu, owner, v.active.guest)) yield* retire(cpu, v, 0);
  };
}

/** Does what the guest's call asks for; false if the guest is not to go on. */
export function* answerCall(cpu: Context, owner: Owner, guest: GuestContext): Routine<boolean> {
  const [call, first, second] = Array.from(guest.registers) as [number, number, number];
  cpu.note(Event.hypercall, call, 0);
  switch (call) {
    case OwnerCall.reclaim:
      yield* owner.unmap(cpu, yield* rangesOf(cpu, owner, guest));
      return true;
    case OwnerCall.removeTables:
      yield* owner.removeTables(cpu, { first, end: first + second });
      return true;
    case OwnerCall.done:
      guest.kill(); // ends the run loop of this vCPU
      return false;
    default: // a call that does not exist does nothing
      if (owner.asked !== undefined) yield* owner.asked(cpu, call);
      return true;
  }
}

/** Copies the list once before anything is believed: the guest may change it meanwhile. */
function* rangesOf(cpu: Context, owner: Owner, guest: GuestContext): Routine<PageRange[]> {
  const list = guest.registers[1]!;
  const count = Math.min(guest.registers[2]!, REPORT_LIMIT);
  const ranges: PageRange[] = [];
  let frame = -1;
  for (let i = 0; i < count; i++) {
    const at = list + i * REPORT_ELEMENT_BYTES;
    if (i === 0 || at % FRAME_BYTES === 0) {
      frame = yield* owner.frameOf(cpu, Math.floor(at / FRAME_BYTES));
    }
    if (frame < 0) return ranges; // no memory there: what was read so far stands
    cpu.spend(Unit.listElement, 1);
    const element = frame * FRAME_BYTES + (at % FRAME_BYTES);
    const first = cpu.read(element);
    const end = first + cpu.read(element + 8);
    if (owner.owns({ first, end })) ranges.push({ first, end });
  }
  return ranges;
}
