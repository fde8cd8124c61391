/**
 * The flush protocol: a restrictive change carries a label, a number of the AS's generation; it is
 * finished when `doneGen` has reached the label. A flush raises the generation, kicks the CPUs that
 * run the AS and have not flushed up to it, and waits for each to leave or to have flushed.
 * Nothing is held while waiting, and anybody may perform the flush that somebody else's label
 * needs.
 *
 * Source: primer/x86.md 6.4 (proposal).
 */
import { sendIpi, VECTOR_KICK } from '../../../machine/instruction.ts';
import { type Act, num, type Routine, won } from '../../../runtime/act.ts';
import type { Context } from '../../../runtime/context.ts';
import type { Vcpu } from '../../vcpu.ts';
import type { Space } from './space.ts';

/** Label for a change just made: a flush numbered so began after it. */
export function* nextLabel(cpu: Context, space: Space, label = 'kpop.label.gen'): Routine<number> {
  return num(yield cpu.load(space.gen, label)) + 1;
}

/** Returns when the flush `label` is finished, performing it if need be. */
export function* joinFlush(cpu: Context, space: Space, label: number): Routine<void> {
  cpu.attempt('kpop.flush');
  if (num(yield cpu.load(space.doneGen, 'kpop.flush.done')) < label) {
    yield* raise(cpu, space.gen, label, 'kpop.flush.gen');
    yield* kickAndWait(cpu, space, label);
    yield* raise(cpu, space.doneGen, label, 'kpop.flush.finish');
  }
  cpu.conclude('kpop.flush', 0); // who performed it does not matter to who needed it
}

/** Raises a word to at least `value`; a locked operation, hence a full barrier. */
export function* raise(cpu: Context, at: number, value: number, label: string): Routine<void> {
  cpu.attempt(label);
  for (;;) {
    const seen = num(yield cpu.load(at, label));
    if (seen >= value || won(yield cpu.cas(at, seen, value, label))) {
      cpu.conclude(label, 0);
      return;
    }
    cpu.again(label);
  }
}

function* kickAndWait(cpu: Context, space: Space, label: number): Routine<void> {
  const targets: number[] = [];
  for (let id = 0; id < space.platform.cpus; id++) {
    cpu.attempt('kpop.kick');
    const isTarget = yield* kick(cpu, space, id, label);
    if (isTarget) targets.push(id);
    cpu.conclude('kpop.kick', isTarget ? 1 : 0);
  }
  for (const id of targets) {
    const { current, seen } = space.cpu(id);
    const isOut = (): boolean => cpu.peek(current) !== space.number || cpu.peek(seen) >= label;
    yield cpu.wait([current, seen], isOut, 'kpop.kick.wait');
  }
}

/** Interrupts a CPU that runs the AS and has not flushed up to the label; whether it is one. */
function* kick(cpu: Context, space: Space, id: number, label: number): Routine<boolean> {
  const words = space.cpu(id);
  if (num(yield cpu.load(words.current, 'kpop.kick.current')) !== space.number) return false;
  if (num(yield cpu.load(words.seen, 'kpop.kick.seen')) >= label) return false;
  // Several flushers may want the same CPU out: one interrupt serves them all.
  if (num(yield cpu.exchange(words.kick, 1, 'kpop.kick.flag')) === 0) {
    yield sendIpi(cpu, id, VECTOR_KICK, 'kpop.kick.send');
  }
  return true;
}

/**
 * Before this CPU enters the AS, interrupts off: says so, looks for a newer generation behind a
 * full barrier, flushes if there is one. True if a kick came in: back out and look again.
 */
export function* enterSpace(cpu: Context, v: Vcpu, space: Space): Routine<boolean> {
  const words = space.cpu(cpu.cpu);
  cpu.attempt('kpop.enter');
  yield cpu.store(words.current, space.number, 'kpop.enter.current');
  yield cpu.fence('kpop.enter.fence');
  const gen = num(yield cpu.load(space.gen, 'kpop.enter.gen'));
  if (num(yield cpu.load(words.seen, 'kpop.enter.seen')) < gen) {
    yield v.virt.flushRoot(cpu, v, space.rootFrame, 'kpop.enter.flush');
    yield cpu.store(words.seen, gen, 'kpop.enter.flushed');
  }
  const isKicked = num(yield cpu.load(words.kick, 'kpop.enter.kick')) !== 0;
  if (isKicked) {
    yield cpu.store(words.kick, 0, 'kpop.enter.kicked');
    yield leaveSpace(cpu, space);
  }
  cpu.conclude('kpop.enter', isKicked ? 1 : 0);
  return isKicked;
}

export function leaveSpace(cpu: Context, space: Space): Act {
  return cpu.store(space.cpu(cpu.cpu).current, 0, 'kpop.leave');
}
