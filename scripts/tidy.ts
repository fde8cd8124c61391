/**
 * Rules of form that no formatter knows (tidy-rules.ts holds them as data): lengths, headers,
 * words, clocks and BigInts in simulated code, files that nobody imports.
 * `--unused` lists instead the files of src that only tests import.
 */

import ts from 'typescript';
import { importsOf } from './imports.ts';
import { type Finding, isTest, lineAt, readSources, report, type SourceFile } from './source.ts';
import * as rules from './tidy-rules.ts';

const inRooms = (path: string, rooms: readonly string[]): boolean =>
  rooms.some((room) => path.startsWith(`src/${room}/`) || path === `src/${room}.ts`);

const isExcepted = (path: string, exceptions: readonly rules.Exception[]): boolean =>
  exceptions.some((exception) => path.startsWith(exception.path));

/** Checks that need only the text: lengths, marks, words. */
export function checkText({ path, text }: SourceFile): Finding[] {
  const findings: Finding[] = [];
  const lines = text.replace(/\n$/, '').split('\n');
  if (lines.length > rules.limits.fileLines) {
    const says = `${lines.length} lines; a file has at most ${rules.limits.fileLines}`;
    findings.push({ path, line: rules.limits.fileLines + 1, says });
  }
  lines.forEach((content, index) => {
    const find = (says: string) => findings.push({ path, line: index + 1, says });
    const columns = [...content].length;
    if (columns > rules.limits.columns && !content.includes('://')) {
      find(`${columns} columns; a line has at most ${rules.limits.columns}`);
    }
    for (const mark of rules.marks) {
      if (new RegExp(`\\b${mark}\\b`).test(content)) find(`${mark}: decide, or open an issue`);
    }
    if (path.startsWith('scripts/tidy')) return;
    for (const { word, instead } of rules.bannedWords) {
      const match = word.exec(content);
      if (match !== null) find(`"${match[0]}": say ${instead}`);
    }
  });
  return findings;
}

function checkHeader({ path, text }: SourceFile): Finding[] {
  if (isTest(path) || !/^(src|scripts)\//.test(path)) return [];
  const header = /^(?:#!.*\n)?\/\*\*([\s\S]*?)\*\//.exec(text);
  const words = header?.[1]?.match(/\w+/g) ?? [];
  if (words.length >= 3) return [];
  return [{ path, line: 1, says: 'begins without a /** … */ that says what this file is' }];
}

/** `describe(…, () => …)` groups tests and is no function to be read as one. */
function isTestGroup(node: ts.Node): boolean {
  const call = node.parent;
  return ts.isCallExpression(call) && /^describe\b/.test(call.expression.getText());
}

function checkLength(node: ts.Node, file: ts.SourceFile): string | undefined {
  if (!ts.isFunctionLike(node) || !('body' in node) || isTestGroup(node)) return undefined;
  const first = file.getLineAndCharacterOfPosition(node.getStart()).line;
  const last = file.getLineAndCharacterOfPosition(node.getEnd()).line;
  const length = last - first + 1;
  if (length <= rules.limits.functionLines) return undefined;
  return `a function of ${length} lines; it has at most ${rules.limits.functionLines}`;
}

const clocks = /^(Date\.now|Math\.random|performance\.(now|timeOrigin)|process\.hrtime)$/;
const outside = /^(console\.\w+|process\.(env|argv|exit|stdout|stderr|stdin|cwd|platform))$/;

/** Simulated code sees neither the clock, nor chance, nor the process it runs in. */
function checkClock(node: ts.Node): string | undefined {
  const says = 'in simulated code; time and chance come from the scheduler';
  if (ts.isPropertyAccessExpression(node) && outside.test(node.getText())) {
    return `${node.getText()} in simulated code; inputs are handed in, results returned`;
  }
  if (ts.isPropertyAccessExpression(node) && clocks.test(node.getText())) {
    return `${node.getText()} ${says}`;
  }
  const isDate =
    (ts.isNewExpression(node) || ts.isCallExpression(node)) && node.expression.getText() === 'Date';
  return isDate ? `Date ${says}` : undefined;
}

function checkBigInt(node: ts.Node): string | undefined {
  const isBigInt =
    node.kind === ts.SyntaxKind.BigIntLiteral ||
    node.kind === ts.SyntaxKind.BigIntKeyword ||
    (ts.isIdentifier(node) && /^Big(Int|U?[Ii]nt64Array)$/.test(node.text));
  if (!isBigInt) return undefined;
  return 'a BigInt in hot code: use two 32-bit halves, or a row in scripts/tidy-rules.ts';
}

/** Checks that need the syntax tree. */
export function checkSyntax({ path, text }: SourceFile): Finding[] {
  if (!path.endsWith('.ts')) return [];
  const file = ts.createSourceFile(path, text, ts.ScriptTarget.ES2023, true);
  const inCode = !isTest(path);
  const clockless =
    inCode && inRooms(path, rules.simulatedRooms) && !isExcepted(path, rules.clockExceptions);
  const hot = inCode && inRooms(path, rules.hotRooms) && !isExcepted(path, rules.bigIntExceptions);
  const findings: Finding[] = [];
  const visit = (node: ts.Node): void => {
    const reasons = [
      checkLength(node, file),
      clockless ? checkClock(node) : undefined,
      hot ? checkBigInt(node) : undefined,
    ];
    for (const says of reasons) {
      if (says !== undefined) findings.push({ path, line: lineAt(text, node.getStart()), says });
    }
    ts.forEachChild(node, visit);
  };
  visit(file);
  return findings;
}

/** Files that no file of the given ones imports; entry points and tests aside. */
export function checkDead(
  sources: readonly SourceFile[],
  importers: readonly SourceFile[] = sources,
): Finding[] {
  const scripts = importers.filter(({ path }) => path.endsWith('.ts'));
  const imports = scripts.flatMap(importsOf).filter(({ from, to }) => from !== to);
  const reached = new Set(imports.map(({ to }) => to));
  return sources
    .filter(({ path }) => path.startsWith('src/') && path.endsWith('.ts') && !isTest(path))
    .filter(({ path }) => !reached.has(path) && !isExcepted(path, rules.entryPoints))
    .map(({ path }) => ({ path, line: 1, says: 'a dead file: nobody imports it' }));
}

export function checkTidy(sources: readonly SourceFile[]): Finding[] {
  const each = sources.flatMap((source) => [
    ...checkHeader(source),
    ...checkText(source),
    ...checkSyntax(source),
  ]);
  return [...each, ...checkDead(sources)];
}

export function main(args: readonly string[]): number {
  const sources = readSources(['src', 'scripts', 'test', 'bench'], ['.ts', '.mjs']);
  if (args.includes('--unused')) {
    const product = sources.filter(({ path }) => path.startsWith('src/') && !isTest(path));
    return report(checkDead(sources, product));
  }
  return report(checkTidy(sources));
}
