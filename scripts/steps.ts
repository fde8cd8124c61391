/**
 * The lint rule against forgotten steps. A forgotten `yield` or `yield*` compiles and does nothing;
 * this program asks the type checker where every Routine, Act and Word of src/runtime/act.ts goes.
 *
 * A routine that a call returns is delegated to (`yield*`), returned, passed on, or stored where a
 * Routine is expected. An act is yielded, returned or passed on. A word is consumed on the spot: it
 * is a reused record. Every function* states its return type. There is no opt-out.
 *
 * Leaves out: a value that travels through `any`, and a stored routine that nobody ever runs.
 */

import { relative } from 'node:path';
import ts from 'typescript';
import { type Finding, isTest, report } from './source.ts';
import { makeJudge } from './steps-types.ts';

/** Rooms that perform acts and therefore hold them: the two sides of the contract. */
const holders = ['src/runtime/', 'src/machine/', 'src/schedule/'];

const isHolder = (path: string): boolean =>
  isTest(path) || holders.some((room) => path.startsWith(room));

const says = {
  routineDropped: 'a routine is made and dropped: write yield* before it',
  routineYielded: 'a routine is yielded as if it were an act: write yield*',
  routineUsed: 'a routine is used as if it were its result: write yield* before it',
  routineStored: 'a routine is stored where no Routine is expected: write yield* before it',
  actDropped: 'an act is made and never offered: write yield before it',
  actDelegated: 'an act is no routine: write yield, not yield*',
  actUsed: 'an act is used as if it were its result: write yield before it',
  actStored: 'an act is a reused record and cannot be stored: yield it on the spot',
  wordKept: 'a word is a reused record: consume it on the spot (num(yield …), (yield …).ok)',
  neverRun: 'a routine is handed to code that expects a plain function: nobody will run it',
  noReturnType: 'a function* states its return type',
};

/** Wrappers through which a value passes unchanged: what counts is where it comes out. */
function isTransparent(parent: ts.Node, child: ts.Node): boolean {
  if (
    ts.isParenthesizedExpression(parent) ||
    ts.isAsExpression(parent) ||
    ts.isSatisfiesExpression(parent) ||
    ts.isNonNullExpression(parent)
  ) {
    return true;
  }
  if (ts.isConditionalExpression(parent)) return parent.condition !== child;
  if (!ts.isBinaryExpression(parent)) return false;
  const operator = parent.operatorToken.kind;
  if (operator === ts.SyntaxKind.QuestionQuestionToken) return true;
  const choosesRight =
    operator === ts.SyntaxKind.BarBarToken ||
    operator === ts.SyntaxKind.AmpersandAmpersandToken ||
    operator === ts.SyntaxKind.CommaToken;
  return choosesRight && parent.right === child;
}

function outermost(node: ts.Expression): ts.Expression {
  let at = node;
  while (isTransparent(at.parent, at)) at = at.parent as ts.Expression;
  return at;
}

const isArgument = (node: ts.Node): boolean => {
  const call = node.parent;
  if (!ts.isCallExpression(call) && !ts.isNewExpression(call)) return false;
  return call.expression !== node;
};

/** Handed to whoever called: by `return`, or as the body of an arrow function. */
const isReturned = (node: ts.Node): boolean =>
  ts.isReturnStatement(node.parent) ||
  (ts.isArrowFunction(node.parent) && node.parent.body === node);

const isDropped = (node: ts.Node): boolean =>
  ts.isExpressionStatement(node.parent) ||
  ts.isVoidExpression(node.parent) ||
  (ts.isForStatement(node.parent) && node.parent.condition !== node) ||
  (ts.isBinaryExpression(node.parent) &&
    node.parent.operatorToken.kind === ts.SyntaxKind.CommaToken &&
    node.parent.left === node);

const isYielded = (node: ts.Node): boolean =>
  ts.isYieldExpression(node.parent) && node.parent.asteriskToken === undefined;

const isDelegated = (node: ts.Node): boolean =>
  ts.isYieldExpression(node.parent) && node.parent.asteriskToken !== undefined;

/** The object of `node.name` or `node[index]`. */
const isAccessed = (node: ts.Node): boolean =>
  (ts.isPropertyAccessExpression(node.parent) || ts.isElementAccessExpression(node.parent)) &&
  node.parent.expression === node;

const isAssigned = (node: ts.Node): boolean =>
  ts.isBinaryExpression(node.parent) &&
  node.parent.operatorToken.kind >= ts.SyntaxKind.FirstAssignment &&
  node.parent.operatorToken.kind <= ts.SyntaxKind.LastAssignment &&
  node.parent.right === node;

/** Put into a variable, property, element or default value. */
const isStored = (node: ts.Node): boolean =>
  isAssigned(node) ||
  ts.isArrayLiteralExpression(node.parent) ||
  ((ts.isVariableDeclaration(node.parent) ||
    ts.isPropertyAssignment(node.parent) ||
    ts.isPropertyDeclaration(node.parent) ||
    ts.isParameter(node.parent) ||
    ts.isBindingElement(node.parent)) &&
    node.parent.initializer === node);

/** Asked for its truth. */
function isCondition(node: ts.Node): boolean {
  const parent = node.parent;
  if (ts.isIfStatement(parent) || ts.isWhileStatement(parent) || ts.isDoStatement(parent)) {
    return parent.expression === node;
  }
  if (ts.isForStatement(parent) || ts.isConditionalExpression(parent)) {
    return parent.condition === node;
  }
  if (ts.isPrefixUnaryExpression(parent)) {
    return parent.operator === ts.SyntaxKind.ExclamationToken;
  }
  if (!ts.isBinaryExpression(parent) || parent.left !== node) return false;
  const operator = parent.operatorToken.kind;
  return (
    operator === ts.SyntaxKind.BarBarToken || operator === ts.SyntaxKind.AmpersandAmpersandToken
  );
}

