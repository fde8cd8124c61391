/**
 * Interrupts of the guest's kernel: shootdowns, reschedule IPIs, the timer tick, and a vCPU that
 * waits for one of them in HLT. Handlers signal the end of an interrupt last, if it is signalled by
 * the APIC at all.
 *
 * Leaves out: what a tick or a reschedule does (a tick has a price), tickless idle, broadcast
 * timers, interrupts of devices.
 */
import type { GuestContext } from '../../machine/guest.ts';
import {
  armTimer,
  endInterrupt,
  halt,
  sendIpi,
  VECTOR_CALL,
  VECTOR_RESCHEDULE,
  VECTOR_TIMER,
  work,
} from '../../machine/instruction.ts';
import { Unit } from '../../machine/preset/price.ts';
import { num, type Routine } from '../../runtime/act.ts';
import { atomicLine, layout, plain } from '../../runtime/layout.ts';
import type { InterruptServices } from '../common/process.ts';
import type { GuestKernel } from './kernel.ts';
import { answerShootdown } from './unmap.ts';

export const InterruptWords = layout('guest.interrupts', {
  /** Reschedule IPIs taken. */
  received: atomicLine,
  /** Timer interrupts taken. */
  ticks: atomicLine,
  /** Whether the next one is to be armed. */
  ticking: plain,
});

/** Words of all vCPUs, from `base` on. */
export interface Interrupts {
  readonly base: number;
  /** Cycles between two ticks. */
  readonly tickCycles: number;
}

function wordsOf({ base }: Interrupts, vcpu: number): number {
  return base + vcpu * InterruptWords.bytes;
}

/** Handler of every interrupt of a vCPU; without `interrupts` only shootdowns come. */
export function* handleInterrupt(
  kernel: GuestKernel,
  interrupts: Interrupts | undefined,
  cpu: GuestContext,
  vector: number,
): Routine<void> {
  if (vector === VECTOR_CALL || interrupts === undefined) yield* answerShootdown(kernel, cpu);
  else {
    const words = wordsOf(interrupts, cpu.seat);
    if (vector === VECTOR_TIMER) yield* tick(cpu, words, interrupts.tickCycles);
    else yield cpu.add(words + InterruptWords.at.received, 1, 'kernel.reschedule.received');
  }
  if (cpu.apic.signalsEnd) yield endInterrupt(cpu, 'kernel.interrupt.end');
}

function* tick(cpu: GuestContext, words: number, cycles: number): Routine<void> {
  cpu.spend(Unit.guestTickWork, 1);
  yield cpu.add(words + InterruptWords.at.ticks, 1, 'kernel.tick.count');
  if (cpu.read(words + InterruptWords.at.ticking) === 0) return;
  yield armTimer(cpu, cycles, 'kernel.tick.arm');
}

export function interruptServices(interrupts: Interrupts): InterruptServices {
  const at = (vcpu: number, name: 'received' | 'ticks'): number =>
    wordsOf(interrupts, vcpu) + InterruptWords.at[name];
  return {
    *startTick(cpu): Routine<void> {
      if (interrupts.tickCycles === 0) return;
      cpu.write(wordsOf(interrupts, cpu.seat) + InterruptWords.at.ticking, 1);
      yield armTimer(cpu, interrupts.tickCycles, 'kernel.tick.start');
    },
    *stopTick(cpu): Routine<void> {
      if (interrupts.tickCycles === 0) return;
      cpu.write(wordsOf(interrupts, cpu.seat) + InterruptWords.at.ticking, 0);
      yield armTimer(cpu, 0, 'kernel.tick.stop');
    },
    *runTicks(cpu, count, instructions): Routine<void> {
      while (num(yield cpu.load(at(cpu.seat, 'ticks'), 'kernel.tick.look')) < count) {
        yield work(cpu, instructions, 'kernel.tick.run');
      }
    },
    *reschedule(cpu, target): Routine<void> {
      yield sendIpi(cpu, target, VECTOR_RESCHEDULE, 'kernel.reschedule.send');
    },
    *awaitReceived(cpu, vcpu, count): Routine<void> {
      const received = at(vcpu, 'received');
      yield cpu.wait([received], () => cpu.peek(received) >= count, 'kernel.reschedule.wait');
    },
    idle: (cpu, count) => idle(cpu, at(cpu.seat, 'received'), count),
  };
}

/** HLT until `count` IPIs were received. */
function* idle(cpu: GuestContext, received: number, count: number): Routine<void> {
  for (;;) {
    cpu.masked = true; // what comes after the look ends the HLT
    if (num(yield cpu.load(received, 'kernel.idle.look')) >= count) break;
    yield halt(cpu, 'kernel.idle.halt');
    cpu.masked = false;
    yield work(cpu, 1, 'kernel.idle.woken'); // interrupts are taken here
  }
  cpu.masked = false;
}
