/**
 * An act that was performed when it was offered (`runtime/act.ts`, `goesOn`) needs no suspension,
 * but JavaScript has no yield that only sometimes suspends: so in every function* that returns a
 * Routine
 *
 *     yield offer      becomes      ($act = offer).goesOn ? $act.word : yield $act
 */
import ts from 'typescript';

const TEMPORARY = '$act';

type RoutineNode = (ts.FunctionDeclaration | ts.FunctionExpression | ts.MethodDeclaration) & {
  readonly body: ts.Block;
};
type Offer = ts.YieldExpression & { readonly expression: ts.Expression };

/** A function* whose declared result is a Routine: what it yields are acts. */
function isRoutine(node: ts.Node): node is RoutineNode {
  const mayBe =
    ts.isFunctionDeclaration(node) || ts.isFunctionExpression(node) || ts.isMethodDeclaration(node);
  if (!mayBe || node.asteriskToken === undefined || node.body === undefined) return false;
  const { type } = node;
  if (type === undefined || !ts.isTypeReferenceNode(type)) return false;
  return ts.isIdentifier(type.typeName) && type.typeName.text === 'Routine';
}

function isOffer(node: ts.Node): node is Offer {
  return (
    ts.isYieldExpression(node) && node.asteriskToken === undefined && node.expression !== undefined
  );
}

/** `yield offer`, suspended only if it has to be. */
function goingOn(node: Offer, offer: ts.Expression, factory: ts.NodeFactory): ts.Expression {
  const act = () => factory.createIdentifier(TEMPORARY);
  const offered = factory.createParenthesizedExpression(factory.createAssignment(act(), offer));
  const chosen = factory.createConditionalExpression(
    factory.createPropertyAccessExpression(offered, 'goesOn'),
    undefined,
    factory.createPropertyAccessExpression(act(), 'word'),
    undefined,
    ts.setTextRange(factory.createYieldExpression(undefined, act()), node),
  );
  return ts.setTextRange(factory.createParenthesizedExpression(chosen), node);
}

/** The same function with a temporary of its own. */
function withTemporary(node: RoutineNode, factory: ts.NodeFactory): ts.Node {
  const variable = factory.createVariableDeclaration(TEMPORARY);
  const list = factory.createVariableDeclarationList([variable], ts.NodeFlags.Let);
  const first = factory.createVariableStatement(undefined, list);
  const block = factory.createBlock([first, ...node.body.statements], true);
  const body = ts.setTextRange(block, node.body);
  const { modifiers, asteriskToken, typeParameters, parameters, type } = node;
  const tail = [typeParameters, parameters, type, body] as const;
  if (ts.isMethodDeclaration(node)) {
    const { name, questionToken } = node;
    const head = [modifiers, asteriskToken, name, questionToken] as const;
    return factory.updateMethodDeclaration(node, ...head, ...tail);
  }
  return ts.isFunctionDeclaration(node)
    ? factory.updateFunctionDeclaration(node, modifiers, asteriskToken, node.name, ...tail)
    : factory.updateFunctionExpression(node, node.modifiers, asteriskToken, node.name, ...tail);
}

/** For `emit`: lets routines go on after acts that were performed on the spot. */
export function goOn(context: ts.TransformationContext): ts.Transformer<ts.SourceFile> {
  const { factory } = context;
  const outside = (node: ts.Node): ts.Node =>
    isRoutine(node) ? routine(node) : ts.visitEachChild(node, outside, context);

  function routine(node: RoutineNode): ts.Node {
    let offers = 0;
    const inside = (child: ts.Node): ts.Node => {
      if (ts.isFunctionLike(child)) return outside(child);
      if (!isOffer(child)) return ts.visitEachChild(child, inside, context);
      offers++;
      return goingOn(child, ts.visitNode(child.expression, inside) as ts.Expression, factory);
    };
    const visited = ts.visitEachChild(node, inside, context);
    return offers === 0 ? visited : withTemporary(visited, factory);
  }

  return (file) => ts.visitEachChild(file, outside, context);
}