/** Iterated by something that is no scheduler: `for … of`, `...spread`. */
const isIterated = (node: ts.Node): boolean =>
  ts.isSpreadElement(node.parent) ||
  (ts.isForOfStatement(node.parent) && node.parent.expression === node);

const isReference = (node: ts.Node): node is ts.Expression =>
  ts.isIdentifier(node) ||
  ts.isPropertyAccessExpression(node) ||
  ts.isElementAccessExpression(node);

const isProduct = (node: ts.Node): node is ts.Expression =>
  ts.isCallExpression(node) ||
  ts.isNewExpression(node) ||
  ts.isTaggedTemplateExpression(node) ||
  ts.isAwaitExpression(node) ||
  ts.isYieldExpression(node);

const isGenerator = (node: ts.Node): node is ts.FunctionLikeDeclaration =>
  (ts.isFunctionDeclaration(node) ||
    ts.isFunctionExpression(node) ||
    ts.isMethodDeclaration(node)) &&
  node.asteriskToken !== undefined;

type Judge = ReturnType<typeof makeJudge>;

/** What is wrong with the place into which this fresh routine goes. */
function judgeRoutine(value: ts.Expression, judge: Judge): string | undefined {
  if (isDelegated(value) || isArgument(value) || isReturned(value)) return undefined;
  if (isYielded(value)) return says.routineYielded;
  if (isDropped(value)) return says.routineDropped;
  if (!isStored(value)) return says.routineUsed;
  return judge.storesRoutine(value) ? undefined : says.routineStored;
}

function judgeAct(value: ts.Expression, holder: boolean): string | undefined {
  if (isYielded(value) || isArgument(value) || isReturned(value)) return undefined;
  if (isDelegated(value)) return says.actDelegated;
  if (isDropped(value)) return says.actDropped;
  if (holder && (isStored(value) || isAccessed(value))) return undefined;
  return isStored(value) ? says.actStored : says.actUsed;
}

function judgeWord(value: ts.Expression, fresh: boolean, holder: boolean): string | undefined {
  if (isDropped(value) || isArgument(value) || isAccessed(value)) return undefined;
  const { parent } = value;
  if (ts.isVariableDeclaration(parent) && ts.isObjectBindingPattern(parent.name)) return undefined;
  return fresh || (isStored(value) && !holder) ? says.wordKept : undefined;
}

/** A value that a call or a yield has just made. */
function judgeProduct(node: ts.Expression, judge: Judge, holder: boolean): string | undefined {
  const value = outermost(node);
  switch (judge.kindOf(node)) {
    case 'routine':
      return judgeRoutine(value, judge);
    case 'act':
      return judgeAct(value, holder);
    case 'word':
      return judgeWord(value, ts.isYieldExpression(node), holder);
    default:
      return undefined;
  }
}

/** A value that has a name already: storing and comparing it is fine, losing it is not. */
function judgeReference(node: ts.Expression, judge: Judge, holder: boolean): string | undefined {
  const value = outermost(node);
  const suspicious =
    isDropped(value) ||
    isYielded(value) ||
    isDelegated(value) ||
    isIterated(value) ||
    isCondition(value) ||
    isStored(value);
  if (!suspicious) return undefined;
  const kind = judge.kindOf(node);
  if (kind === 'routine') {
    if (isYielded(value)) return says.routineYielded;
    if (isDropped(value)) return says.routineDropped;
    const asked = isCondition(value) && !judge.mayBeAbsent(node);
    return isIterated(value) || asked ? says.routineUsed : undefined;
  }
  if (kind === 'act') {
    if (isDropped(value)) return says.actDropped;
    return isDelegated(value) ? says.actDelegated : undefined;
  }
  return kind === 'word' && isStored(value) && !holder ? says.wordKept : undefined;
}

/** Judges one node; its children are judged on their own. */
function judgeNode(node: ts.Node, judge: Judge, holder: boolean): string | undefined {
  if (isGenerator(node) && node.type === undefined) return says.noReturnType;
  const isFunction = ts.isArrowFunction(node) || ts.isFunctionExpression(node);
  if (isFunction || (isReference(node) && (isArgument(node) || isStored(node)))) {
    if (judge.isNeverRun(node)) return says.neverRun;
  }
  if (ts.isShorthandPropertyAssignment(node) && judge.isNeverRun(node.name)) return says.neverRun;
  if (isProduct(node)) return judgeProduct(node, judge, holder);
  return isReference(node) ? judgeReference(node, judge, holder) : undefined;
}

/** Checks the files of a program that lie below the root and are no declarations. */
export function checkSteps(program: ts.Program, root: string): Finding[] {
  const judge = makeJudge(program.getTypeChecker());
  const findings: Finding[] = [];
  for (const file of program.getSourceFiles()) {
    if (file.isDeclarationFile || file.fileName.includes('/node_modules/')) continue;
    const path = relative(root, file.fileName).replaceAll('\\', '/');
    const visit = (node: ts.Node): void => {
      if (ts.isTypeNode(node)) return;
      const found = judgeNode(node, judge, isHolder(path));
      if (found !== undefined) {
        const line = file.getLineAndCharacterOfPosition(node.getStart(file)).line + 1;
        findings.push({ path, line, says: found });
      }
      ts.forEachChild(node, visit);
    };
    visit(file);
  }
  return findings;
}

export function main(): number {
  const read = ts.readConfigFile('tsconfig.check.json', ts.sys.readFile);
  const config = ts.parseJsonConfigFileContent(read.config, ts.sys, process.cwd());
  const program = ts.createProgram(config.fileNames, config.options);
  return report(checkSteps(program, process.cwd()));
}
