/** Schedules in one line: written, read, followed, and what is said of those that do not fit. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { BadInput } from '../../src/base/bad-input.ts';
import {
  describeParting,
  follow,
  formatSchedule,
  namesOf,
  parseSchedule,
} from '../../src/schedule/explore/names.ts';
import { walkAtRandom } from '../../src/schedule/explore/random.ts';
import { Toy } from './toy.ts';
import { counters, flush, philosophers } from './toy-known.ts';
import type { Instruction, Program } from './toy-program.ts';
import { randomProgram } from './toy-random.ts';

const SEEDS = 'KPOP_DEEP' in process.env ? 5000 : 300;

test('names: what is violated once is violated again by its schedule', () => {
  let violated = 0;
  for (let seed = 0; seed < SEEDS; seed++) {
    const order = seed % 2 === 0 ? 'sc' : 'tso';
    const program = randomProgram(seed, { tasks: 3, statements: 4, words: 3, order });
    const found = walkAtRandom(new Toy(program), { seed, runs: 5, depth: 200 });
    if (found.verdict !== 'violated') continue;
    const schedule = formatSchedule(namesOf(new Toy(program), found.path));
    expect(schedule).toMatch(/^kpop1![\x21-\x7e]*$/);
    const followed = follow(new Toy(program), parseSchedule(schedule));
    expect(followed).toEqual({ path: found.path, parting: undefined, message: found.message });
    violated++;
  }
  expect(violated).toBeGreaterThan(SEEDS / 3);
});

test('names: any names survive being written and read', () => {
  const part = fc.oneof(
    fc.string({ minLength: 1 }),
    fc.string({ minLength: 1, unit: 'binary' }),
    fc.constantFrom('a', 'a.b', 'kpop1!', '#', '=', '*2', ';', ',', ':', '%', '%41', ' ', '\n'),
  );
  const name = fc.oneof(
    part,
    fc.tuple(part, part).map(([task, label]) => `${task}:${label}`),
    fc
      .record({
        task: fc.constantFrom('cpu0', 'cpu1'),
        label: fc.constantFrom('look', 'tdp.map.commit', 'store 0'),
        times: fc.nat(3),
        alternative: fc.option(fc.nat(2)),
      })
      .map(({ task, label, times, alternative }) => {
        return `${task}:${label}#${times}${alternative === null ? '' : `=${alternative}`}`;
      }),
  );
  const hasLabel = (one: string): boolean => !/^([^:]*:)?(#\d{1,9})?(=\d{1,3})?$/.test(one);
  fc.assert(
    fc.property(fc.array(name.filter(hasLabel), { maxLength: 12 }), (names) => {
      expect(parseSchedule(formatSchedule(names))).toEqual(names);
    }),
    { numRuns: 500, seed: 7 },
  );
});

test('names: runs of a task and of a label are folded', () => {
  const names = ['cpu0:lock#0', 'cpu0:look#3', 'cpu0:look#4', 'cpu0:look#5', 'cpu1:pick#0=1'];
  expect(formatSchedule(names)).toBe('kpop1!cpu0:lock#0,look#3*3;cpu1:pick#0=1');
  expect(formatSchedule(['t:store 0#0', 't:store 0#2'])).toBe('kpop1!t:store%200#0,store%200#2');
  expect(formatSchedule([])).toBe('kpop1!');
  expect(parseSchedule(' kpop1!\n')).toEqual([]);
  expect(() => formatSchedule(['cpu0:'])).toThrow('has no label');
});

test.each([
  ['kpop2!cpu0:a#0', 'a schedule of version kpop2! cannot be read here, only kpop1!'],
  ['cpu0:a#0', 'a schedule begins with kpop1!, not with "cpu0:a#0"'],
  ['', 'a schedule begins with kpop1!, not with ""'],
  ['kpop1!cpu0:a#0,,b#0', 'a schedule has no move "" (move 2)'],
  ['kpop1!cpu0:a#0;', 'a schedule has no move "" (move 2)'],
  ['kpop1!cpu0:a#x', 'a schedule has no move "a#x" (move 1)'],
  ['kpop1!cpu0:a b', 'a schedule has no move "a b" (move 1)'],
  ['kpop1!cpu0:a#0:b', 'a schedule has no move "a#0:b" (move 1)'],
  ['kpop1!cpu0:a*3', 'a schedule cannot repeat "a*3": it takes a count and at least *2'],
  ['kpop1!cpu0:a#0*1', 'a schedule cannot repeat "a#0*1": it takes a count and at least *2'],
  ['kpop1!cpu0:a%4', 'a schedule has a broken % in "a%4"'],
  ['kpop1!cpu0:a%FF', 'a schedule has a broken % in "a%FF"'],
  [
    'kpop1!cpu0:a#0*999999999',
    'a schedule has at most 1000000 moves, and "a#0*999999999" goes past that',
  ],
])('names: %j is refused in one sentence', (text, sentence) => {
  expect(() => parseSchedule(text)).toThrow(new BadInput(sentence));
});

test('names: follows edited code as far as it fits, and says where it left', () => {
  const program = counters(2, 'blocks');
  const names = namesOf(new Toy(program), [0, 0, 0, 0, 256]);
  expect(formatSchedule(names)).toBe(
    'kpop1!task0:acquire%200#0,load%201#0,store%201#0,store%200#0;task1:acquire%200#0',
  );
  const edit = (code: readonly Instruction[]): Instruction[] =>
    code.map((one) => (one.op === 'store' && one.word === 0 ? { ...one, label: 'unlock' } : one));
  const edited: Program = { ...program, tasks: program.tasks.map(edit) };
  const toy = new Toy(edited);
  const { path, parting, message } = follow(toy, names);
  expect([path, message, toy.depth]).toEqual([[0, 0, 0], undefined, 3]);
  expect(parting).toEqual({ index: 3, name: 'task0:store 0#0', possible: ['task0:unlock#0'] });
  expect(describeParting(parting!)).toBe(
    'move 4 of the schedule, task0:store 0#0, does not fit the code: possible were task0:unlock#0',
  );
});

test('names: an execution ends with its violation, or where nothing can move', () => {
  const hungry = new Toy(philosophers(2));
  const both = ['task0:acquire 0#0', 'task1:acquire 1#0', 'task0:acquire 1#0'];
  const followed = follow(hungry, both);
  expect(followed.message).toContain('deadlock');
  expect(followed.parting).toEqual({ index: 2, name: both[2], possible: [] });
  expect(describeParting(followed.parting!)).toContain('nothing can move there');
  const program = flush(1, false);
  const found = walkAtRandom(new Toy(program), { seed: 1, runs: 100 });
  const names = [...namesOf(new Toy(program), found.path), 'task0:never#0'];
  const again = follow(new Toy(program), names);
  expect([again.path, again.parting, again.message]).toEqual([
    found.path,
    undefined,
    found.message,
  ]);
});
