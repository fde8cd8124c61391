/**
 * Locks under the timed scheduler, host threads only: who holds them together, who alone, in which
 * order they are granted. The critical section is plain words, so two holders would lose counts.
 */
import { describe, expect, it } from 'vitest';
import { Random } from '../base/random.ts';
import { Machine } from '../machine/machine.ts';
import { intelCascadeLake } from '../machine/preset/intel-cascade-lake.ts';
import { Unit } from '../machine/preset/price.ts';
import type { Routine } from '../runtime/act.ts';
import type { Context } from '../runtime/context.ts';
import { runTimed } from '../schedule/timed.ts';
import { readLock, readUnlock, rwlock, writeLock, writeUnlock } from './rwlock.ts';
import { lock, spinlock, unlock } from './spinlock.ts';

const LOCK_AT = 0x4000;
const COUNT = 0x5000;

type Body = (me: Context, random: Random) => Routine<void>;

/** Runs one body per CPU; everybody comes to an end. */
function run(bodies: readonly Body[], seed = 1): Machine {
  const trace = { event: () => undefined };
  const machine = new Machine({ preset: intelCascadeLake, cpus: bodies.length, trace });
  bodies.forEach((body, id) => {
    machine.hostThread(id, `thread.${id}`, (me) => body(me, new Random(seed, id)));
  });
  expect(runTimed(machine).stuck).toEqual([]);
  return machine;
}

describe('spinlock', () => {
  const l = spinlock(LOCK_AT, 'kpop.vm');

  it.each([2, 7, 60])('%i CPUs: one holder at a time, no count is lost', (cpus) => {
    let inside = 0;
    let most = 0;
    const body: Body = function* count(me, random): Routine<void> {
      for (let i = 0; i < 30; i++) {
        me.spend(Unit.listElement, random.below(60));
        yield* lock(me, l, 'test.lock');
        most = Math.max(most, ++inside);
        const seen = me.read(COUNT);
        yield me.fence('test.inside');
        me.write(COUNT, seen + 1);
        inside--;
        yield* unlock(me, l, 'test.unlock');
      }
    };
    const machine = run(Array.from({ length: cpus }, () => body));
    expect([most, machine.memory.read(COUNT)]).toEqual([1, 30 * cpus]);
  });

  it('is granted in the order of asking, whoever is nearer', () => {
    const granted: number[] = [];
    const late = (id: number): Body =>
      function* ask(me): Routine<void> {
        me.spend(Unit.zeroPage, id); // asks at a time of its own, while CPU 0 holds it
        yield* lock(me, l, 'test.lock');
        granted.push(id);
        if (id === 0) me.spend(Unit.zeroPage, 100);
        yield* unlock(me, l, 'test.unlock');
      };
    // CPUs 52 and above are on the other socket, and ask in between.
    const order = [0, 3, 55, 1, 56, 2, 57];
    const bodies = Array.from({ length: 60 }, (_, cpu): Body => {
      const place = order.indexOf(cpu);
      return place < 0 ? function* idle(): Routine<void> {} : late(place);
    });
    run(bodies);
    expect(granted).toEqual(order.map((_, place) => place));
  });
});

describe('rwlock', () => {
  const l = rwlock(LOCK_AT, 'l0.mmu');

  it('readers hold it together, a writer alone; nothing is lost', () => {
    let readers = 0;
    let writers = 0;
    let together = 0;
    let writes = 0;
    const wrong: string[] = [];
    const check = (who: string): void => {
      if (writers > 1 || (writers === 1 && readers > 0)) {
        wrong.push(`${who}: ${writers} writers, ${readers} readers`);
      }
      together = Math.max(together, readers);
    };
    const body: Body = function* mix(me, random): Routine<void> {
      for (let i = 0; i < 40; i++) {
        me.spend(Unit.listElement, random.below(80));
        if (random.below(4) === 0) {
          yield* writeLock(me, l, 'test.write');
          writers++;
          writes++;
          check('writer');
          const seen = me.read(COUNT);
          yield me.fence('test.inside');
          me.write(COUNT, seen + 1);
          writers--;
          yield* writeUnlock(me, l, 'test.write-unlock');
        } else {
          yield* readLock(me, l, 'test.read');
          readers++;
          check('reader');
          me.spend(Unit.listElement, 40);
          yield me.fence('test.inside');
          check('reader');
          readers--;
          yield* readUnlock(me, l, 'test.read-unlock');
        }
      }
    };
    const machine = run(Array.from({ length: 8 }, () => body));
    expect(wrong).toEqual([]);
    expect(together).toBeGreaterThan(2);
    expect(machine.memory.read(COUNT)).toBe(writes);
    expect([machine.memory.read(LOCK_AT), writers, readers]).toEqual([0, 0, 0]);
  });

  it('a queued writer gets it although readers never cease', () => {
    let wrote = -1;
    let rounds = 0;
    const reader: Body = function* read(me): Routine<void> {
      for (let i = 0; i < 300; i++) {
        yield* readLock(me, l, 'test.read');
        me.spend(Unit.listElement, 20);
        yield* readUnlock(me, l, 'test.read-unlock');
        rounds++;
      }
    };
    const writer: Body = function* write(me): Routine<void> {
      me.spend(Unit.zeroPage, 4);
      yield* writeLock(me, l, 'test.write');
      wrote = rounds;
      yield* writeUnlock(me, l, 'test.write-unlock');
    };
    run([reader, reader, reader, reader, writer]);
    expect(wrote).toBeGreaterThan(0);
    expect(wrote).toBeLessThan(200); // of 1200: soon after it queued
  });

  it('readers that come while a writer waits are behind it', () => {
    const order: string[] = [];
    const at = (when: number, body: Body): Body =>
      function* later(me, random): Routine<void> {
        me.spend(Unit.zeroPage, when);
        yield* body(me, random);
      };
    const reading = (name: string, long: number): Body =>
      function* read(me): Routine<void> {
        yield* readLock(me, l, 'test.read');
        order.push(name);
        me.spend(Unit.zeroPage, long);
        yield* readUnlock(me, l, 'test.read-unlock');
      };
    const writing: Body = function* write(me): Routine<void> {
      yield* writeLock(me, l, 'test.write');
      order.push('writer');
      yield* writeUnlock(me, l, 'test.write-unlock');
    };
    run([at(0, reading('first', 30)), at(5, writing), at(10, reading('second', 1))]);
    expect(order).toEqual(['first', 'writer', 'second']);
  });
});
