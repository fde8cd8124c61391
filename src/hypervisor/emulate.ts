/**
 * Exits that a hypervisor answers by itself: an instruction is emulated and retired. The value goes
 * to the guest's registers (which are in the hypervisor's hands while the guest does not run), the
 * instruction pointer through its control block.
 */
import { join } from '../base/bits.ts';
import { Unit } from '../machine/preset/price.ts';
import { completeAct } from '../machine/world-switch.ts';
import { type Act, Op, type Routine } from '../runtime/act.ts';
import type { Context } from '../runtime/context.ts';
import type { Vcpu } from './vcpu.ts';

/** Moves the guest's instruction pointer past the instruction that exited. */
export function advance(cpu: Context, v: Vcpu): Routine<void> {
  return v.virt.advance(cpu, v.active.block);
}

/** Retires the guest's instruction with `value` in its result register. */
export function* retire(cpu: Context, v: Vcpu, value: number): Routine<void> {
  yield* advance(cpu, v);
  completeAct(v.active.guest.top, value | 0, Math.floor(value / 4294967296));
}

/** CPUID: a table look-up and four registers. */
export function* emulateCpuid(cpu: Context, v: Vcpu): Routine<void> {
  const leaf = v.active.guest.top.act.at;
  cpu.spend(Unit.listElement, 8);
  cpu.spend(Unit.fieldCopied, 4);
  yield* retire(cpu, v, leaf + 0x100);
}

/** An interrupt for the host: its handler ran as soon as the thread unmasked; nothing is left. */
export function* ignoreInterrupt(_cpu: Context, _v: Vcpu): Routine<void> {
  // The exit itself was the point: the next entry services requests.
}

/**
 * Whether a guest's act on a word will change it, where nobody else can change what is there: a
 * compare-and-swap that fails is no write. The act itself fetches the line.
 */
export function willStore(cpu: Context, { op, seenLo, seenHi }: Act, at: number): boolean {
  return op !== Op.cas || cpu.peek(at) === join(seenLo, seenHi);
}
