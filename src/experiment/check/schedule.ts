/**
 * Schedules with all that it takes to replay them: the design, the litmus, the memory order, what
 * was weakened, and then the moves by name (`schedule/explore/names.ts`), all in one line.
 *
 *   kpop1!design=tdp,litmus=fault-unmap,memory=sc!cpu0:backing.look#0;cpu1:tdp.unmap.lock#0
 *
 * Values escape what is not a letter, a digit or one of `._-:=/+@~` as `%` and hexadecimal digits.
 */
import { badInput } from '../../base/bad-input.ts';
import type { MemoryOrder } from '../../machine/explored/acts.ts';
import type { How, Weakening } from '../../machine/explored/weakening.ts';
import { formatSchedule, parseSchedule } from '../../schedule/explore/names.ts';

const HOWS: readonly How[] = ['drop', 'blind', 'stale', 'split', 'unordered', 'relaxed'];
const KEYS = ['design', 'litmus', 'memory', 'guard', 'entries', 'loop', 'code'];
const MOST_ENTRIES = 1000;

export interface Schedule {
  /** A design as the command line names it: an id with axes, or a file. */
  readonly design: string;
  readonly litmus: string;
  readonly memory: MemoryOrder;
  readonly guard: Weakening | undefined;
  readonly entries: number;
  /** Number of the move from which on a livelock repeats; -1 without one. */
  readonly loop: number;
  /** Hash of the code that the moves were found in: another one may part from them. */
  readonly code: string;
  /** Names of the moves. */
  readonly names: readonly string[];
}

export function writeSchedule(schedule: Schedule): string {
  const { design, litmus, memory, guard, entries, loop, code, names } = schedule;
  const head = [
    ['design', design],
    ['litmus', litmus],
    ['memory', memory],
    ...(guard === undefined ? [] : [['guard', `${guard.label}=${guard.how}`]]),
    ['entries', String(entries)],
    ...(loop < 0 ? [] : [['loop', String(loop)]]),
    ['code', code],
  ];
  const [version, moves] = splitOnce(formatSchedule(names), '!');
  return `${version}!${head.map(([key, value]) => `${key}=${escaped(value!)}`).join(',')}!${moves}`;
}

/** Whether a text is meant to be a schedule, of whatever version. */
export function looksLikeSchedule(text: string): boolean {
  return /^kpop\d*!/.test(text.trim());
}

export function readSchedule(text: string): Schedule {
  const [version, rest] = splitOnce(text.trim(), '!');
  const [head, moves] = splitOnce(rest, '!');
  const names = parseSchedule(`${version}!${moves}`); // refuses other versions
  const given = readHead(head);
  const memory = given.get('memory');
  if (memory !== 'sc' && memory !== 'tso') {
    return badInput(`a schedule has memory=sc or memory=tso, not memory=${memory ?? ''}`);
  }
  return {
    design: wanted(given, 'design'),
    litmus: wanted(given, 'litmus'),
    memory,
    guard: readGuard(given.get('guard')),
    entries: whole(given, 'entries', 3),
    loop: whole(given, 'loop', -1),
    code: given.get('code') ?? '',
    names,
  };
}

function readHead(head: string): Map<string, string> {
  const given = new Map<string, string>();
  for (const part of head === '' ? [] : head.split(',')) {
    const [key, value] = splitOnce(part, '=');
    if (!KEYS.includes(key)) badInput(`a schedule has no ${key === '' ? 'empty part' : key}`);
    if (given.has(key)) badInput(`a schedule names its ${key} once, not twice`);
    given.set(key, unescaped(value));
  }
  return given;
}

function wanted(given: ReadonlyMap<string, string>, key: string): string {
  const value = given.get(key) ?? '';
  return value === '' ? badInput(`a schedule names its ${key}: ${key}=…`) : value;
}

function whole(given: ReadonlyMap<string, string>, key: string, absent: number): number {
  const text = given.get(key);
  if (text === undefined) return absent;
  const most = key === 'entries' ? MOST_ENTRIES : 1_000_000;
  if (/^\d{1,7}$/.test(text) && Number(text) <= most) return Number(text);
  return badInput(`${key} of a schedule is a whole number up to ${most}, not ${text}`);
}

function readGuard(text: string | undefined): Weakening | undefined {
  if (text === undefined) return undefined;
  const [label, given] = splitOnce(text, '=');
  const how = HOWS.find((each) => each === given);
  if (how !== undefined && label !== '') return { label, how };
  return badInput(`guard of a schedule is <label>=${HOWS.join('|')}, not ${text}`);
}

function splitOnce(text: string, at: string): [string, string] {
  const index = text.indexOf(at);
  return index < 0 ? [text, ''] : [text.slice(0, index), text.slice(index + 1)];
}

function escaped(text: string): string {
  return [...new TextEncoder().encode(text)]
    .map((byte) => {
      const letter = String.fromCharCode(byte);
      if (/[\w.:=/+@~-]/.test(letter)) return letter;
      return `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
    })
    .join('');
}

function unescaped(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return badInput('a schedule has a broken % in its head');
  }
}
