/**
 * RCU: a deferred frame is given back only after every reader has passed a quiescent state, and
 * then it is. A reader is quiescent while its mode word is odd, and whenever that word moved.
 */
import { describe, expect, it } from 'vitest';
import { Machine } from '../machine/machine.ts';
import { intelCascadeLake } from '../machine/preset/intel-cascade-lake.ts';
import { Unit } from '../machine/preset/price.ts';
import type { Routine } from '../runtime/act.ts';
import type { Context } from '../runtime/context.ts';
import { runTimed } from '../schedule/timed.ts';
import { Rcu } from './rcu.ts';

const MODES = [0x4000, 0x4040, 0x4080];
/** On CPUs of their own: the updater is none of them. */
const READERS = MODES.map((mode, i) => ({ mode, seat: 5 + i }));
const BASE = 0x10000;
const CAPACITY = 512;

interface Scene {
  readonly machine: Machine;
  readonly rcu: Rcu;
  readonly released: number[];
}

function scene(modes: readonly number[] = [0, 0, 0]): Scene {
  const trace = { event: () => undefined };
  const machine = new Machine({ preset: intelCascadeLake, cpus: 2, trace });
  modes.forEach((mode, i) => {
    machine.memory.write(MODES[i]!, mode);
  });
  const released: number[] = [];
  const rcu = new Rcu(BASE, READERS, (_cpu, frame) => released.push(frame));
  return { machine, rcu, released };
}

function run({ machine }: Scene, body: (me: Context) => Routine<void>): void {
  machine.hostThread(0, 'updater', body);
  expect(runTimed(machine).stuck).toEqual([]);
}

/** The reader passes a quiescent state: it enters its guest and comes back. */
function pass({ machine }: Scene, reader: number): void {
  machine.memory.write(MODES[reader]!, machine.memory.read(MODES[reader]!) + 2);
}

describe('a deferred frame', () => {
  it('stays until the last of the readers has passed, then goes', () => {
    const s = scene();
    const kept: number[] = [];
    run(s, function* body(me): Routine<void> {
      yield* s.rcu.defer(me, 7);
      for (const reader of [2, 0, 1]) {
        yield* s.rcu.advance(me, 'try');
        kept.push(s.released.length);
        pass(s, reader);
      }
      yield* s.rcu.advance(me, 'try');
    });
    expect(kept).toEqual([0, 0, 0]);
    expect(s.released).toEqual([7]);
  });

  it('does not wait for readers that are in guest mode', () => {
    const s = scene([1, 3, 1]);
    run(s, function* body(me): Routine<void> {
      yield* s.rcu.defer(me, 7);
      expect(s.released).toEqual([]);
      yield* s.rcu.advance(me, 'try');
    });
    expect(s.released).toEqual([7]);
  });

  it('is not covered by a quiescent state that came before it was deferred', () => {
    const s = scene();
    run(s, function* body(me): Routine<void> {
      yield* s.rcu.defer(me, 7); // its grace period begins
      for (const reader of [0, 1, 2]) pass(s, reader);
      yield* s.rcu.defer(me, 8); // 7 goes; the period of 8 begins only now
      expect(s.released).toEqual([7]);
      yield* s.rcu.advance(me, 'try');
      expect(s.released).toEqual([7]);
      for (const reader of [0, 1, 2]) pass(s, reader);
      yield* s.rcu.advance(me, 'try');
    });
    expect(s.released).toEqual([7, 8]);
  });

  it('does not wait for a thread that has ended', () => {
    const s = scene();
    run(s, function* body(me): Routine<void> {
      yield* s.rcu.defer(me, 7);
      for (const mode of MODES) me.write(mode, 2 ** 32);
      yield* s.rcu.advance(me, 'try');
    });
    expect(s.released).toEqual([7]);
  });

  it('is not held up by the one who waits for it, when that is a reader itself', () => {
    const s = scene();
    const own = { mode: MODES[0]!, seat: 0 };
    const rcu = new Rcu(BASE, [own], (_cpu, frame) => s.released.push(frame));
    run(s, function* body(me): Routine<void> {
      yield* rcu.defer(me, 7);
      yield* rcu.advance(me, 'try');
      expect(s.released).toEqual([]);
      yield* rcu.advance(me, 'wait');
    });
    expect(s.released).toEqual([7]);
  });

  it('of a full batch is waited for: each is released once, none before its time', () => {
    const s = scene();
    const frames = Array.from({ length: 2 * CAPACITY + 3 }, (_, i) => 1000 + i);
    s.machine.hostThread(1, 'readers', function* body(me): Routine<void> {
      for (let i = 0; i < 40; i++) {
        me.spend(Unit.zeroPage, 40);
        for (const mode of MODES) yield me.add(mode, 2, 'test.pass');
      }
    });
    run(s, function* body(me): Routine<void> {
      for (const frame of frames) yield* s.rcu.defer(me, frame);
      yield* s.rcu.advance(me, 'wait');
      yield* s.rcu.advance(me, 'wait');
    });
    expect([...s.released].sort((a, b) => a - b)).toEqual(frames);
    expect(s.machine.memory.read(MODES[0]!)).toBe(80);
  });
});
