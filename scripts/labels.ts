/**
 * `npm run labels`: writes data/labels.json, the labels of everything that guards something in the
 * code of each built-in design, so that `kpop check --guards` can tell which of them no litmus
 * program reaches.
 *
 * A label is a text `subject.deed` that is given to an act of a guard (a fence, a wait, a locked
 * operation, a flush, an interrupt) or to a routine that hands it on to one. The code of a design
 * is what its file imports, directly or not.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { importsOf } from './imports.ts';
import { isTest, lineAt, readSources, type SourceFile } from './source.ts';

const FILE = join('data', 'labels.json');
/** Where code of hypervisors is; what belongs to the machine and to checks offers no acts. */
const ROOMS = ['src/hypervisor/', 'src/guest/l1/', 'src/sync/', 'src/alloc/', 'src/design/'];

/** Methods of a context and makers of instructions whose acts guard something. */
const GUARDS = [
  'cas',
  'casWord',
  'exchange',
  'exchangeWord',
  'add',
  'addWord',
  'or',
  'and',
  'fence',
  'wait',
  'invept',
  'inveptAll',
  'flushAll',
  'flushRoot',
  'invvpid',
  'invlpg',
  'sendIpi',
];
/** Loads that look again at what was read before: they guard what was decided from it. */
const AGAIN = /recheck$/;
const LABEL = /^[a-z0-9]+(?:[.-][a-z0-9]+)*\.[a-z0-9]+(?:-[a-z0-9]+)*$/;

interface Site {
  readonly path: string;
  readonly line: number;
}

type Labels = Map<string, Site>;

/** Labels of guards by file. */
export function labelsByFile(sources: readonly SourceFile[]): Map<string, Labels> {
  const files = sources.map((source) => {
    const { path, text } = source;
    return { source, tree: ts.createSourceFile(path, text, ts.ScriptTarget.ES2023, true) };
  });
  const guards = new Set(GUARDS);
  // Routines that hand their label on, until there are no more of them.
  for (let before = -1; before !== guards.size; ) {
    before = guards.size;
    for (const { tree } of files) for (const name of handingOn(tree, guards)) guards.add(name);
  }
  return new Map(
    files.map(({ source, tree }) => [source.path, labelsIn(source, tree, guards)] as const),
  );
}

function calleeOf(call: ts.CallExpression): string {
  const { expression } = call;
  if (ts.isPropertyAccessExpression(expression)) return expression.name.text;
  return ts.isIdentifier(expression) ? expression.text : '';
}

/** Names of functions with a parameter `label` that a guard in them is given. */
function handingOn(tree: ts.SourceFile, guards: ReadonlySet<string>): string[] {
  const found: string[] = [];
  const visit = (node: ts.Node): void => {
    const isNamed = ts.isFunctionDeclaration(node) || ts.isMethodDeclaration(node);
    if (isNamed && node.name !== undefined && node.parameters.some(isLabel)) {
      if (handsOn(node, guards)) found.push(node.name.getText());
    }
    ts.forEachChild(node, visit);
  };
  visit(tree);
  return found;
}

function isLabel(parameter: ts.ParameterDeclaration): boolean {
  return parameter.name.getText() === 'label';
}

function handsOn(node: ts.Node, guards: ReadonlySet<string>): boolean {
  if (ts.isCallExpression(node) && guards.has(calleeOf(node))) {
    if (node.arguments.some((given) => ts.isIdentifier(given) && given.text === 'label')) {
      return true;
    }
  }
  return ts.forEachChild(node, (child) => handsOn(child, guards) || undefined) === true;
}

function labelsIn(
  { path, text }: SourceFile,
  tree: ts.SourceFile,
  guards: ReadonlySet<string>,
): Labels {
  const found: Labels = new Map();
  const visit = (node: ts.Node): void => {
    const callee = ts.isCallExpression(node) ? calleeOf(node) : '';
    if (ts.isCallExpression(node) && (callee === 'load' || guards.has(callee))) {
      for (const given of node.arguments) {
        if (!ts.isStringLiteral(given) || !LABEL.test(given.text)) continue;
        if (callee === 'load' && !AGAIN.test(given.text)) continue;
        found.set(given.text, { path, line: lineAt(text, given.getStart()) });
      }
    }
    ts.forEachChild(node, visit);
  };
  visit(tree);
  return found;
}

/** Files that a file imports, directly or not, itself included. */
function closureOf(path: string, sources: ReadonlyMap<string, SourceFile>): Set<string> {
  const reached = new Set<string>();
  const visit = (at: string): void => {
    const source = sources.get(at);
    if (source === undefined || reached.has(at)) return;
    reached.add(at);
    for (const { to } of importsOf(source)) if (to !== undefined) visit(to);
  };
  visit(path);
  return reached;
}

/** The text of data/labels.json. */
export function labelsText(all: readonly SourceFile[], designs: readonly string[]): string {
  const sources = new Map(all.map((source) => [source.path, source]));
  const byFile = labelsByFile(
    all.filter(({ path }) => ROOMS.some((room) => path.startsWith(room))),
  );
  const entries = designs.map((design) => {
    const files = [...closureOf(`src/design/${design}.ts`, sources)].sort();
    const labels = files.flatMap((file) => [...(byFile.get(file) ?? new Map<string, Site>())]);
    const told = labels.map(([label, { path, line }]) => [label, `${path}:${line}`] as const);
    return [design, Object.fromEntries(told.sort(([a], [b]) => (a < b ? -1 : 1)))];
  });
  return `${JSON.stringify(Object.fromEntries(entries), null, 1)}\n`;
}

const designs = ['tdp', 'nested', 'kpop'];

export function labelsOfProject(): string {
  return labelsText(
    readSources(['src']).filter(({ path }) => !isTest(path)),
    designs,
  );
}

export function main(args: readonly string[]): number {
  const text = labelsOfProject();
  if (!args.includes('--check')) {
    writeFileSync(FILE, text);
    return 0;
  }
  return readFileSync(FILE, 'utf8') === text ? 0 : 1;
}
