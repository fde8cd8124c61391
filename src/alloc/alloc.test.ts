/**
 * Frames and objects: nothing is handed out twice, what was given comes back, and a level whose
 * memory is exhausted is a defect, not a wrong answer.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Random } from '../base/random.ts';
import { Machine } from '../machine/machine.ts';
import { intelCascadeLake } from '../machine/preset/intel-cascade-lake.ts';
import { Unit } from '../machine/preset/price.ts';
import type { Routine } from '../runtime/act.ts';
import type { Context } from '../runtime/context.ts';
import { runTimed } from '../schedule/timed.ts';
import { Arena } from './arena.ts';
import { Frames } from './frames.ts';
import { Slab } from './slab.ts';

const BASE = 1000;

interface Level {
  readonly machine: Machine;
  readonly frames: Frames;
  readonly arena: Arena;
}

function level(cpus: number, limit: number): Level {
  const trace = { event: () => undefined };
  const machine = new Machine({ preset: intelCascadeLake, cpus, trace });
  const arena = new Arena(1, BASE);
  const frames = new Frames(arena, { base: BASE, limit }, cpus);
  return { machine, frames, arena };
}

function run({ machine }: Level, body: (me: Context) => Routine<void>): void {
  for (const { id } of machine.cpus) machine.hostThread(id, `thread.${id}`, body);
  expect(runTimed(machine).stuck).toEqual([]);
}

describe('frames', () => {
  it('blocks are aligned, and the frames before them are not lost', () => {
    const l = level(2, BASE + 2000);
    const taken: number[] = [];
    run(l, function* body(me): Routine<void> {
      for (let i = 0; i < 20; i++) {
        if (me.seat === i % 2) taken.push(yield* l.frames.take(me));
        const block = yield* l.frames.takeBlock(me, 16);
        expect(block % 16).toBe(0);
        for (let frame = block; frame < block + 16; frame++) taken.push(frame);
      }
    });
    expect(new Set(taken).size).toBe(taken.length);
    const most = Math.max(...taken);
    for (let frame = BASE; frame <= most; frame++) {
      expect(taken.includes(frame) || l.frames.isFree(l.machine.memory, frame)).toBe(true);
    }
  });

  it('random takes and gives on three CPUs: no frame has two owners, all are of the pool', () => {
    fc.assert(
      fc.property(fc.nat(1000), (seed) => {
        const l = level(3, BASE + 2000);
        const owned = new Set<number>();
        const wrong: string[] = [];
        run(l, function* body(me): Routine<void> {
          const random = new Random(seed, me.seat);
          const mine: number[] = [];
          for (let i = 0; i < 120; i++) {
            me.spend(Unit.listElement, random.below(9));
            if (mine.length > 0 && random.below(5) < 2) {
              const frame = mine.splice(random.below(mine.length), 1)[0]!;
              owned.delete(frame);
              l.frames.give(me, frame);
              continue;
            }
            const frame = yield* l.frames.take(me);
            if (owned.has(frame)) wrong.push(`${frame} is handed out twice`);
            if (frame < BASE || frame >= BASE + 2000) wrong.push(`${frame} is not of the pool`);
            owned.add(frame);
            mine.push(frame);
          }
        });
        expect(wrong).toEqual([]);
      }),
      { numRuns: 25 },
    );
  });

  it('a frame given comes back first, before new ones are taken', () => {
    const l = level(1, BASE + 96);
    run(l, function* body(me): Routine<void> {
      const [a, b] = [yield* l.frames.take(me), yield* l.frames.take(me)];
      l.frames.give(me, a);
      l.frames.give(me, b);
      expect([yield* l.frames.take(me), yield* l.frames.take(me)]).toEqual([b, a]);
    });
  });

  it('all frames of the pool can be taken; one more is a defect, and so is a foreign frame', () => {
    const l = level(1, BASE + 96);
    const taken = new Set<number>();
    const all = (): void =>
      run(l, function* body(me): Routine<void> {
        expect(() => l.frames.give(me, BASE + 96)).toThrow('not of this pool');
        for (let i = 0; i < 96; i++) taken.add(yield* l.frames.take(me));
        yield* l.frames.take(me);
      });
    expect(all).toThrow('Frames.take: the memory of this level is exhausted');
    expect([...taken].sort((a, b) => a - b)).toEqual(
      Array.from({ length: 96 }, (_, i) => BASE + i),
    );
  });

  it('reserved frames are consecutive and never taken', () => {
    const l = level(1, BASE + 200);
    const first = l.frames.reserve(l.machine.memory, 10);
    const second = l.frames.reserve(l.machine.memory, 5);
    expect([first, second]).toEqual([BASE, BASE + 10]);
    run(l, function* body(me): Routine<void> {
      for (let i = 0; i < 64; i++)
        expect(yield* l.frames.take(me)).toBeGreaterThanOrEqual(BASE + 15);
    });
  });
});

describe('slab', () => {
  it.each([32, 64, 192, 576])('objects of %i bytes: apart, zero, counted, reused', (bytes) => {
    const l = level(1, BASE + 400);
    const slab = new Slab(l.arena, l.frames, bytes, 1);
    const peek = (at: number): number => l.machine.memory.read(at);
    run(l, function* body(me): Routine<void> {
      const objects: number[] = [];
      for (let i = 0; i < 150; i++) {
        const object = yield* slab.take(me);
        for (let at = object; at < object + bytes; at += 8) expect(me.read(at)).toBe(0);
        for (let at = object; at < object + bytes; at += 8) me.write(at, object);
        objects.push(object);
      }
      const places = [...objects].sort((a, b) => a - b);
      places.forEach((object, i) => {
        if (i > 0) expect(object - places[i - 1]!).toBeGreaterThanOrEqual(bytes);
        expect(Math.floor(object / 4096)).toBe(Math.floor((object + bytes - 1) / 4096));
      });
      expect(slab.bytesInUse(peek)).toBe(150 * bytes);
      for (const object of objects.slice(0, 50)) {
        for (let at = object; at < object + bytes; at += 8) me.write(at, 0);
        slab.give(me, object);
      }
      expect(slab.bytesInUse(peek)).toBe(100 * bytes);
      const again: number[] = [];
      for (let i = 0; i < 50; i++) again.push(yield* slab.take(me));
      expect(again.reverse()).toEqual(objects.slice(0, 50));
    });
  });
});
