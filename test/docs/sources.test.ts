/** docs/sources.md: every section of the notes that a comment cites has a row. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const ROW = /^\| (x86|protection) ([^|]*) \|/gm;

/** `x86 2.1 to 2.3` names three sections. */
function sectionsOf(note: string, named: string): string[] {
  return named.split(', ').flatMap((part) => {
    const [first, last] = part.split(' to ').map((one) => one.trim());
    const [chapter, from] = first!.split('.').map(Number);
    const until = Number((last ?? first!).split('.')[1]);
    return Array.from({ length: until - from! + 1 }, (_, i) => `${note} ${chapter}.${from! + i}`);
  });
}

test('every section that is cited can be looked up', () => {
  const text = readFileSync(join(root, 'docs/sources.md'), 'utf8');
  const known = new Set([...text.matchAll(ROW)].flatMap(([, note, of]) => sectionsOf(note!, of!)));
  const cited = new Set<string>();
  for (const folder of ['src', 'test', 'bench', 'examples']) {
    for (const name of readdirSync(join(root, folder), { recursive: true }) as string[]) {
      if (!name.endsWith('.ts')) continue;
      const code = readFileSync(join(root, folder, name), 'utf8');
      for (const [, note, section] of code.matchAll(/primer\/(x86|protection)\.md (\d+\.\d+)/g)) {
        cited.add(`${note} ${section}`);
      }
    }
  }
  expect(cited.size).toBeGreaterThan(20);
  expect([...cited].filter((each) => !known.has(each)).sort()).toEqual([]);
});
