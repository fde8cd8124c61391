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

/** The statements of a module, taken apart. */
class Module {
  readonly #factory: ts.NodeFactory;
  readonly #imports: ts.Statement[] = [];
  readonly #aliases: ts.Statement[] = [];
  readonly #functions: ts.Statement[] = [];
  readonly #rest: ts.Statement[] = [];
  readonly #exported: ts.ExportSpecifier[] = [];

  constructor(factory: ts.NodeFactory) {
    this.#factory = factory;
  }

  take(statement: ts.Statement): void {
    if (ts.isImportDeclaration(statement)) this.#takeImport(statement);
    else if (ts.isFunctionDeclaration(statement)) this.#takeFunction(statement);
    else if (ts.isClassDeclaration(statement)) this.#takeClass(statement);
    else if (ts.isVariableStatement(statement) && isExported(statement)) {
      this.#takeExportedConstants(statement);
    } else this.#rest.push(statement);
  }

  statements(): ts.Statement[] {
    const factory = this.#factory;
    const all = [...this.#imports, ...this.#aliases, ...this.#functions, ...this.#rest];
    if (this.#exported.length === 0) return all;
    const named = factory.createNamedExports(this.#exported);
    return [...all, factory.createExportDeclaration(undefined, false, named)];
  }

  #takeImport(node: ts.ImportDeclaration): void {
    const factory = this.#factory;
    const bindings = node.importClause?.namedBindings;
    const isOurs = (node.moduleSpecifier as ts.StringLiteral).text.startsWith('.');
    if (!isOurs || bindings === undefined || !ts.isNamedImports(bindings)) {
      this.#imports.push(node);
      return;
    }
    const specifiers = bindings.elements.map((element) => {
      const name = element.name.text;
      this.#aliases.push(this.#constant(name, factory.createIdentifier(outer(name))));
      const theirs = element.propertyName ?? factory.createIdentifier(name);
      return factory.createImportSpecifier(false, theirs, factory.createIdentifier(outer(name)));
    });
    const named = factory.createNamedImports(specifiers);
    const clause = factory.createImportClause(undefined, node.importClause?.name, named);
    const { modifiers, moduleSpecifier, attributes } = node;
    this.#imports.push(
      factory.updateImportDeclaration(node, modifiers, clause, moduleSpecifier, attributes),
    );
  }

  #takeFunction(node: ts.FunctionDeclaration): void {
    const name = node.name!.text;
    const modifiers = node.modifiers?.filter(({ kind }) => kind === ts.SyntaxKind.AsyncKeyword);
    const { asteriskToken, parameters, body } = node;
    const value = this.#factory.createFunctionExpression(
      modifiers as readonly ts.Modifier[] | undefined,
      asteriskToken,
      undefined,
      undefined,
      parameters,
      undefined,
      body!,
    );
    this.#functions.push(this.#constant(name, ts.setTextRange(value, node)));
    if (isExported(node)) this.#export(name, this.#functions);
  }

  #takeClass(node: ts.ClassDeclaration): void {
    const name = node.name!.text;
    const parts = [undefined, node.heritageClauses, node.members] as const;
    const value = this.#factory.createClassExpression(undefined, node.name, ...parts);
    this.#rest.push(this.#constant(name, ts.setTextRange(value, node)));
    if (isExported(node)) this.#export(name, this.#rest);
  }

  #takeExportedConstants(node: ts.VariableStatement): void {
    const { declarationList } = node;
    const names = declarationList.declarations.map(({ name }) => name);
    const isConst = (declarationList.flags & ts.NodeFlags.Const) !== 0;
    if (!isConst || !names.every(ts.isIdentifier)) {
      this.#rest.push(node);
      return;
    }
    this.#rest.push(this.#factory.updateVariableStatement(node, [], declarationList));
    for (const { text } of names) this.#export(text, this.#rest);
  }

  #constant(name: string, value: ts.Expression): ts.Statement {
    const factory = this.#factory;
    const variable = factory.createVariableDeclaration(name, undefined, undefined, value);
    const list = factory.createVariableDeclarationList([variable], ts.NodeFlags.Const);
    return factory.createVariableStatement(undefined, list);
  }

  /** `export { $name as name }`, of a constant that is in place by then. */
  #export(name: string, into: ts.Statement[]): void {
    into.push(this.#constant(outer(name), this.#factory.createIdentifier(name)));
    this.#exported.push(this.#factory.createExportSpecifier(false, outer(name), name));
  }
}

/** For `emit`, after types have gone. */
export function ownNames({ factory }: ts.TransformationContext): ts.Transformer<ts.SourceFile> {
  return (file) => {
    const module = new Module(factory);
    for (const statement of file.statements) module.take(statement);
    return factory.updateSourceFile(file, module.statements());
  };
}
