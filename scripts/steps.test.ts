/** The rule against forgotten steps, on small programs: each kind of slip, and its right form. */

import ts from 'typescript';
import { describe, expect, test } from 'vitest';
import { checkSteps } from './steps.ts';

const act = `
export interface Act { op: number; label: string }
export interface Word { lo: number; hi: number; ok: boolean }
export type Routine<T> = Generator<Act, T, Word>;
`;

const names = `
import type { Act, Routine, Word } from '../runtime/act.ts';
declare function load(at: number): Act;
declare function num(word: Word): number;
declare function work(): Routine<number>;
declare function take(): Routine<boolean>;
declare function spawn(routine: Routine<unknown>): void;
declare function holding<T>(body: () => Routine<T>): Routine<T>;
declare function choose(routine: Routine<number>, other: Act): number;
declare function log(...values: unknown[]): void;
declare const stored: Routine<number>;
declare const maybe: Routine<number> | undefined;
declare const items: number[];
`;

const options: ts.CompilerOptions = {
  target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
  strict: true,
  noEmit: true,
  skipLibCheck: true,
  allowImportingTsExtensions: true,
  types: [],
};
const host = ts.createCompilerHost(options, true);
const libraries = new Map<string, ts.SourceFile | undefined>();

function makeProgram(files: ReadonlyMap<string, string>): ts.Program {
  const getSourceFile: ts.CompilerHost['getSourceFile'] = (name, languageVersion) => {
    const text = files.get(name);
    if (text !== undefined) return ts.createSourceFile(name, text, languageVersion, true);
    if (!libraries.has(name)) libraries.set(name, host.getSourceFile(name, languageVersion));
    return libraries.get(name);
  };
  const fileExists = (name: string) => files.has(name) || host.fileExists(name);
  const directoryExists = () => true;
  const inMemory = { ...host, getSourceFile, fileExists, directoryExists };
  return ts.createProgram([...files.keys()], options, inMemory);
}

/** A program of the contract and one file; `path` is where in the tree that file stands. */
function programOf(body: string, path: string): ts.Program {
  const up = '../'.repeat(path.split('/').length - 2);
  const files = new Map([
    ['/p/src/runtime/act.ts', act],
    [`/p/${path}`, names.replace('../', up) + body],
  ]);
  return makeProgram(files);
}

/** What the rule says about a body. */
function steps(body: string, path = 'src/hypervisor/a.ts'): string[] {
  return checkSteps(programOf(body, path), '/p').map(({ says }) => says);
}

/** What the compiler says: a good example must be a correct program. */
function errors(body: string): string[] {
  const path = 'src/hypervisor/a.ts';
  const program = programOf(body, path);
  const found = program.getSemanticDiagnostics(program.getSourceFile(`/p/${path}`));
  return found.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'));
}

const inRoutine = (line: string): string =>
  `export function* f(): Routine<unknown> { ${line}; return 0; }`;

describe('good', () => {
  test.each([
    ['delegation', 'const n = yield* work(); log(n)'],
    ['delegation in a condition', 'if (yield* take()) log(1)'],
    ['delegation inside an expression', 'log((yield* work()) + 1)'],
    ['delegation of a choice', 'yield* (items.length > 0 ? work() : take())'],
    ['delegation of a stored routine', 'yield* stored'],
    ['hand-off', 'return yield* work()'],
    ['passing on', 'spawn(work())'],
    ['storing as a Routine', 'const r: Routine<number> = work(); spawn(r)'],
    ['storing by inference', 'const r = work(); spawn(r)'],
    ['storing in a list', 'const r: Routine<number>[] = [work(), work()]; log(r)'],
    ['storing in a property', 'const r: { of: Routine<number> } = { of: work() }; log(r)'],
    ['asking whether there is one', 'if (maybe) yield* maybe'],
    ['a bracket', 'yield* holding(function* (): Routine<void> { yield load(1); })'],
    ['an arrow that returns a routine', 'yield* holding(() => work())'],
    ['a routine by name', 'yield* holding(work)'],
    ['a list of routines by map', 'const r = items.map(() => work()); for (const x of r) spawn(x)'],
    ['a bare act', 'yield load(1)'],
    ['a choice of acts', 'yield items.length > 0 ? load(1) : load(2)'],
    ['a word as an argument', 'const n = num(yield load(1)); log(n)'],
    ['a word as an object', 'const n = (yield load(1)).lo; log(n)'],
    ['a word taken apart', 'const { lo, ok } = yield load(1); log(lo, ok)'],
    ['a choice of words', 'log(num(items.length > 0 ? yield load(1) : yield load(2)))'],
  ])('steps: %s', (_name, line) => {
    expect(steps(inRoutine(line))).toEqual([]);
    expect(errors(inRoutine(line))).toEqual([]);
  });

  test.each([
    ['a function that returns a routine', 'export const g = () => work();'],
    ['a function that returns an act', 'export function g(): Act { return load(1); }'],
    ['a function that reads a word', 'export function g(w: Word): number { return w.lo + w.hi; }'],
    ['an ordinary generator', 'export function* g(): Generator<number> { yield 1; yield 2; }'],
  ])('steps: %s', (_name, body) => {
    expect(steps(body)).toEqual([]);
  });

  test('steps: the rooms that perform acts may hold them', () => {
    const body = 'export const seen: Act[] = []; const a = load(1); seen.push(a); log(load(2).op);';
    expect(steps(body, 'src/schedule/a.ts')).toEqual([]);
    expect(steps(body, 'src/runtime/a.ts')).toEqual([]);
    expect(steps(body, 'src/hypervisor/a.test.ts')).toEqual([]);
    expect(steps(body, 'src/hypervisor/a.ts')).toHaveLength(2);
  });
});

