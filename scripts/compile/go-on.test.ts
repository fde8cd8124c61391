/** Routines as the build compiles them: they pause where they must, and otherwise go on. */

import ts from 'typescript';
import { describe, expect, test } from 'vitest';
import { goOn } from './go-on.ts';

const SOURCE = `
  function* inner(offer): Routine<number> {
    return (yield offer('c')).lo + (yield offer('d')).lo;
  }
  const holder = {
    *method(offer): Routine<number> {
      return (yield offer((yield offer('a')).lo === 0 ? 'b' : 'never')).lo + (yield* inner(offer));
    },
  };
  function* numbers(): Generator<number> {
    yield 1;
  }
  return { run: holder.method, numbers };
`;

interface Act {
  readonly name: string;
  readonly goesOn: boolean;
  readonly word: { readonly lo: number };
}
interface Compiled {
  run(offer: (name: string) => Act): Generator<Act, number, { readonly lo: number }>;
  numbers(): Generator<number>;
}

function compiled(): Compiled {
  const options = { target: ts.ScriptTarget.ES2023, module: ts.ModuleKind.ESNext };
  const text = `function all() { ${SOURCE} }`;
  const { outputText } = ts.transpileModule(text, {
    compilerOptions: options,
    transformers: { before: [goOn] },
  });
  return new Function(`${outputText}; return all();`)() as Compiled;
}

/** What was offered, what came to the scheduler, and the result, if `goes` go on by themselves. */
function run(goes: string): { offered: string; yielded: string; result: number } {
  let offered = '';
  let yielded = '';
  const routine = compiled().run((name) => {
    offered += name;
    return { name, goesOn: goes.includes(name), word: { lo: offered.length - 1 } };
  });
  let step = routine.next({ lo: 0 });
  while (step.done !== true) {
    yielded += step.value.name;
    step = routine.next(step.value.word);
  }
  return { offered, yielded, result: step.value };
}

describe('an act that was performed on the spot', () => {
  test.each([
    ['', 'abcd'],
    ['abcd', ''],
    ['bd', 'ac'],
    ['ac', 'bd'],
  ])('of abcd go on %j: %j are yielded, and the result is the same', (goes, yielded) => {
    expect(run(goes)).toEqual({ offered: 'abcd', yielded, result: 1 + 2 + 3 });
  });

  test('other generators yield as ever', () => {
    expect([...compiled().numbers()]).toEqual([1]);
  });
});
