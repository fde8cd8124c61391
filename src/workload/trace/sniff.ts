/**
 * Which kind of trace a file holds, judged by its first bytes: never by its name, and early
 * enough that a foreign file is refused before it is read.
 */

import { isTraceFile } from './format.ts';

export type TraceKind = 'trace' | 'lackey' | 'page runs' | 'first touches';

const FIRST_LINES: readonly (readonly [TraceKind, RegExp])[] = [
  ['lackey', /^(==|--|\*\*)(?:[\d:.]+ )?\d+\1/],
  ['lackey', /^ *[ILSM] +[0-9a-fA-F]{1,16},\d/],
  ['page runs', /^# *kind page/],
  ['page runs', /^[IRW] [0-9a-fA-F]{1,13} \d/],
  ['first touches', /^# *instr/],
  ['first touches', /^\d+ [IRWw] [0-9a-fA-F]/],
];

/** The kind of trace that begins with `head` (some hundred bytes suffice); null if none does. */
export function sniffTrace(head: Uint8Array): TraceKind | null {
  if (isTraceFile(head)) return 'trace';
  const text = new TextDecoder('latin1').decode(head.subarray(0, 4096));
  const line = text.split('\n').find((each) => each.trim().length > 0) ?? '';
  return FIRST_LINES.find(([, pattern]) => pattern.test(line))?.[0] ?? null;
}