const dropped = /routine is made and dropped/;
const used = /routine is used as if/;

describe('bad', () => {
  test.each([
    ['a forgotten yield*', 'work()', dropped],
    ['void', 'void work()', dropped],
    ['a stored routine as a statement', 'stored', dropped],
    ['a forgotten yield* in a comma', 'log((work(), 1))', dropped],
    ['a forgotten yield* behind &&', 'items.length > 0 && work()', dropped],
    ['a forgotten yield* in a condition', 'if (take()) log(1)', used],
    ['a forgotten yield* behind !', 'if (!take()) log(1)', used],
    ['a stored routine as a condition', 'const r = take(); if (r) log(1)', used],
    ['a forgotten yield* in a template', 'log(`$' + '{work()}`)', used],
    ['a routine taken apart', 'const [a] = work(); log(a)', /stored where no Routine/],
    ['a routine stored as unknown', 'const r: unknown = work(); log(r)', /stored where no Routine/],
    [
      'a routine in a foreign property',
      'const r: { of: unknown } = { of: work() }; log(r)',
      /stored/,
    ],
    ['a routine resumed by hand', 'work().next()', used],
    ['a routine iterated', 'for (const a of work()) log(a)', used],
    ['a stored routine iterated', 'for (const a of stored) log(a)', used],
    ['a routine spread', 'log(...work())', used],
    ['yield of a routine', 'yield work()', /yielded as if it were an act/],
    ['yield of a stored routine', 'yield stored', /yielded as if it were an act/],
    ['a routine in forEach', 'items.forEach(() => work())', /nobody will run it/],
    ['a routine function in forEach', 'items.forEach(work)', /nobody will run it/],
    ['a generator in forEach', 'items.forEach(function* (): Routine<void> {})', /nobody/],
    ['a routine as a callback', 'const c: { done: () => void } = { done: work }; log(c)', /nobody/],
    ['an act in forEach', 'items.forEach((at) => load(at))', /nobody will run it/],
    ['a forgotten yield', 'load(1)', /never offered/],
    ['void of an act', 'void load(1)', /never offered/],
    ['yield* of an act', 'yield* load(1)', /write yield, not yield\*/],
    ['a stored act', 'const a = load(1); yield a', /cannot be stored/],
    ['an act as a result', 'if (load(1).op > 0) log(1)', /used as if it were its result/],
    ['a kept word', 'const w = yield load(1); log(w.lo)', /reused record/],
    ['a kept word behind a cast', 'const w = (yield load(1)) as Word; log(w)', /reused record/],
    ['an assigned word', 'let w: Word | undefined; w = yield load(1); log(w)', /reused record/],
    ['a returned word', 'return yield load(1)', /reused record/],
    ['a word in a list', 'const w = [yield load(1)]; log(w)', /reused record/],
    ['a word in a property', 'const w = { seen: yield load(1) }; log(w)', /reused record/],
    ['a word in a condition', 'if (yield load(1)) log(1)', /reused record/],
    ['a word compared', 'log((yield load(1)) === undefined)', /reused record/],
  ])('steps: %s', (_name, line, words) => {
    const found = steps(inRoutine(line));
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(words);
  });

  test.each([
    ['a function* without a return type', 'export function* g() { yield load(1); }', 1],
    ['a method without one', 'export class C { *g() { yield 1; } }', 1],
    [
      'an expression without one',
      'declare function h(f: () => Generator<never>): void; h(function* () { return 0; });',
      1,
    ],
    ['a forgotten yield* in a plain function', 'export function g(): void { work(); }', 1],
    ['a stored routine thrown away by an arrow', 'export const g: () => void = () => stored;', 1],
    [
      'a word kept by a plain function',
      'export function g(w: Word): Word[] { const k = w; return [k]; }',
      2,
    ],
  ])('steps: %s', (_name, body, count) => {
    expect(steps(body)).toHaveLength(count);
  });

  test('steps: a finding names file and line', () => {
    const files = new Map([
      ['/p/src/runtime/act.ts', act],
      ['/p/src/sync/a.ts', `${names}\nwork();\n`],
    ]);
    const line = names.split('\n').length + 1;
    expect(checkSteps(makeProgram(files), '/p')).toEqual([
      { path: 'src/sync/a.ts', line, says: expect.stringMatching(dropped) },
    ]);
  });
});
