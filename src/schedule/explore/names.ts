/**
 * Schedules as one line of ASCII that replays an execution: the stable names of its moves
 * (`Explored.nameOf`), so that it survives edits that do not concern it.
 *
 *   kpop1!cpu0:lock#0,look#0*3;cpu1:pick#0=1;cpu0:commit#0
 *
 * After the version come runs of moves of one task, separated by `;`: the task, `:`, and its moves,
 * separated by `,`. A move is its label, `#` and how often the label came before, and `=` and the
 * alternative, where the name has them; `*3` stands for three moves, of which each has one more
 * before it. Anything but letters, digits and `. _ - +` in tasks and labels is written as `%` and
 * two hexadecimal digits per byte of its UTF-8. In a shell it wants single quotes.
 */
import { defect } from '../../base/assert.ts';
import { badInput } from '../../base/bad-input.ts';
import type { Explored, Move } from './system.ts';

const VERSION = 'kpop1!';
const MOST_NAMES = 1_000_000;

/** The parts of a name; `task` is undefined where a name has none. */
interface Name {
  readonly task: string | undefined;
  readonly label: string;
  readonly times: number | undefined;
  readonly alternative: number | undefined;
}

/** Names of the moves of `path`, from the state that `system` is in; leaves it in that state. */
export function namesOf(system: Explored, path: readonly Move[]): string[] {
  const ground = system.depth;
  const names = path.map((move) => {
    const name = system.nameOf(move);
    system.take(move);
    return name;
  });
  while (system.depth > ground) system.undo();
  return names;
}

/** The schedule string of moves with these names. */
export function formatSchedule(names: readonly string[]): string {
  const runs: { task: string | undefined; items: string[] }[] = [];
  for (let i = 0; i < names.length; ) {
    const name = nameFrom(names[i]!);
    let folded = 1;
    if (name.label === '') defect('formatSchedule', `the move "${names[i]}" has no label`);
    while (name.times !== undefined && names[i + folded] === nextName(name, folded)) folded++;
    const run = runs.at(-1);
    const item = `${itemOf(name)}${folded > 1 ? `*${folded}` : ''}`;
    if (run !== undefined && run.task === name.task) run.items.push(item);
    else runs.push({ task: name.task, items: [item] });
    i += folded;
  }
  const written = runs.map(({ task, items }) => {
    return `${task === undefined ? '' : `${escaped(task)}:`}${items.join(',')}`;
  });
  return `${VERSION}${written.join(';')}`;
}

/** The names that a schedule string stands for; refuses what it cannot read in one sentence. */
export function parseSchedule(text: string): string[] {
  const given = text.trim();
  if (!given.startsWith(VERSION)) {
    const version = /^kpop\d+!/.exec(given)?.[0];
    badInput(
      version === undefined
        ? `a schedule begins with ${VERSION}, not with "${excerpt(given)}"`
        : `a schedule of version ${version} cannot be read here, only ${VERSION}`,
    );
  }
  const rest = given.slice(VERSION.length);
  if (rest === '') return [];
  const names: string[] = [];
  for (const run of rest.split(';')) {
    const colon = run.indexOf(':');
    const task = colon === -1 ? undefined : unescaped(run.slice(0, colon), run);
    for (const item of run.slice(colon + 1).split(',')) addItem(names, task, item);
  }
  return names;
}

const ITEM = /^([\w.+%-]*)(?:#(\d{1,9}))?(?:=(\d{1,3}))?(?:\*(\d{1,9}))?$/;

function addItem(names: string[], task: string | undefined, item: string): void {
  const match = ITEM.exec(item);
  if (match === null || match[1] === '') {
    badInput(`a schedule has no move "${excerpt(item)}" (move ${names.length + 1})`);
  }
  const [, label = '', times, alternative, folded] = match;
  const name: Name = {
    task,
    label: unescaped(label, item),
    times: times === undefined ? undefined : Number(times),
    alternative: alternative === undefined ? undefined : Number(alternative),
  };
  const count = folded === undefined ? 1 : Number(folded);
  if (folded !== undefined && (count < 2 || times === undefined)) {
    badInput(`a schedule cannot repeat "${excerpt(item)}": it takes a count and at least *2`);
  }
  if (names.length + count > MOST_NAMES) {
    badInput(`a schedule has at most ${MOST_NAMES} moves, and "${excerpt(item)}" goes past that`);
  }
  for (let i = 0; i < count; i++) names.push(nextName(name, i));
}

/** Where an execution left the names it was to follow. */
export interface Parting {
  /** Index of the name that fits no possible move. */
  readonly index: number;
  readonly name: string;
  /** Names of the moves that were possible instead; none at an end. */
  readonly possible: readonly string[];
}

export interface Followed {
  /** Moves taken; the system is left after them. */
  readonly path: readonly Move[];
  /** Undefined if all names were followed, or a promise broke before. */
  readonly parting: Parting | undefined;
  /** The promise that the execution broke, with its last move. */
  readonly message: string | undefined;
}

/**
 * Takes the moves with these names, one after the other, as far as they are possible; ends early
 * where a promise is broken. `atEnd` is asked where nothing can move any more.
 */
export function follow(system: Explored, names: readonly string[]): Followed {
  const path: Move[] = [];
  for (let index = 0; ; index++) {
    const broken = system.always();
    if (broken !== undefined) return { path, parting: undefined, message: broken };
    const moves = system.moves();
    const name = names[index];
    const move = moves.find((one) => system.nameOf(one) === name);
    if (move === undefined) {
      const message = moves.length === 0 ? system.atEnd() : undefined;
      const possible = moves.map((one) => system.nameOf(one));
      const parting = name === undefined ? undefined : { index, name, possible };
      return { path, parting, message };
    }
    path.push(move);
    system.take(move);
  }
}

/** One sentence for people: at which name the execution left, and what it could have done. */
export function describeParting({ index, name, possible }: Parting): string {
  const instead =
    possible.length === 0 ? 'nothing can move there' : `possible were ${possible.join(', ')}`;
  return `move ${index + 1} of the schedule, ${name}, does not fit the code: ${instead}`;
}

/** A name in its parts, which written again are the same name; else all of it is the label. */
function nameFrom(text: string): Name {
  const match = /^(?:([^:]*):)?(.*?)(?:#(\d{1,9}))?(?:=(\d{1,3}))?$/s.exec(text);
  const [, task, label = '', times, alternative] = match ?? [];
  const name: Name = {
    task,
    label,
    times: times === undefined ? undefined : Number(times),
    alternative: alternative === undefined ? undefined : Number(alternative),
  };
  if (nextName(name, 0) === text) return name;
  return { task: undefined, label: text, times: undefined, alternative: undefined };
}

/** The name whose label came `more` times more before it. */
function nextName({ task, label, times, alternative }: Name, more: number): string {
  const where = task === undefined ? '' : `${task}:`;
  const count = times === undefined ? '' : `#${times + more}`;
  return `${where}${label}${count}${alternative === undefined ? '' : `=${alternative}`}`;
}

function itemOf({ label, times, alternative }: Name): string {
  const name = { task: undefined, label: escaped(label), times, alternative };
  return nextName(name, 0);
}

function escaped(text: string): string {
  return [...new TextEncoder().encode(text)]
    .map((byte) => {
      const letter = String.fromCharCode(byte);
      if (/[\w.+-]/.test(letter)) return letter;
      return `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
    })
    .join('');
}

function unescaped(text: string, within: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return badInput(`a schedule has a broken % in "${excerpt(within)}"`);
  }
}

function excerpt(text: string): string {
  return text.length <= 40 ? text : `${text.slice(0, 40)}…`;
}
