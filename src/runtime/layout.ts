/**
 * Layouts of structures in simulated memory: every word is declared as atomic (each access a step)
 * or plain (protected by a lock, or private), and cache lines are started on purpose.
 */
import { defect } from '../base/assert.ts';

export type WordKind = 'atomic' | 'plain';

/** A field: its kind, a count for arrays, and whether it begins a new cache line. */
export interface FieldSpec {
  readonly kind: WordKind;
  readonly count?: number;
  readonly line?: 'new';
}

export interface Layout<Name extends string> {
  readonly name: string;
  /** Size in bytes, a multiple of a cache line if any field starts one. */
  readonly bytes: number;
  /** Byte offset of each field. */
  readonly at: Readonly<Record<Name, number>>;
  readonly kinds: Readonly<Record<Name, WordKind>>;
}

const WORD_BYTES = 8;
const LINE_BYTES = 64;

const declared = new Map<string, Layout<string>>();

/** Declares a layout; its name is unique in the program. */
export function layout<Name extends string>(
  name: string,
  fields: Readonly<Record<Name, FieldSpec>>,
): Layout<Name> {
  if (declared.has(name)) defect('layout', `${name} is declared twice`);
  const at = {} as Record<Name, number>;
  const kinds = {} as Record<Name, WordKind>;
  let bytes = 0;
  let lined = false;
  for (const key of Object.keys(fields) as Name[]) {
    const spec = fields[key];
    if (spec.line === 'new') {
      bytes = Math.ceil(bytes / LINE_BYTES) * LINE_BYTES;
      lined = true;
    }
    at[key] = bytes;
    kinds[key] = spec.kind;
    bytes += WORD_BYTES * (spec.count ?? 1);
  }
  if (lined) bytes = Math.ceil(bytes / LINE_BYTES) * LINE_BYTES;
  const result: Layout<Name> = { name, bytes, at, kinds };
  declared.set(name, result);
  return result;
}

/** Every layout declared so far, by name. */
export function layouts(): readonly Layout<string>[] {
  return [...declared.values()];
}

export const atomic: FieldSpec = { kind: 'atomic' };
export const plain: FieldSpec = { kind: 'plain' };
export const atomicLine: FieldSpec = { kind: 'atomic', line: 'new' };
export const plainLine: FieldSpec = { kind: 'plain', line: 'new' };
