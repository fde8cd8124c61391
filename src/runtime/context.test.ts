import { describe, expect, test } from 'vitest';
import { num, type Routine, won } from './act.ts';
import { Context, type PlainMemory } from './context.ts';

const none = (): never => {
  throw new Error('no plain words here');
};
const plain: PlainMemory = {
  read: none,
  write: none,
  readRun: none,
  writeRun: none,
  peek: none,
  spend: none,
  note: none,
  tracepoint: none,
};

/** A context, and what its code did in order. */
function make(): { cpu: Context; did: string[]; perform: (value?: number) => void } {
  const cpu = new Context(0, 'test', plain);
  const did: string[] = [];
  const perform = (value = 0): void => {
    did.push(cpu.top.act.label);
    cpu.top.word.lo = value;
    cpu.top.state = 'done';
    cpu.advance();
  };
  return { cpu, did, perform };
}

function* twice(cpu: Context, at: number): Routine<number> {
  const first = num(yield cpu.load(at, 'first'));
  return first + num(yield cpu.load(at, 'second'));
}

function* nothing(): Routine<void> {
  // returns at once
}

describe('calls', () => {
  test('context: a call returns what the routine returned, and is no act', () => {
    const { cpu, did, perform } = make();
    cpu.push(
      (function* body(): Routine<void> {
        yield cpu.fence('before');
        yield cpu.call(nothing());
        const sum = num(yield cpu.call(twice(cpu, 8)));
        const large = num(yield cpu.call(answer(2 ** 52 + 1)));
        const no = won(yield cpu.call(answer(false)));
        did.push(`${sum} ${large} ${no}`);
        yield cpu.fence('after');
      })(),
    );
    cpu.advance();
    for (const value of [0, 20, 22, 0]) perform(value);
    expect(did).toEqual(['before', 'first', 'second', '42 4503599627370497 false', 'after']);
    expect(cpu.finished).toBe(true);
  });

  test('context: an interrupt on top of a called routine completes nothing', () => {
    const { cpu, did, perform } = make();
    cpu.push(
      (function* body(): Routine<void> {
        did.push(`${num(yield cpu.call(twice(cpu, 8)))}`);
      })(),
    );
    cpu.advance();
    perform(1);
    cpu.push(twice(cpu, 16));
    cpu.advance();
    expect(cpu.depth).toBe(3);
    perform(100);
    perform(100);
    expect([cpu.depth, cpu.top.state, cpu.top.act.at]).toEqual([2, 'offered', 8]);
    perform(2);
    expect(did).toEqual(['first', 'first', 'second', 'second', '3']);
  });

  test('context: frames are used again, with nothing of their last use', () => {
    const { cpu, perform } = make();
    cpu.push(
      (function* body(): Routine<void> {
        for (;;) yield cpu.call(twice(cpu, 8));
      })(),
    );
    cpu.advance();
    const frame = cpu.top;
    perform(1);
    perform(1);
    expect(cpu.top).toBe(frame);
    cpu.kill();
    cpu.push(nothing());
    expect([cpu.depth, cpu.top.state, cpu.top.word]).toEqual([
      1,
      'fresh',
      { lo: 0, hi: 0, ok: true },
    ]);
  });

  test('context: an answer that no word can hold is a defect', () => {
    const { cpu } = make();
    cpu.push(
      (function* body(): Routine<void> {
        yield cpu.call(answer(-1));
      })(),
    );
    expect(() => cpu.advance()).toThrow(/cannot answer -1/);
  });
});

function* answer<T>(value: T): Routine<T> {
  return value;
}
