/** The list of guards' labels: found where they are, and written anew with the code. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { labelsByFile, labelsOfProject } from './labels.ts';

test('labels: of guards, also through routines that hand them on, and of nothing else', () => {
  const text = [
    'function* take(cpu, at, label) { yield cpu.add(at, 1, label); }',
    'function* look(cpu, at, label) { yield cpu.load(at, label); }',
    'function* run(cpu) {',
    "  yield* take(cpu, 0, 'a.lock');",
    "  yield* look(cpu, 0, 'a.look');",
    "  yield cpu.wait([0], () => cpu.peek(0) > 0, 'a.wait');",
    "  yield cpu.load(0, 'a.recheck');",
    "  yield cpu.store(0, 1, 'a.store');",
    "  yield invept(cpu, 1, 'a.flush-all');",
    '}',
  ].join('\n');
  const [labels] = labelsByFile([{ path: 'src/a.ts', text }]).values();
  expect([...labels!.keys()]).toEqual(['a.lock', 'a.wait', 'a.recheck', 'a.flush-all']);
  expect(labels!.get('a.wait')).toEqual({ path: 'src/a.ts', line: 6 });
});

test('labels: data/labels.json holds the labels of the designs (npm run labels)', () => {
  const labels = (text: string): unknown => {
    const all = Object.entries(JSON.parse(text) as Record<string, Record<string, string>>);
    return all.map(([design, own]) => [design, Object.keys(own)]);
  };
  expect(labels(readFileSync('data/labels.json', 'utf8'))).toEqual(labels(labelsOfProject()));
});
