/**
 * Fields as V8 likes them. What it knows of a field (a small integer, a double, an object of one
 * shape, a constant) comes from the values that it ever held, and `#words;` or `words;` in a class
 * means that each begins as `undefined`: then every use has to ask what the field holds. So
 *
 * - a field that is declared without a value, and set by a statement of the constructor itself, is
 *   not declared: it comes into being there;
 * - `#name` of a class C becomes `name$C`, because a private name has to be declared. Types still
 *   keep it private, for code of this project and for whoever imports it.
 */
import ts from 'typescript';

/** What a class declares with private names, and as what each is compiled. */
type Privates = ReadonlyMap<string, string>;

function isClass(node: ts.Node): node is ts.ClassDeclaration | ts.ClassExpression {
  return ts.isClassDeclaration(node) || ts.isClassExpression(node);
}

function privatesOf(node: ts.ClassLikeDeclaration): Privates {
  const owner = node.name?.text ?? 'anonymous';
  const names = node.members.flatMap(({ name }) =>
    name !== undefined && ts.isPrivateIdentifier(name) ? [name.text] : [],
  );
  return new Map(names.map((name) => [name, `${name.slice(1)}$${owner}`]));
}

/** Names of the fields that statements of the constructor's own body set, `#` included. */
function setAtOnce(node: ts.ClassLikeDeclaration): ReadonlySet<string> {
  const names = new Set<string>();
  const statements = node.members.find(ts.isConstructorDeclaration)?.body?.statements ?? [];
  for (const statement of statements) {
    if (!ts.isExpressionStatement(statement)) continue;
    const { expression } = statement;
    if (!ts.isBinaryExpression(expression)) continue;
    const { left, operatorToken } = expression;
    const isSet = operatorToken.kind === ts.SyntaxKind.EqualsToken;
    if (!isSet || !ts.isPropertyAccessExpression(left)) continue;
    if (left.expression.kind === ts.SyntaxKind.ThisKeyword) names.add(left.name.text);
  }
  return names;
}

function isDeclaredOnly(member: ts.ClassElement, set: ReadonlySet<string>): boolean {
  if (!ts.isPropertyDeclaration(member) || member.initializer !== undefined) return false;
  const { name, modifiers } = member;
  const isStatic = modifiers?.some(({ kind }) => kind === ts.SyntaxKind.StaticKeyword) === true;
  const isNamed = ts.isIdentifier(name) || ts.isPrivateIdentifier(name);
  return !isStatic && isNamed && set.has(name.text);
}

/** For `emit`, after types have gone. */
export function plainFields(context: ts.TransformationContext): ts.Transformer<ts.SourceFile> {
  const { factory } = context;
  const around: Privates[] = [];

  function compiledName(name: ts.PrivateIdentifier): ts.Identifier {
    const known = around.findLast((privates) => privates.has(name.text));
    const compiled = known?.get(name.text);
    if (compiled === undefined) throw new Error(`no class around declares ${name.text}`);
    return ts.setTextRange(factory.createIdentifier(compiled), name);
  }

  function visit(node: ts.Node): ts.Node {
    if (ts.isPrivateIdentifier(node)) return compiledName(node);
    if (!isClass(node)) return ts.visitEachChild(node, visit, context);
    const set = setAtOnce(node);
    const members = node.members.filter((member) => !isDeclaredOnly(member, set));
    const { modifiers, name, typeParameters, heritageClauses } = node;
    around.push(privatesOf(node));
    const parts = [modifiers, name, typeParameters, heritageClauses, members] as const;
    const smaller = ts.isClassDeclaration(node)
      ? factory.updateClassDeclaration(node, ...parts)
      : factory.updateClassExpression(node, ...parts);
    const visited = ts.visitEachChild(smaller, visit, context);
    around.pop();
    return visited;
  }

  return (file) => ts.visitEachChild(file, visit, context);
}
