/** The tickets of a spinlock's word start anew before it stops being exact as a number. */
import { describe, expect, it } from 'vitest';
import { Machine } from '../machine/machine.ts';
import { intelCascadeLake } from '../machine/preset/intel-cascade-lake.ts';
import type { Routine } from '../runtime/act.ts';
import type { Context } from '../runtime/context.ts';
import { runTimed } from '../schedule/timed.ts';
import { lock, spinlock, unlock } from './spinlock.ts';

const AT = 0x4000;
const l = spinlock(AT, 'kpop.vm');

function withTickets(drawn: number, body: (me: Context) => Routine<void>): Machine {
  const trace = { event: () => undefined };
  const machine = new Machine({ preset: intelCascadeLake, cpus: 1, trace });
  machine.memory.writeHalves(AT, drawn, drawn);
  machine.hostThread(0, 'thread', body);
  runTimed(machine);
  return machine;
}

function* once(me: Context): Routine<void> {
  yield* lock(me, l, 'test.lock');
  yield* unlock(me, l, 'test.unlock');
}

describe('spinlock tickets', () => {
  it('go on as long as the word is far from its limit', () => {
    expect(withTickets(41, once).memory.read(AT)).toBe(42 * 2 ** 32 + 42);
  });

  it('start at zero when nobody waits and the limit is near', () => {
    expect(withTickets(2 ** 20 - 1, once).memory.read(AT)).toBe(0);
  });

  it('never pass the limit in silence', () => {
    const last = 2 ** 21 - 1;
    expect(() => withTickets(last, once)).toThrow(/no pause in 2097152 tickets/);
  });
});
