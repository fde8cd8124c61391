/** The import law's checker, on small made-up trees. */

import { expect, test } from 'vitest';
import { checkImports, cyclesIn } from './imports.ts';
import { rooms } from './law.ts';

function check(files: Record<string, string>): string[] {
  const sources = Object.entries(files).map(([path, text]) => ({ path: `src/${path}`, text }));
  return checkImports(sources).map(({ path, line, says }) => `${path}:${line} ${says}`);
}

test('import law: imports downwards and inside a room pass', () => {
  const found = check({
    'machine/tlb.ts': "import { a } from '../base/bits.ts';\nimport './cpu.ts';",
    'guest/l1/kvm.ts': "import type { Mmu } from '../../hypervisor/mmu/tdp.ts';",
    'cli/main.ts': "import fs from 'node:fs';\nimport { program } from 'commander';",
    'schedule/threads-worker.ts': "import { parentPort } from 'node:worker_threads';",
    'machine/tlb.test.ts': "import '../cli/main.ts';",
  });
  expect(found).toEqual([]);
});

test('import law: a forbidden import prints file, line and reason', () => {
  const found = check({ 'guest/program/touch.ts': "\nimport '../../hypervisor/exits.ts';" });
  expect(found).toEqual([
    'src/guest/program/touch.ts:2 imports ../../hypervisor/exits.ts: ' +
      'a program cannot see its host',
  ]);
});

test.each([
  ['base/bits.ts', "import fs from 'node:fs';", 'imports node:fs'],
  ['machine/cpu.ts', "import fs from 'fs';", 'imports fs'],
  ['machine/cpu.ts', "export * from '../cli/main.ts';", 'silicon'],
  ['index.ts', "import './cli/main.ts';", 'command line'],
  ['litmus/good.ts', "import '../machine/tlb.ts';", 'who does what'],
  ['report/text.ts', "const x = await import('../schedule/timed.ts');", 'yesterday'],
  ['cli/page.ts', "import '../web/page.ts';", 'stands alone'],
  ['machine/cpu.ts', "import './tlb.js';", './x.ts'],
  ['machine/cpu.ts', "import '../../scripts/law.ts';", 'src imports only src'],
  ['cli/main.ts', "import 'left-pad';", 'no row for this package'],
  ['attic/old.ts', '', 'lies in no room'],
  ['hypervisor/mmu/tdp/map.ts', "import '../shadow.ts';", 'rivals'],
  ['hypervisor/mmu/common.ts', "import './shadow.ts';", 'rivals'],
])('import law: %s with %s is a violation', (path, text, words) => {
  expect(check({ [path]: text }).join()).toContain(words);
});

test('import law: kinds of MMU may share mmu/common and be listed by mmu/index', () => {
  const found = check({
    'hypervisor/mmu/tdp/map.ts': "import '../common/choke.ts';\nimport './zap.ts';",
    'hypervisor/mmu/shadow.ts': "import './common-plan.ts';",
    'hypervisor/mmu/index.ts': "import './shadow.ts';",
  });
  expect(found).toEqual([]);
});

test('import law: cycles of files are found', () => {
  const found = check({
    'machine/a.ts': "import './b.ts';",
    'machine/b.ts': "import { A } from './a.ts';",
  });
  expect(found).toHaveLength(1);
  expect(found[0]).toContain('a cycle of files: src/machine/a.ts, src/machine/b.ts');
});

test('import law: a type import is gone when the code runs, and closes no cycle', () => {
  const found = check({
    'machine/a.ts': "import './b.ts';",
    'machine/b.ts': "import type {\n  A,\n} from './a.ts';",
  });
  expect(found).toEqual([]);
});

test('import law: the law itself has no cycle between rooms', () => {
  const graph = new Map(
    rooms.map(({ room, may }) => [room, new Set(may.filter((part) => part !== '*'))]),
  );
  expect(cyclesIn(graph)).toEqual([]);
});
