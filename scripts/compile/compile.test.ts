/** What the build does to fields and names: the same program, in words that V8 likes better. */

import ts from 'typescript';
import { describe, expect, test } from 'vitest';
import { additions } from './compile.ts';

/** The JavaScript that the build makes of a file. */
function compiled(text: string): string {
  const compilerOptions = {
    target: ts.ScriptTarget.ES2023,
    module: ts.ModuleKind.ESNext,
    verbatimModuleSyntax: true,
  };
  return ts.transpileModule(text, { compilerOptions, transformers: additions }).outputText;
}

/** What a file without imports exports once it has been built and run. */
async function exportsOf(text: string): Promise<Record<string, unknown>> {
  const url = `data:text/javascript;base64,${Buffer.from(compiled(text)).toString('base64')}`;
  return (await import(/* @vite-ignore */ url)) as Record<string, unknown>;
}

describe('fields', () => {
  const SOURCE = `
    class Base { #kept = 1; base(): number { return this.#kept; } }
    export class Point extends Base {
      readonly x: number;
      readonly #y: number;
      later: number | undefined;
      static made: number;
      #kept = 2;
      constructor(x: number, y: number) { super(); this.x = x; this.#y = y; }
      sum(other: Point): number { return this.#sum(other); }
      #sum(other: Point): number { return this.#y + other.#y + this.#kept; }
    }
    export const [a, b] = [new Point(1, 10), new Point(2, 20)];
    export const told = [Object.keys(a), a.sum(b), a.base(), 'made' in Point];
  `;

  test('those that the constructor sets begin there, others where they are declared', async () => {
    const { told } = await exportsOf(SOURCE);
    const keys = ['kept$Base', 'later', 'kept$Point', 'x', 'y$Point'];
    expect(told).toEqual([keys, 32, 1, true]);
  });

  test('a private name that no class around declares is refused', () => {
    expect(() => compiled('class A { f(b: B) { return b.#x; } }')).toThrow('no class around');
  });
});

describe('names', () => {
  test('functions may be used above where they stand, and call each other', async () => {
    const { early, even } = await exportsOf(`
      export const early = odd(3);
      export function even(n: number): boolean { return n === 0 || odd(n - 1); }
      function odd(n: number): boolean { return n !== 0 && even(n - 1); }
    `);
    expect(early).toBe(true);
    expect((even as (n: number) => boolean)(4)).toBe(true);
    expect((even as () => void).name).toBe('even');
  });

  test('a function stays what it is: generator or asynchronous', async () => {
    const { count, soon } = await exportsOf(`
      export function* count(): Generator<number> { yield* [1, 2]; }
      export async function soon(): Promise<number> { return 3; }
    `);
    expect([...(count as () => Generator<number>)()]).toEqual([1, 2]);
    expect(await (soon as () => Promise<number>)()).toBe(3);
  });

  test('classes that name themselves, and exports of several kinds', async () => {
    const { Tree, answer, twice } = await exportsOf(`
      export class Tree { static readonly leaf = new Tree(); }
      const answer = 42;
      export { answer };
      export const once = 1, twice = 2 * once;
    `);
    const made = Tree as { new (): object; leaf: object };
    expect(made.leaf).toBeInstanceOf(made);
    expect([answer, twice]).toEqual([42, 2]);
  });

  test('what is imported from the project is a constant; packages and types are left alone', () => {
    const text = compiled(`
      import { readFileSync } from 'node:fs';
      import { type Shape, load as read, store } from './act.ts';
      export { other } from './other.ts';
      export function both(shape: Shape) { return [readFileSync, read(shape), store]; }
    `);
    expect(text).toContain(`import { readFileSync } from 'node:fs'`);
    expect(text).toMatch(/import \{ load as \$read, store as \$store \} from ['"]\.\/act\.ts['"]/);
    expect(text).toContain('const read = $read;');
    expect(text).toContain('const $both = both;');
    expect(text).toContain('export { $both as both }');
    expect(text).toMatch(/export \{ other \} from/);
  });
});
