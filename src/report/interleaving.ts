/** A counterexample on a terminal: a column per CPU, and beside each move what it changed. */
import type { CheckMove } from '../measure/check.ts';
import { printable, TERMINAL_WIDTH, wrap } from './table.ts';

const NUMBER = 4;
const GAP = 2;
const NARROWEST = 16;
const WIDEST = 34;

export function renderInterleaving(given: readonly CheckMove[], loop = -1): string {
  const cpus = Math.max(...given.map(({ cpu }) => cpu), 0) + 1;
  const names = Array.from({ length: cpus }, (_, cpu) => onlyContext(given, cpu));
  const moves = given.map((move) => {
    const name = names[move.cpu]!;
    return name === '' ? move : { ...move, says: move.says.replace(`${name}: `, '') };
  });
  const widths = Array.from({ length: cpus }, (_, cpu) => {
    const longest = Math.max(
      `cpu${cpu} ${names[cpu]!}`.length,
      ...moves.filter((m) => m.cpu === cpu).map((m) => m.says.length),
    );
    return Math.max(NARROWEST, Math.min(longest, widestFor(cpus)));
  });
  const room = TERMINAL_WIDTH - NUMBER - widths.reduce((sum, width) => sum + width + GAP, GAP);
  const head = line('', widths, (cpu) => `cpu${cpu} ${names[cpu]!}`.trimEnd(), 'what changes');
  const rows = moves.flatMap((move, i) => {
    const mark = i === loop ? [`${' '.repeat(NUMBER + GAP)}from here on again and again`] : [];
    return [...mark, ...rowsOf(move, i, widths, room)];
  });
  return [head, ...rows].join('\n');
}

/** The context that alone runs on a CPU; '' if there are several. */
function onlyContext(moves: readonly CheckMove[], cpu: number): string {
  const found = moves.flatMap((move) => {
    const name = move.cpu === cpu ? /^([^ :]+): /.exec(move.says)?.[1] : undefined;
    return name === undefined ? [] : [name];
  });
  return new Set(found).size === 1 ? found[0]! : '';
}

/** Half of the line is for what changes. */
function widestFor(cpus: number): number {
  return Math.min(WIDEST, Math.floor((TERMINAL_WIDTH / 2 - NUMBER) / cpus) - GAP);
}

function rowsOf(move: CheckMove, at: number, widths: readonly number[], room: number): string[] {
  const says = wrap(printable(move.says), widths[move.cpu]!);
  const changes = move.changes.flatMap((change) => wrap(printable(change), room));
  return Array.from({ length: Math.max(says.length, changes.length) }, (_, i) => {
    const cell = (cpu: number): string => (cpu === move.cpu ? (says[i] ?? '') : '');
    return line(i === 0 ? String(at + 1) : '', widths, cell, changes[i] ?? '');
  });
}

function line(
  number: string,
  widths: readonly number[],
  cell: (cpu: number) => string,
  change: string,
): string {
  const cells = widths.map((width, cpu) => cell(cpu).padEnd(width + GAP));
  return `${number.padStart(NUMBER)}${' '.repeat(GAP)}${cells.join('')}${change}`.trimEnd();
}
