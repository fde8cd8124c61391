/**
 * The timed scheduler on the machine: acts in the order of their times, interrupts no earlier than
 * whoever ran ahead was allowed to go, and waits that nobody will ever end.
 */
import { describe, expect, it } from 'vitest';
import { Random } from '../base/random.ts';
import { sendIpi } from '../machine/instruction.ts';
import { Machine } from '../machine/machine.ts';
import { intelCascadeLake } from '../machine/preset/intel-cascade-lake.ts';
import { Unit } from '../machine/preset/price.ts';
import type { Routine } from '../runtime/act.ts';
import type { Context } from '../runtime/context.ts';
import { Outcome, type Processor } from '../runtime/processor.ts';
import { runTimed } from './timed.ts';

const FLIGHT = intelCascadeLake.prices.ipiSameSocket.value;
const VECTOR = 0x40;

/** Notes the time and the processor of every act as it is performed, and how far it might go. */
class Watched extends Machine {
  readonly acts: { id: number; at: number }[] = [];
  readonly early: string[] = [];
  readonly arrivals: number[] = [];

  constructor(cpus: number) {
    super({ preset: intelCascadeLake, cpus, trace: { event: () => undefined } });
  }

  override perform(processor: Processor): number {
    const at = processor.now;
    const outcome = super.perform(processor);
    if (outcome === Outcome.advanced) this.acts.push({ id: processor.id, at });
    return outcome;
  }

  override interrupt(processor: Processor): boolean {
    const at = processor.interruptAt;
    this.arrivals.push(processor.now - at);
    if (processor.now < at) this.early.push(`CPU ${processor.id}: ${processor.now} before ${at}`);
    return super.interrupt(processor);
  }
}

/** Acts that were performed at an earlier time than the one before. */
function outOfOrder(acts: readonly { id: number; at: number }[]): string[] {
  return acts.flatMap(({ at }, i) => {
    const before = acts[i - 1]?.at ?? 0;
    return before <= at ? [] : [`act ${i} at ${at} after one at ${before}`];
  });
}

describe('acts', () => {
  it('are performed in the order of their times, whatever the CPUs do', () => {
    const machine = new Watched(5);
    for (let id = 0; id < 5; id++) {
      machine.hostThread(id, `thread.${id}`, function* body(me): Routine<void> {
        const random = new Random(3, id);
        for (let i = 0; i < 200; i++) {
          me.spend(Unit.listElement, random.below(40));
          yield me.add(0x4000 + random.below(3) * 64, 1, 'test.add');
        }
      });
    }
    const { steps, cycles, stuck } = runTimed(machine, 'in turn');
    expect([steps, stuck]).toEqual([1000, []]);
    expect(machine.acts).toHaveLength(1000);
    expect(outOfOrder(machine.acts)).toEqual([]);
    expect(cycles).toBe(Math.max(...machine.cpus.map(({ now }) => now)));
    const sum = [0, 64, 128].map((at) => machine.memory.read(0x4000 + at));
    expect(sum.reduce((a, b) => a + b)).toBe(1000);
  });

  it('at the same time the lower processor number goes first', () => {
    const machine = new Watched(4);
    const order: number[] = [];
    for (let id = 3; id >= 0; id--) {
      machine.hostThread(id, `thread.${id}`, function* body(me): Routine<void> {
        yield me.fence('test.fence');
        order.push(id);
        yield me.fence('test.again');
        order.push(id);
      });
    }
    runTimed(machine, 'in turn');
    expect(order).toEqual([0, 1, 2, 3, 0, 1, 2, 3]);
  });
});

describe('interrupts', () => {
  function* idler(me: Context): Routine<void> {
    for (let i = 0; i < 400; i++) yield me.fence('test.idle');
  }

  it('arrive after their flight and not before, at the next act of whoever runs', () => {
    const machine = new Watched(2);
    const taken: number[] = [];
    machine.hostVectors.set(VECTOR, function* handler(cpu): Routine<void> {
      taken.push(cpu.now);
    });
    let sent = 0;
    machine.hostThread(0, 'sender', function* body(me): Routine<void> {
      me.spend(Unit.zeroPage, 1);
      yield sendIpi(me, 1, VECTOR, 'test.send');
      sent = machine.cpus[0]!.now;
    });
    machine.hostThread(1, 'target', idler);
    expect(runTimed(machine, 'in turn').stuck).toEqual([]);
    expect(taken).toHaveLength(1);
    expect(taken[0]! - sent).toBeGreaterThanOrEqual(FLIGHT);
    expect(taken[0]! - sent).toBeLessThan(FLIGHT + 2 * intelCascadeLake.prices.fence.value);
    expect(machine.early).toEqual([]);
  });

  it('random senders and targets: the horizon is never beyond an arrival', () => {
    const machine = new Watched(4);
    machine.hostVectors.set(VECTOR, function* handler(): Routine<void> {
      // its arrival is what counts
    });
    const behind: string[] = [];
    for (let id = 0; id < 4; id++) {
      machine.hostThread(id, `thread.${id}`, function* body(me): Routine<void> {
        const random = new Random(9, id);
        for (let i = 0; i < 150; i++) {
          const cpu = machine.cpus[id]!;
          // What a private path would do: go on to the horizon without an act.
          if (cpu.horizon > cpu.now && Number.isFinite(cpu.horizon)) {
            cpu.now += random.below(Math.floor(cpu.horizon - cpu.now) + 1);
          }
          if (cpu.interruptAt < cpu.now) behind.push(`CPU ${id} at ${cpu.now}`);
          const target = (id + 1 + random.below(3)) % 4;
          yield sendIpi(me, target, VECTOR, 'test.send');
        }
      });
    }
    expect(runTimed(machine, 'in turn').stuck).toEqual([]);
    expect(machine.arrivals.length).toBeGreaterThan(400);
    expect([machine.early, behind, outOfOrder(machine.acts)]).toEqual([[], [], []]);
    // None came late either: what ran ahead stopped before the earliest possible arrival.
    const { vmExit, ipiSend } = intelCascadeLake.prices;
    expect(Math.max(...machine.arrivals)).toBeLessThanOrEqual(ipiSend.value + vmExit.value);
  });
});

describe('stuck contexts', () => {
  it('are named: those that wait for what never happens, and only those', () => {
    const machine = new Watched(3);
    machine.hostThread(0, 'for ever', function* body(me): Routine<void> {
      yield me.wait([0x4000], () => me.peek(0x4000) === 2, 'test.wait');
    });
    machine.hostThread(1, 'for a while', function* body(me): Routine<void> {
      yield me.wait([0x4000], () => me.peek(0x4000) === 1, 'test.wait');
    });
    machine.hostThread(2, 'writer', function* body(me): Routine<void> {
      yield me.store(0x4000, 1, 'test.store');
    });
    expect(runTimed(machine, 'in turn').stuck).toEqual(['for ever']);
  });
});
