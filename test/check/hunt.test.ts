/**
 * The hunt for what words do not decide: chance, state of the program that outlives a system, and
 * state that CPUs share outside of words. Honest programs pass.
 */
import { expect, test } from 'vitest';
import { parseDesign } from '../../src/design/index.ts';
import { hunt } from '../../src/experiment/check/hunt.ts';
import { litmusPrograms } from '../../src/litmus/index.ts';
import type { Routine } from '../../src/runtime/act.ts';
import { type Body, littleOptions } from './little.ts';

const HUNT = { seed: 1, runs: 12, depth: 400 };

/** What the hunt says of one body on each of two CPUs; '' if nothing. */
function found(body: Body): string {
  const options = littleOptions([body, body]);
  try {
    hunt(options, HUNT);
  } catch (error) {
    return (error as Error).message;
  }
  return '';
}

/** Adds 1 to the flag, and looks at one of two words as `which` says. */
function looking(which: () => number): Body {
  return function* look(cpu, at): Routine<void> {
    yield cpu.add(at.flag, 1, 'test.add');
    yield cpu.load(which() === 0 ? at.data : at.more, 'test.look');
  };
}

test('words alone decide: nothing is found', () => {
  expect(found(looking(() => 0))).toBe('');
  const litmus = litmusPrograms.find(({ id }) => id === 'write-unmap')!;
  for (const design of ['tdp', 'kpop']) {
    const options = { choice: parseDesign(design), litmus, order: 'tso', weaken: [] } as const;
    expect(() => hunt(options, { ...HUNT, runs: 2 })).not.toThrow();
  }
});

const AGAIN = /^cpu[01] after test\.add, in move \d+ did something else when it was run again/;

test('chance is found, and where the two parted', () => {
  const message = found(looking(() => (Math.random() < 0.5 ? 0 : 1)));
  // Which of the two comparisons is the first to differ is chance, too.
  expect(message).toMatch(/^cpu[01] after test\.add, in move \d+ did something else when /);
  expect(message).toContain('(it was to go on otherwise): ');
});

test('state that outlives a system is found', () => {
  let uses = 0;
  expect(found(looking(() => uses++ % 3))).toMatch(AGAIN);
});

test('a value from the clock is found where it is about to be written', () => {
  const body: Body = function* stamp(cpu, at): Routine<void> {
    yield cpu.add(at.flag, 1, 'test.add');
    yield cpu.store(at.data, performance.now() * 1000, 'test.stamp');
  };
  expect(found(body)).toMatch(/after test\.add, in move \d+ .*\(it was to go on otherwise/);
});

test('state that CPUs share outside of words is found', () => {
  // One for each copy of the system: CPUs of one copy share it, and no copy sees another's.
  const uses = new WeakMap<object, number>();
  const body: Body = (cpu, at) => {
    const next = (): number => {
      const used = uses.get(at) ?? 0;
      uses.set(at, used + 1);
      return used;
    };
    return looking(next)(cpu, at);
  };
  expect(found(body)).toMatch(
    /^cpu[01] after test\.add, in move \d+ did something else when the other CPUs ran in the same/,
  );
});
