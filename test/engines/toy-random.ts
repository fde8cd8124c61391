/** Random small programs, each a function of its seed: what hand-written programs forget to do. */
import { Random } from '../../src/base/random.ts';
import type { Condition, Instruction, Program } from './toy-program.ts';

/** What a program is made of; `only` lists statements, all but `any` and `some` unless given. */
export interface Shape {
  readonly tasks: number;
  /** Statements per task: one at least, this many at most. */
  readonly statements: number;
  readonly words: number;
  readonly order: 'sc' | 'tso';
  readonly only?: readonly Statement[];
}

export type Statement = keyof typeof STATEMENTS;

/** Draws what a statement needs. */
class Dice {
  readonly #random: Random;
  readonly #shape: Shape;

  constructor(seed: number, shape: Shape) {
    this.#random = new Random(seed);
    this.#shape = shape;
  }

  below(limit: number): number {
    return this.#random.below(limit);
  }

  word(): number {
    return this.below(this.#shape.words);
  }

  /** Registers 0 to 2; the last one counts interrupts. */
  register(): number {
    return this.below(3);
  }

  task(): number {
    return this.below(this.#shape.tasks);
  }

  condition(most: number): Condition {
    const words = this.below(most) + 1;
    return Array.from({ length: words }, () => ({ word: this.word(), equals: this.below(3) }));
  }
}

const STATEMENTS = {
  load: (dice: Dice): Instruction[] => [{ op: 'load', word: dice.word(), into: dice.register() }],
  indexed: (dice: Dice): Instruction[] => [
    { op: 'load', word: dice.word(), into: dice.register(), index: dice.register() },
  ],
  store: (dice: Dice): Instruction[] => [
    { op: 'store', word: dice.word(), from: dice.below(2) + 1 },
  ],
  copy: (dice: Dice): Instruction[] => [
    { op: 'store', word: dice.word(), from: { reg: dice.register() } },
  ],
  add: (dice: Dice): Instruction[] => [
    { op: 'add', word: dice.word(), by: 1, into: dice.register() },
  ],
  cas: (dice: Dice): Instruction[] => [
    { op: 'cas', word: dice.word(), expected: dice.below(2), to: 2, into: dice.register() },
  ],
  pick: (dice: Dice): Instruction[] => [
    { op: 'pick', first: dice.word(), second: dice.word(), into: dice.register() },
  ],
  any: (dice: Dice): Instruction[] => [
    { op: 'any', words: [dice.word(), dice.word()], into: dice.register() },
  ],
  /** One word or either of two, as a word says. */
  some: (dice: Dice): Instruction[] => [
    {
      op: 'any',
      words: [dice.word(), dice.word()],
      limit: dice.word(),
      into: dice.register(),
    },
  ],
  fence: (): Instruction[] => [{ op: 'fence' }],
  choose: (dice: Dice): Instruction[] => [{ op: 'choose', among: 2, into: dice.register() }],
  wait: (dice: Dice): Instruction[] => [{ op: 'wait', until: dice.condition(2) }],
  /** A section under a lock that blocks. */
  lock: (dice: Dice): Instruction[] => {
    const word = dice.word();
    return [
      { op: 'acquire', word },
      { op: 'load', word: dice.word(), into: dice.register() },
      { op: 'store', word, from: 0 },
    ];
  },
  /** Tries to get a lock, and waits after each failure until it looks free. */
  spin: (dice: Dice): Instruction[] => {
    const word = dice.word();
    return [
      { op: 'cas', word, expected: 0, to: 1, into: 0 },
      { op: 'branch', register: 0, equals: 1, by: 3 },
      { op: 'wait', until: [{ word, equals: 0 }] },
      { op: 'branch', register: 0, equals: 0, by: -3 },
      { op: 'store', word, from: 0 },
    ];
  },
  /** A store that happens or not, as a register says. */
  perhaps: (dice: Dice): Instruction[] => [
    { op: 'branch', register: dice.register(), equals: dice.below(2), by: 2 },
    { op: 'store', word: dice.word(), from: 2 },
  ],
  raise: (dice: Dice): Instruction[] => [{ op: 'raise', task: dice.task() }],
  halt: (): Instruction[] => [{ op: 'halt', arrived: 1 }],
  assert: (dice: Dice): Instruction[] => [
    { op: 'load', word: dice.word(), into: 1 },
    { op: 'assert', register: 1, differs: 2 },
  ],
};

/** All statements. */
export const EVERY = Object.keys(STATEMENTS) as Statement[];

// Without those that came later: seeds stand for the same programs as before.
const USUAL = EVERY.filter((kind) => kind !== 'any' && kind !== 'some');

/** The program of a seed. Its tasks may wait for ever: that is one of its promises. */
export function randomProgram(seed: number, shape: Shape): Program {
  const dice = new Dice(seed, shape);
  const kinds = shape.only ?? USUAL;
  const tasks = Array.from({ length: shape.tasks }, () => {
    const statements = dice.below(shape.statements) + 1;
    return Array.from({ length: statements }, () => {
      return STATEMENTS[kinds[dice.below(kinds.length)]!](dice);
    }).flat();
  });
  return {
    name: `random ${seed}`,
    words: Array.from({ length: shape.words }, () => (dice.below(3) === 0 ? 1 : 0)),
    tasks,
    order: shape.order,
    final: [{ word: dice.word(), equals: dice.below(2) }],
    sometimes: [dice.condition(2), dice.condition(2)],
    eventually: [dice.condition(1), dice.condition(2)],
  };
}

/** The same program with nothing promised, so that an exploration goes to its end. */
export function unjudged(program: Program): Program {
  const tasks = program.tasks.map((code) =>
    code.map(
      (one): Instruction =>
        one.op === 'assert' ? { op: 'compute', into: 1, from: 0, plus: 0 } : one,
    ),
  );
  const { forbidden: _never, final: _end, ...rest } = program;
  return { ...rest, tasks, mayDeadlock: true };
}
