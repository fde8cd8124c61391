/** The questions that steps.ts asks about types: is this a Routine, an Act or a Word? */

import ts from 'typescript';

export type Kind = 'routine' | 'act' | 'word';

const contract = /(^|\/)runtime\/act\.ts$/;
const generators = new Set(['Generator', 'IterableIterator', 'IteratorObject', 'Iterator']);
const noPromise = ts.TypeFlags.Void | ts.TypeFlags.Any | ts.TypeFlags.Unknown;

/** Which of the contract's types a type is, for one program. */
function makeKinds(checker: ts.TypeChecker) {
  /** Is the type this interface of the contract, or an extension of it? */
  const isNamed = (type: ts.Type, name: string): boolean => {
    const symbol = type.getSymbol();
    const isIt =
      symbol?.name === name &&
      (symbol.declarations ?? []).some((one) => contract.test(one.getSourceFile().fileName));
    if (isIt) return true;
    return type.isClassOrInterface() && checker.getBaseTypes(type).some((t) => isNamed(t, name));
  };

  const isRoutine = (type: ts.Type): boolean => {
    if (!generators.has(type.getSymbol()?.name ?? '')) return false;
    const offered = checker.getTypeArguments(type as ts.TypeReference)[0];
    return offered !== undefined && mayBeAct(offered);
  };

  /** Looks no further than unions: a generator may offer generators of its own kind. */
  const mayBeAct = (given: ts.Type): boolean => {
    const type = given.isTypeParameter() ? checker.getBaseConstraintOfType(given) : given;
    if (type === undefined) return false;
    return type.isUnionOrIntersection() ? type.types.some(mayBeAct) : isNamed(type, 'Act');
  };

  /** A type may mention itself (a generator of generators): that mention tells nothing new. */
  const open = new Set<ts.Type>();

  const kindOfType = (given: ts.Type): Kind | undefined => {
    if (open.has(given)) return undefined;
    open.add(given);
    const kind = kindWithin(given);
    open.delete(given);
    return kind;
  };

  const kindWithin = (given: ts.Type): Kind | undefined => {
    const type = given.isTypeParameter() ? checker.getBaseConstraintOfType(given) : given;
    if (type === undefined) return undefined;
    if (type.isUnionOrIntersection()) {
      return type.types.map(kindOfType).find((kind) => kind !== undefined);
    }
    if (isNamed(type, 'Act')) return 'act';
    if (isNamed(type, 'Word')) return 'word';
    return isRoutine(type) ? 'routine' : undefined;
  };

  return kindOfType;
}

/** A judge of types for one program. */
export function makeJudge(checker: ts.TypeChecker) {
  const kindOfType = makeKinds(checker);
  const kindOf = (node: ts.Node): Kind | undefined => kindOfType(checker.getTypeAtLocation(node));

  /** Could the value be null or undefined, so that asking for its truth makes sense? */
  const mayBeAbsent = (node: ts.Node): boolean => {
    const type = checker.getTypeAtLocation(node);
    return checker.getNonNullableType(type) !== type;
  };

  /** Is the variable, property or element that receives this value a Routine? */
  const storesRoutine = (value: ts.Expression): boolean => {
    const { parent } = value;
    if (ts.isVariableDeclaration(parent) || ts.isPropertyDeclaration(parent)) {
      return !ts.isArrayBindingPattern(parent.name) && kindOf(parent.name) === 'routine';
    }
    const expected = checker.getContextualType(value);
    return expected === undefined || kindOfType(expected) === 'routine';
  };

  const makesSteps = (signature: ts.Signature): boolean => {
    const kind = kindOfType(signature.getReturnType());
    return kind === 'routine' || kind === 'act';
  };

  const ignoresResult = (signature: ts.Signature): boolean => {
    const type = signature.getReturnType();
    if (kindOfType(type) !== undefined) return false;
    const parts = type.isUnion() ? type.types : [type];
    return parts.some((part) => (part.flags & noPromise) !== 0);
  };

  /** Does a function that makes routines or acts go where results are thrown away? */
  const isNeverRun = (node: ts.Expression): boolean => {
    const own = checker.getTypeAtLocation(node).getCallSignatures();
    if (!own.some(makesSteps)) return false;
    const expected = checker.getContextualType(node);
    if (expected === undefined) return false;
    const signatures = checker.getNonNullableType(expected).getCallSignatures();
    return signatures.length > 0 && signatures.every(ignoresResult);
  };

  return { kindOf, mayBeAbsent, storesRoutine, isNeverRun };
}
