/** Random programs whose tasks go round in circles: finite graphs of states without an end. */
import { Random } from '../../src/base/random.ts';
import type { Instruction, Program } from './toy-program.ts';

const below = (random: Random, limit: number): number => random.below(limit);

function instruction(random: Random, words: number): Instruction {
  const word = below(random, words);
  switch (below(random, 4)) {
    case 0:
      return { op: 'load', word, into: 0 };
    case 1:
      return { op: 'store', word, from: below(random, 3) };
    case 2: {
      const to = below(random, 3);
      return { op: 'cas', word, expected: below(random, 3), to, into: 0 };
    }
    default:
      return { op: 'wait', until: [{ word, equals: below(random, 2) }] };
  }
}

/** Two to four tasks; most repeat their code for ever, some while what they read is 0. */
export function randomLoops(seed: number): Program {
  const random = new Random(seed, 77);
  const words = 2 + below(random, 2);
  const tasks = Array.from({ length: 2 + below(random, 3) }, () => {
    const length = 1 + below(random, 3);
    const code = Array.from({ length }, () => instruction(random, words));
    if (below(random, 4) === 0) return code;
    const register = below(random, 4) === 0 ? 0 : 2; // register 2 stays 0
    return [...code, { op: 'branch', register, equals: 0, by: -length } as const];
  });
  return {
    name: `loops ${seed}`,
    words: Array.from({ length: words }, () => 0),
    tasks,
    order: below(random, 3) === 0 ? 'tso' : 'sc',
    mayDeadlock: true,
    sometimes: [[{ word: 0, equals: 2 }], [{ word: 1, equals: 1 }]],
    eventually: [[{ word: 0, equals: 1 }], [{ word: 1, equals: below(random, 2) }]],
  };
}
