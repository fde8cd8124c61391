/** docs/seeds.md: the summary is that of the rows, and every command names what exists. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { explorable, parseDesign } from '../../src/design/index.ts';
import { litmusPrograms } from '../../src/litmus/index.ts';
import { parseWorkload } from '../../src/workload/index.ts';

interface Row {
  readonly id: string;
  readonly settledBy: string;
  readonly commands: readonly string[];
  readonly state: string;
}

const text = readFileSync(new URL('../../docs/seeds.md', import.meta.url), 'utf8');
const cellsOf = (line: string): string[] =>
  line
    .slice(1, line.lastIndexOf('|'))
    .split(/(?<!\\)\|/)
    .map((cell) => cell.trim());
const rows: Row[] = text
  .split('\n')
  .filter((line) => /^\| M\d-\d+ \|/.test(line))
  .map((line) => {
    const cells = cellsOf(line);
    const commands = [...cells[5]!.matchAll(/`(kpop [^`]*)`/g)].map((match) => match[1]!);
    const said = /^\*\*(answered|partly)\*\*/.exec(cells.slice(6).join('|'))?.[1];
    return { id: cells[0]!, settledBy: cells[4]!, commands, state: said ?? 'not yet' };
  });

describe('docs/seeds.md', () => {
  test('ids are unique, and a row has a command if it says that something answers it', () => {
    expect(new Set(rows.map(({ id }) => id)).size).toBe(rows.length);
    const odd = rows.filter(({ commands, state }) => commands.length > 0 !== (state !== 'not yet'));
    expect(odd.map(({ id }) => id)).toEqual([]);
  });

  test.each(['M0', 'M1', 'M2', 'M3', 'M4', 'all'])('the summary of %s counts its rows', (mail) => {
    const own = rows.filter(({ id }) => mail === 'all' || id.startsWith(`${mail}-`));
    const count = (state: string): number => own.filter((row) => row.state === state).length;
    const line = text
      .split('\n')
      .find((each) => new RegExp(`^\\| ${mail} \\|.*\\| \\d+ \\|`).test(each));
    const argued = own.filter(
      ({ state, settledBy }) => state === 'not yet' && settledBy === 'argument only',
    );
    const expected = [own.length, count('answered'), count('partly'), count('not yet')];
    expect(cellsOf(line!).slice(2).map(Number)).toEqual([...expected, argued.length]);
  });

  test.each(rows.filter(({ commands }) => commands.length > 0))(
    '$id: designs, workloads and litmus programs of its commands exist',
    ({ commands }) => {
      for (const command of commands) checkCommand(command.split(' ').slice(1));
    },
  );
});

function checkCommand([verb, ...words]: string[]): void {
  expect(['run', 'compare', 'check', 'ask', 'walk', 'import', 'replay', 'list']).toContain(verb);
  if (verb !== 'run' && verb !== 'compare' && verb !== 'check') return;
  const flag = words.findIndex((word) => word.startsWith('--'));
  for (const design of words.slice(0, flag < 0 ? words.length : flag)) {
    parseDesign(design, explorable);
  }
  const after = (name: string): string | undefined => words[words.indexOf(name) + 1];
  if (words.includes('--workload')) parseWorkload(after('--workload')!);
  if (!words.includes('--litmus')) return;
  const known = litmusPrograms.map(({ id }) => id);
  for (const litmus of after('--litmus')!.split(',')) expect(known).toContain(litmus);
}
