/** The designs, and the text by which one is chosen: `tdp`, `tdp:lock=write`. */
import { badInput } from '../base/bad-input.ts';
import { suggestion } from '../base/nearest.ts';
import { kpop } from './kpop.ts';
import { kpopL1 } from './kpop-l1-checked.ts';
import { kpopPoc } from './kpop-poc.ts';
import { kpopPolicy } from './kpop-policy-checked.ts';
import { kpopStack } from './kpop-stack.ts';
import { nested } from './nested.ts';
import { kpopOverNpt, nestedOverNpt, tdpOverNpt } from './over-npt.ts';
import { shadow } from './shadow.ts';
import type { Axes, Design } from './system.ts';
import { tdp } from './tdp.ts';

export const designs: readonly Design[] = [tdp, shadow, nested, kpopPoc, kpop];

/** What is explored in a design's name besides it, under ids of their own; never timed. */
const PARTS: Readonly<Record<string, readonly Design[]>> = {
  [tdp.id]: [tdpOverNpt],
  [nested.id]: [nestedOverNpt],
  [kpop.id]: [kpopL1, kpopStack, kpopPolicy, kpopOverNpt],
};

export function partsOf(id: string): readonly Design[] {
  return PARTS[id] ?? [];
}

/** Designs with their parts: what may be explored. */
export const explorable: readonly Design[] = designs.flatMap((design) => [
  design,
  ...partsOf(design.id),
]);

/** A design with a value for each of its axes. */
export interface Choice {
  /** The design's id with the axes that were given, in the design's own order. */
  readonly name: string;
  readonly design: Design;
  /** All axes, defaults included. */
  readonly axes: Axes;
}

/** Reads `id` or `id:axis=value,axis=value`. */
export function parseDesign(text: string, known: readonly Design[] = designs): Choice {
  const colon = text.indexOf(':');
  const id = colon < 0 ? text : text.slice(0, colon);
  const design = known.find((each) => each.id === id);
  if (design === undefined) {
    const ids = known.map((each) => each.id);
    return badInput(`unknown design ${id === '' ? '(none given)' : id}${suggestion(id, ids)}`);
  }
  return chooseAxes(design, colon < 0 ? undefined : text.slice(colon + 1));
}

/** `text`: `axis=value,axis=value`; undefined for the defaults. */
export function chooseAxes(design: Design, text: string | undefined): Choice {
  const given = new Map<string, string>();
  for (const part of text === undefined ? [] : text.split(',')) {
    const [name, value] = splitAxis(design, part);
    if (given.has(name)) badInput(`design ${design.id}: axis ${name} is given twice`);
    given.set(name, value);
  }
  const names = Object.keys(design.axes);
  const axes = Object.fromEntries(
    names.map((name) => [name, given.get(name) ?? design.axes[name]!.default]),
  );
  const told = names.filter((name) => given.has(name)).map((name) => `${name}=${given.get(name)}`);
  const name = told.length === 0 ? design.id : `${design.id}:${told.join(',')}`;
  return { name, design, axes };
}

function splitAxis(design: Design, part: string): [string, string] {
  const where = `design ${design.id}`;
  const equals = part.indexOf('=');
  if (equals <= 0) badInput(`${where}: '${part}' is not axis=value`);
  const name = part.slice(0, equals);
  const value = part.slice(equals + 1);
  const axis = Object.hasOwn(design.axes, name) ? design.axes[name] : undefined;
  if (axis === undefined) {
    const names = Object.keys(design.axes);
    const known = names.length === 0 ? '; it has none' : suggestion(name, names);
    return badInput(`${where}: unknown axis ${name}${known}`);
  }
  if (!axis.values.includes(value)) {
    const given = value === '' ? 'has no value' : `cannot be ${value}`;
    badInput(`${where}: axis ${name} ${given}${suggestion(value, axis.values)}`);
  }
  return [name, value];
}
