/**
 * The pair at work for a long time, for schedulers that run it once: guests touch their pages again
 * and again, an owner takes the pages away, poisons each frame that it got back, and at the end
 * looks whether every poison is still there: a guest that reached a freed frame overwrote one.
 */
import { OwnerCall } from '../../src/abi/owner.ts';
import type { TdpMmu } from '../../src/hypervisor/mmu/tdp/mmu.ts';
import { tdpUnmap } from '../../src/hypervisor/mmu/tdp/zap.ts';
import type { GuestContext } from '../../src/machine/guest.ts';
import { vmcall } from '../../src/machine/instruction.ts';
import { num, type Routine } from '../../src/runtime/act.ts';
import type { Context } from '../../src/runtime/context.ts';

const POISON = 0x5eed;

/** A page that is mapped from the beginning; the owner writes to its frame when all is over. */
export const STOP_PAGE = 3;

export function touchForLong(pages: number) {
  return function* touch(cpu: GuestContext): Routine<void> {
    for (let round = 1; num(yield cpu.load(STOP_PAGE * 4096, 'guest.stop')) === 0; round++) {
      for (let page = 0; page < pages; page++) {
        yield cpu.store(page * 4096, round * 8 + cpu.seat, 'guest.store');
      }
    }
    yield vmcall(cpu, OwnerCall.done, [], 'guest.done');
  };
}

/** Frames that were given back, and those of them whose poison was overwritten. */
export interface Tally {
  freed: number;
  overwritten: number;
}

/** Takes pages away until `count` frames came back. */
export function reclaimForLong(pages: number, count: number, tally: Tally) {
  return function* reclaim(cpu: Context, mmu: TdpMmu): Routine<void> {
    const freed: number[] = [];
    for (let first = 0; freed.length < count; first = (first + 1) % pages) {
      const frame = yield* mmu.backing.resident(cpu, first);
      if (frame < 0) continue; // nobody has touched it since
      yield* tdpUnmap(cpu, mmu, [{ first, end: first + 1 }], 'free');
      yield cpu.store(frame * 4096, POISON, 'reclaim.poison');
      freed.push(frame);
    }
    const stop = yield* mmu.backing.resident(cpu, STOP_PAGE);
    yield cpu.store(stop * 4096, 1, 'reclaim.stop');
    tally.freed = freed.length;
    for (const frame of freed) {
      if (num(yield cpu.load(frame * 4096, 'reclaim.look')) !== POISON) tally.overwritten++;
    }
  };
}
