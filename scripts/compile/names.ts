/**
 * Names of a module as constants of its own. To V8 a `const` of the module is the value itself. A
 * `function` or `class` may be assigned to, and what is imported or exported lives in a cell that
 * is looked up at each use; both are checked before each call. So
 *
 *     import { a } from './a.js'      becomes    import { a as $a } from './a.js'; const a = $a;
 *     export function f() {}          becomes    const f = function () {}; const $f = f;
 *                                                export { $f as f };
 *
 * and classes and exported constants likewise. That is the same because no two files import each
 * other (the import law): what is imported has been evaluated. Functions come first in the module,
 * as hoisting has it.
 */
import ts from 'typescript';

/** The statements of a module, as they are taken apart. */
interface Parts {
  readonly imports: ts.Statement[];
  readonly aliases: ts.Statement[];
  readonly functions: ts.Statement[];
  readonly rest: ts.Statement[];
  readonly exported: ts.ExportSpecifier[];
}

function has(node: ts.HasModifiers, kind: ts.SyntaxKind): boolean {
  return node.modifiers?.some((modifier) => modifier.kind === kind) === true;
}

function isExported(node: ts.HasModifiers): boolean {
  return has(node, ts.SyntaxKind.ExportKeyword);
}

/** What its module or the machine below calls by another name: `$name`. */
function outer(name: string): string {
  return `$${name}`;
}

/** For `emit`, after types have gone. */
export function ownNames(context: ts.TransformationContext): ts.Transformer<ts.SourceFile> {
  const { factory } = context;

  function constant(name: string, value: ts.Expression): ts.Statement {
    const variable = factory.createVariableDeclaration(name, undefined, undefined, value);
    const list = factory.createVariableDeclarationList([variable], ts.NodeFlags.Const);
    return factory.createVariableStatement(undefined, list);
  }

  /** `export { $name as name }`, for a constant that is in place by then. */
  function exportAs(name: string, parts: Parts, into: ts.Statement[]): void {
    into.push(constant(outer(name), factory.createIdentifier(name)));
    parts.exported.push(factory.createExportSpecifier(false, outer(name), name));
  }

  function imported(node: ts.ImportDeclaration, parts: Parts): void {
    const bindings = node.importClause?.namedBindings;
    const isOurs = (node.moduleSpecifier as ts.StringLiteral).text.startsWith('.');
    if (!isOurs || bindings === undefined || !ts.isNamedImports(bindings)) {
      parts.imports.push(node);
      return;
    }
    const specifiers = bindings.elements.map((element) => {
      const name = element.name.text;
      parts.aliases.push(constant(name, factory.createIdentifier(outer(name))));
      const theirs = element.propertyName ?? factory.createIdentifier(name);
      return factory.createImportSpecifier(false, theirs, factory.createIdentifier(outer(name)));
    });
    const named = factory.createNamedImports(specifiers);
    const clause = factory.createImportClause(undefined, node.importClause?.name, named);
    const { modifiers, moduleSpecifier, attributes } = node;
    parts.imports.push(
      factory.updateImportDeclaration(node, modifiers, clause, moduleSpecifier, attributes),
    );
  }

  function functionDeclared(node: ts.FunctionDeclaration, parts: Parts): void {
    const name = node.name!.text;
    const modifiers = node.modifiers?.filter(({ kind }) => kind === ts.SyntaxKind.AsyncKeyword);
    const { asteriskToken, parameters, body } = node;
    const value = factory.createFunctionExpression(
      modifiers as readonly ts.Modifier[] | undefined,
      asteriskToken,
      undefined,
      undefined,
      parameters,
      undefined,
      body!,
    );
    parts.functions.push(constant(name, ts.setTextRange(value, node)));
    if (isExported(node)) exportAs(name, parts, parts.functions);
  }

  function classDeclared(node: ts.ClassDeclaration, parts: Parts): void {
    const name = node.name!.text;
    const { heritageClauses, members } = node;
    const value = factory.createClassExpression(
      undefined,
      node.name,
      undefined,
      heritageClauses,
      members,
    );
    parts.rest.push(constant(name, ts.setTextRange(value, node)));
    if (isExported(node)) exportAs(name, parts, parts.rest);
  }

  function constantsExported(node: ts.VariableStatement, parts: Parts): void {
    const { declarationList } = node;
    const names = declarationList.declarations.map(({ name }) => name);
    const isConst = (declarationList.flags & ts.NodeFlags.Const) !== 0;
    if (!isConst || !names.every(ts.isIdentifier)) {
      parts.rest.push(node);
      return;
    }
    parts.rest.push(factory.updateVariableStatement(node, [], declarationList));
    for (const name of names) exportAs(name.text, parts, parts.rest);
  }

  function take(statement: ts.Statement, parts: Parts): void {
    if (ts.isImportDeclaration(statement)) imported(statement, parts);
    else if (ts.isFunctionDeclaration(statement)) functionDeclared(statement, parts);
    else if (ts.isClassDeclaration(statement)) classDeclared(statement, parts);
    else if (ts.isVariableStatement(statement) && isExported(statement)) {
      constantsExported(statement, parts);
    } else parts.rest.push(statement);
  }

  return (file) => {
    const parts: Parts = { imports: [], aliases: [], functions: [], rest: [], exported: [] };
    for (const statement of file.statements) take(statement, parts);
    const { imports, aliases, functions, rest, exported } = parts;
    const named = factory.createNamedExports(exported);
    const last =
      exported.length === 0 ? [] : [factory.createExportDeclaration(undefined, false, named)];
    const statements = [...imports, ...aliases, ...functions, ...rest, ...last];
    return factory.updateSourceFile(file, statements);
  };
}
