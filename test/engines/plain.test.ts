import { expect, test } from 'vitest';
import { explorePlain } from '../../src/schedule/explore/plain.ts';
import { Toy } from './toy.ts';
import { counters, flush, philosophers, readers, storeBuffering } from './toy-known.ts';
import type { Program } from './toy-program.ts';

/** Each task stores to words of its own. */
const apart: Program = {
  name: 'apart',
  words: [0, 0, 0, 0],
  order: 'sc',
  tasks: [0, 2].map((word) => [
    { op: 'store', word, from: 1 },
    { op: 'store', word: word + 1, from: 1 },
  ]),
};

test('plain: every order of independent moves is one class', () => {
  const report = explorePlain(new Toy(apart), { classes: true });
  expect([report.verdict, report.complete, report.classes.size]).toEqual(['holds', 6, 1]);
  expect([report.terminals.size, report.longest]).toEqual([1, 4]);
});

test('plain: classes of programs that can be counted by hand', () => {
  // Each reader comes before or after the writer.
  const three = explorePlain(new Toy(readers(3)), { classes: true });
  expect([three.complete, three.classes.size]).toEqual([630, 8]);
  const sc = explorePlain(new Toy(storeBuffering('sc')), { classes: true });
  expect([sc.complete, sc.classes.size, sc.terminals.size]).toEqual([6, 3, 3]);
  const tso = explorePlain(new Toy(storeBuffering('tso')), { classes: true });
  expect([tso.classes.size, tso.terminals.size]).toEqual([4, 4]);
  const fenced = explorePlain(new Toy(storeBuffering('tso', true)), { classes: true });
  expect(fenced.terminals.size).toBe(3);
});

test('plain: finds deadlocks, failing assertions and wrong ends', () => {
  const hungry = explorePlain(new Toy(philosophers(2)));
  expect([hungry.verdict, hungry.message]).toEqual([
    'violated',
    'deadlock: task0 at acquire 1 and task1 at acquire 0',
  ]);
  expect(hungry.path).toEqual([0, 256]);
  expect(explorePlain(new Toy(flush(1, true))).verdict).toBe('holds');
  expect(explorePlain(new Toy(flush(1, false))).message).toContain('the assertion at 3 fails');
  expect(explorePlain(new Toy(counters(2, 'spins', 'tso'))).verdict).toBe('holds');
  const unlocked = { ...counters(2, 'blocks'), final: [{ word: 1, equals: 3 }] };
  expect(explorePlain(new Toy(unlocked)).message).toBe('the final condition does not hold');
});

test('plain: the system is left where it was, and unwanted messages do not end the search', () => {
  const toy = new Toy(philosophers(3));
  toy.take(0);
  const before = [toy.hashLow, toy.hashHigh, toy.depth];
  expect(explorePlain(toy).verdict).toBe('violated');
  expect(explorePlain(toy, { isWanted: () => false }).verdict).toBe('holds');
  expect([toy.hashLow, toy.hashHigh, toy.depth]).toEqual(before);
});

test('plain: bounds', () => {
  const none = explorePlain(new Toy(apart), { preemptions: 0 });
  expect([none.complete, none.cut, none.verdict, none.exhausted]).toEqual([2, 2, 'holds', true]);
  expect(explorePlain(new Toy(apart), { preemptions: 1 }).complete).toBe(4);
  expect(explorePlain(new Toy(apart), { preemptions: 2 }).complete).toBe(6);
  const shallow = explorePlain(new Toy(apart), { depth: 2 });
  expect([shallow.complete, shallow.longest, shallow.executions]).toEqual([0, 2, 4]);
  expect(explorePlain(new Toy(apart), { steps: 3 })).toMatchObject({
    verdict: 'unfinished',
    exhausted: false,
    steps: 3,
  });
  expect(explorePlain(new Toy(apart), { isOver: () => true }).steps).toBe(0);
});
