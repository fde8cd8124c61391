/** What a check consists of, and how schedules are written and read. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { GUESTS } from '../../litmus/index.ts';
import { Op } from '../../runtime/act.ts';
import { pairwise, product } from './covering.ts';
import { attemptsFor, guardsIn, howsOf, type Plain } from './guards.ts';
import { litmusFor, type Planned, planDesign } from './pieces.ts';
import { readSchedule, type Schedule, writeSchedule } from './schedule.ts';

const axis = (...values: string[]) => ({ values, default: values[0]!, describe: '' });
const design: Planned = {
  id: 'd',
  axes: { a: axis('1', '2', '3'), b: axis('x', 'y') },
  given: undefined,
  operations: ['fault', 'unmap', 'invalidate', 'remove-tables', GUESTS],
};
const options = {
  memory: ['sc', 'tso'],
  litmus: undefined,
  deep: false,
  steps: undefined,
} as const;

describe('coverings', () => {
  test('every pair of values occurs, with no more rows than there are', () => {
    const anyAxis = fc.uniqueArray(fc.constantFrom('a', 'b', 'c', 'd'), { minLength: 1 });
    fc.assert(
      fc.property(fc.array(anyAxis, { maxLength: 4 }), (axes) => {
        const rows = pairwise(axes);
        expect(rows.length).toBeLessThanOrEqual(product(axes).length);
        expect(rows[0]).toEqual(axes.map((values) => values[0]));
        for (let i = 0; i < axes.length; i++) {
          for (let j = 0; j < i; j++) {
            for (const [a, b] of product([axes[i]!, axes[j]!])) {
              expect(rows.some((row) => row[i] === a && row[j] === b)).toBe(true);
            }
          }
        }
      }),
      { numRuns: 100 },
    );
  });
});

describe('plans', () => {
  test('of values that build the same, one is looked at', () => {
    const axes = { a: { ...axis('1', '2', '3'), alike: { 3: '2' } } };
    const choices = new Set(planDesign({ ...design, axes }, options).map(({ choice }) => choice));
    expect([...choices]).toEqual(['d', 'd:a=2']);
  });

  test('defaults in both orders, other choices in the weaker one, three CPUs once', () => {
    const pieces = planDesign(design, options);
    const of = (litmus: string): string[] =>
      pieces.filter((p) => p.litmus === litmus).map((p) => `${p.choice} ${p.memory}`);
    expect(of('write-unmap').slice(0, 2)).toEqual(['d sc', 'd tso']);
    expect(
      of('write-unmap')
        .slice(2)
        .every((text) => text.endsWith('tso')),
    ).toBe(true);
    expect(of('write-unmap')).toContain('d:a=2,b=y tso');
    expect(of('write-remove-unmap')).toEqual(['d tso']);
    const goals = pieces.filter((p) => p.litmus === 'write-remove-unmap').map((p) => p.bounds.goal);
    expect(goals).toEqual([2]);
    expect(pieces.every((p) => p.guard === undefined)).toBe(true);
  });

  test('axes that were given stand alone; litmus programs fit what is offered', () => {
    const one = planDesign({ ...design, given: 'b=y' }, { ...options, litmus: ['write-unmap'] });
    expect(one.map(({ choice }) => choice)).toEqual(['d:b=y', 'd:b=y']);
    const names = litmusFor(['fault']).map(({ id }) => id);
    expect(names).toContain('fault-fault');
    expect(names).not.toContain('fault-unmap');
  });
});

describe('guards', () => {
  test('acts that guard something, and how each is weakened', () => {
    expect(howsOf('a.look', [Op.load])).toEqual([]);
    expect(howsOf('a.seq-recheck', [Op.load])).toEqual(['stale']);
    expect(howsOf('a.lock', [Op.cas, Op.wait])).toEqual(['drop']);
    expect(howsOf('a.take', [Op.load, Op.cas, Op.wait])).toEqual(['blind', 'split', 'drop']);
    expect(howsOf('a.relock', [Op.add])).toEqual(['drop']);
    expect(howsOf('a.commit', [Op.cas])).toEqual(['blind', 'split', 'drop']);
    expect(howsOf('a.store', [Op.store])).toEqual([]);
    const offering = (litmus: string, states: number, label: string, cpus = 2): Plain => ({
      choice: 'd',
      isDefault: true,
      cpus,
      litmus,
      states,
      offered: [[label, [Op.wait]]],
    });
    const plain = [
      offering('b', 9, 'a.wait'),
      offering('a', 5, 'a.wait'),
      offering('c', 1, 'guest.await'),
    ];
    expect([...guardsIn(plain)]).toEqual([['a.wait', ['drop']]]);
    const rounds = { memory: ['sc', 'tso'], deep: false, steps: 10 } as const;
    expect(attemptsFor('a.wait', ['drop'], plain, rounds).map(({ says }) => says)).toEqual([
      'drop under a, sc, 1 preemption',
      'drop under b, sc, 1 preemption',
      'drop under a, tso, 1 preemption',
      'drop under b, tso, 1 preemption',
      'drop under a, sc, 2 preemptions',
      'drop under b, sc, 2 preemptions',
      'drop under a, tso, 2 preemptions',
      'drop under b, tso, 2 preemptions',
      'drop under a, sc, 3 preemptions',
      'drop under b, sc, 3 preemptions',
      'drop under a, tso, 3 preemptions',
      'drop under b, tso, 3 preemptions',
    ]);
    const inOne = { memory: ['sc'], deep: false, steps: 10 } as const;
    const more = [
      ...plain,
      offering('t', 2, 'a.wait', 3),
      { ...plain[1]!, choice: 'd:x=y', isDefault: false },
    ];
    const says = (isArgued: boolean): string[] =>
      attemptsFor('a.wait', ['drop'], more, { ...inOne, isArgued }).map((each) => each.says);
    expect(says(true)).toEqual(
      [1, 2].flatMap((n) =>
        ['a', 'b', 'a of d:x=y'].map(
          (where) => `drop under ${where}, sc, ${n} preemption${n > 1 ? 's' : ''}`,
        ),
      ),
    );
    expect(says(false).slice(6)).toEqual([
      'drop under t, sc, 1 preemption',
      'drop under t, sc, 2 preemptions',
      'drop under a, sc, 3 preemptions',
      'drop under b, sc, 3 preemptions',
      'drop under a of d:x=y, sc, 3 preemptions',
      'drop under t, sc, 3 preemptions',
    ]);
  });
});

describe('schedules', () => {
  const schedule: Schedule = {
    design: './my design, of ümläut!.ts:a=1,b=2',
    litmus: 'write-unmap',
    memory: 'tso',
    guard: { label: 'flush.wait', how: 'drop' },
    entries: 4,
    loop: 2,
    code: '0123456789ab',
    names: ['cpu0:a.look#0', 'cpu0:a.look#1', 'cpu1:!irq#0', 'cpu1:guest.write#0=2'],
  };

  test('are one line without blanks or quotes, and read back as they were', () => {
    const text = writeSchedule(schedule);
    expect(text).toMatch(/^kpop1![\x21-\x7e]+$/);
    expect(text).not.toMatch(/['"\s]/);
    expect(readSchedule(text)).toEqual(schedule);
    const plain = { ...schedule, guard: undefined, loop: -1 };
    expect(readSchedule(writeSchedule(plain))).toEqual(plain);
  });

  test('broken ones are refused in a sentence', () => {
    const bad = fc.string().map((text) => `kpop1!design=tdp,litmus=a,memory=sc!${text}`);
    const whole = writeSchedule(schedule);
    const cut = fc.nat(whole.length - 1).map((length) => whole.slice(0, length));
    fc.assert(
      fc.property(fc.oneof(bad, cut, fc.string()), (text) => {
        try {
          readSchedule(text);
        } catch (error) {
          expect(error).toHaveProperty('name', 'BadInput');
        }
      }),
    );
  });
});
