import { expect, test } from 'vitest';
import { Random } from '../../src/base/random.ts';
import { actorOf, type Footprint, type Move } from '../../src/schedule/explore/system.ts';
import { Toy } from './toy.ts';
import type { Program } from './toy-program.ts';
import { randomProgram, unjudged } from './toy-random.ts';

const shapes = [
  { tasks: 2, statements: 4, words: 2, order: 'sc' },
  { tasks: 3, statements: 3, words: 3, order: 'tso' },
] as const;

type Touch = readonly [word: number, wrote: boolean];

const copyOf = (print: Footprint): Touch[] =>
  Array.from({ length: print.length }, (_, i) => [print.wordAt(i), print.wroteAt(i)]);

const conflict = (a: readonly Touch[], b: readonly Touch[]): boolean =>
  a.some(([word, wrote]) => b.some(([other, too]) => word === other && (wrote || too)));

const hashOf = (toy: Toy): string => `${toy.hashLow} ${toy.hashHigh}`;

/** Takes moves at random to the end, and calls `visit` in every state on the way. */
function walk(program: Program, seed: number, visit: (toy: Toy) => void): void {
  const toy = new Toy(program);
  const random = new Random(seed, 7);
  for (let moves = toy.moves(); moves.length > 0; moves = toy.moves()) {
    visit(toy);
    toy.take(toy.moves()[random.below(toy.moves().length)]!);
  }
  visit(toy);
}

test('toy: taking a move back restores the state and its hash', () => {
  for (let seed = 0; seed < 200; seed++) {
    for (const shape of shapes) {
      walk(randomProgram(seed, shape), seed, (toy) => {
        const before = [hashOf(toy), toy.depth, toy.moves().map((move) => toy.nameOf(move))];
        for (const move of [...toy.moves()]) {
          toy.take(move);
          toy.undo();
        }
        const after = [hashOf(toy), toy.depth, toy.moves().map((move) => toy.nameOf(move))];
        expect(after).toEqual(before);
      });
    }
  }
});

/** Takes both moves; what the second touched and where that led. */
function both(toy: Toy, first: Move, second: Move): { touched: Touch[]; hash: string } {
  toy.take(first);
  toy.take(second);
  const result = { touched: copyOf(toy.footprint), hash: hashOf(toy) };
  toy.undo();
  toy.undo();
  return result;
}

test('toy: moves without a common written word commute', () => {
  let pairs = 0;
  for (let seed = 0; seed < 200; seed++) {
    for (const shape of shapes) {
      walk(randomProgram(seed, shape), seed, (toy) => {
        const touched = new Map<Move, Touch[]>();
        for (const move of [...toy.moves()]) {
          toy.take(move);
          touched.set(move, copyOf(toy.footprint));
          toy.undo();
        }
        for (const [a, prints] of touched) {
          for (const [b, others] of touched) {
            if (actorOf(a) >= actorOf(b) || conflict(prints, others)) continue;
            const there = both(toy, a, b);
            const back = both(toy, b, a);
            expect([there.hash, there.touched, back.touched]).toEqual([back.hash, others, prints]);
            pairs++;
          }
        }
      });
    }
  }
  expect(pairs).toBeGreaterThan(1000);
});

test('toy: an actor that cannot move goes on doing so until a watched word is written', () => {
  let woken = 0;
  for (let seed = 0; seed < 200; seed++) {
    for (const shape of shapes) {
      walk(randomProgram(seed, shape), seed, (toy) => {
        const able = new Set(toy.moves().map(actorOf));
        for (let actor = 0; actor < toy.actors; actor++) {
          if (able.has(actor)) continue;
          const watched = copyOf(toy.watched(actor));
          for (const move of [...toy.moves()]) {
            toy.take(move);
            const writes = conflict(watched, copyOf(toy.footprint));
            const canMove = toy.moves().some((other) => actorOf(other) === actor);
            const same = copyOf(toy.watched(actor));
            toy.undo();
            if (canMove) woken++;
            if (!writes) expect([canMove, same]).toEqual([false, watched]);
          }
        }
      });
    }
  }
  expect(woken).toBeGreaterThan(500);
});

test('toy: total store order lets both loads of store buffering read 0', () => {
  const program: Program = {
    name: 'SB',
    words: [0, 0],
    order: 'tso',
    tasks: [0, 1].map((word) => [
      { op: 'store', word, from: 1 },
      { op: 'load', word: 1 - word, into: 0 },
      { op: 'assert', register: 0, differs: 0 },
    ]),
  };
  const toy = new Toy(program);
  for (const move of [0, 256, 0]) toy.take(move);
  expect(toy.always()).toBe('task0: the assertion at 2 fails');
  expect(toy.moves()).toEqual([256, 512, 768]);
  const quiet = new Toy(unjudged(program));
  for (const move of [0, 256, 0]) quiet.take(move);
  expect([quiet.always(), quiet.describe(512)]).toEqual([undefined, 'task0 oldest store leaves']);
});
