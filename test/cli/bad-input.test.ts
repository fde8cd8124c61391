/** Bad usage and bad input: status 2, one sentence on stderr, nothing on stdout, no file left. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { builtMain, ending, start } from './built.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'kpop-bad-'));
let main = '';

const FILES: Readonly<Record<string, string | Uint8Array>> = {
  'syntax.ts': "import { tdp } from 'kpop';\nexport const x = {\n  ...tdp\n  id: 'x',\n};\n",
  'none.ts': 'export const a = 1;\n',
  'empty.ts': '',
  'missing.ts': "\nimport { tpd } from 'kpop';\nexport default { ...tpd, id: 'x' };\n",
  'unresolved.ts': "import a from './nowhere.ts';\nexport default a;\n",
  'throws.ts':
    "import { tdp } from 'kpop';\nexport const x = { ...tdp, id: 'x', build() {\n" +
    '  return (undefined as any).system;\n} };\n',
  'taken.ts': "export { tdp as default } from 'kpop';\n",
  'two.ts':
    "import { tdp } from 'kpop';\nexport const a = { ...tdp, id: 'a' };\n" +
    "export const b = { ...tdp, id: 'b' };\n",
  'axis.ts':
    "import { tdp } from 'kpop';\n" +
    "export const a = { ...tdp, id: 'a', axes: { x: { values: [] } } };\n",
  'hangs.ts':
    "import { tdp } from 'kpop';\nexport const a = { ...tdp, id: 'a', build(m, d, x, c) {\n" +
    '  const system = tdp.build(m, d, x, c);\n' +
    '  system.environments[0].cpu.masked = true;\n' +
    '  system.environments[0].kernel.handleFault = function* (cpu) {\n' +
    "    yield cpu.wait([4096], () => false, 'a.hang');\n  };\n  return system;\n} };\n",
  'foreign.kpt.gz': 'this is no trace\n',
  'lackey.txt': '==1== Lackey\nI  04001000,3\n',
};

beforeAll(async () => {
  main = await builtMain();
  for (const [name, text] of Object.entries(FILES)) writeFileSync(join(folder, name), text);
  const whole = readFileSync(join(ROOT, 'data/traces/gzip.kpt.gz'));
  writeFileSync(join(folder, 'cut.kpt.gz'), whole.subarray(0, 100_000));
  writeFileSync(join(folder, 'cut.kpt'), gunzipSync(whole).subarray(0, 100_000));
  mkdirSync(join(folder, 'dir.ts'));
});

afterAll(() => rmSync(folder, { recursive: true }));

const TOUCH = ['-w', 'touch:pages=4'];

/** Arguments, and what the sentence must contain. */
const cases: readonly (readonly [args: readonly string[], says: RegExp])[] = [
  [[], /name a command: list, run/],
  [['rum'], /unknown command 'rum'.*did you mean run\?/],
  [['run', 'tdp'], /--workload <w>' not specified/],
  [['run', 'tdp', ...TOUCH, '--vcpu', '1'], /unknown option '--vcpu'; did you mean --vcpus\?/],
  [['run', 'tdp', ...TOUCH, 'more'], /too many arguments/],
  [['run', 'tpd', ...TOUCH], /unknown design tpd; did you mean tdp\?/],
  [['run', 'xen', ...TOUCH], /unknown design xen; known are: tdp, shadow, nested, kpop/],
  [['run', '', ...TOUCH], /unknown design \(none given\)/],
  [['run', 'constructor', ...TOUCH], /unknown design constructor/],
  [['run', 'tdp:lokc=write', ...TOUCH], /unknown axis lokc; did you mean lock\?/],
  [['run', 'tdp:toString=write', ...TOUCH], /unknown axis toString/],
  [['run', 'tdp:lock=writ', ...TOUCH], /axis lock cannot be writ; did you mean write\?/],
  [['run', 'tdp:lock', ...TOUCH], /'lock' is not axis=value/],
  [['run', 'tdp:lock=read,lock=read', ...TOUCH], /axis lock is given twice/],
  [['run', 'tdp', '-w', 'toch'], /unknown workload toch; did you mean touch\?/],
  [['run', 'tdp', '-w', 'touch:pages=-1'], /pages cannot be -1; it is a whole number from 1/],
  [['run', 'tdp', '-w', 'touch:pages=1e3'], /pages cannot be 1e3/],
  [['run', 'tdp', '-w', 'touch:pages='], /pages has no value/],
  [['run', 'tdp', '-w', 'touch:page=1'], /unknown parameter page; did you mean pages\?/],
  [['run', 'tdp', '-w', 'touch:stride=3k'], /stride cannot be 3k, only 4k, 2m, 1g or 512g/],
  [['run', 'tdp', '-w', 'touch:stride=512g,pages=999'], /do not fit into guest memory/],
  [['run', 'tdp', '-w', 'touch:pages=9999', '--vcpus', '400'], /pages=2621 would fit/],
  [['run', 'tdp', '-w', 'munmap', '--vcpus', '60'], /at most 52 vCPUs/],
  [['run', 'tdp', ...TOUCH, '--vcpus', '0'], /--vcpus: 0 is not a whole number from 1 to 512/],
  [['run', 'tdp', ...TOUCH, '--vcpus', '100000'], /--vcpus: 100000 is not/],
  [['run', 'tdp', ...TOUCH, '--vcpus', '2.5'], /--vcpus: 2.5 is not/],
  [['run', 'tdp', '-w', 'refault', '--vcpus', '512'], /more than the 512 CPUs/],
  [['run', 'tdp', ...TOUCH, '--vcpus', '4', '--cpus', '2'], /2 CPUs are too few/],
  [['run', 'tdp', ...TOUCH, '--seed', '-3'], /--seed: -3 is not/],
  [['run', 'tdp', ...TOUCH, '--machine', 'intel-cascade-lakes'], /mean intel-cascade-lake\?/],
  [['run', 'tdp', ...TOUCH, '--l1', 'hot'], /--l1: it is warm or cold, not hot/],
  [['run', 'tdp', ...TOUCH, '--conditions', 'pages=3m'], /pages is 4k or 2m or 1g, not 3m/],
  [['run', 'tdp', ...TOUCH, '--conditions', 'apic=on'], /condition apic; did you mean apicv\?/],
  [['run', 'tdp', '--workload', 'tick', '--tick', 'off'], /workload tick counts ticks: tick=none/],
  [['run', 'tdp', '--workload', 'ipi', '--vcpus', '3'], /ipi: an even number of vCPUs, not 3/],
  [['run', 'tdp', '-w', 'cpuid', '--upper', 'absent'], /cpuid has no such condition/],
  [['compare', 'tdp', 'tdp', ...TOUCH], /design tdp is named twice/],
  [['compare', 'tdp', ...TOUCH, '--vcpus', '1,2,1'], /--vcpus: 1 is given twice/],
  [['compare', 'tdp', ...TOUCH, '--vcpus', ''], /--vcpus: nothing is not/],
  [['compare', 'tdp', ...TOUCH, '--html', 'no/such/dir.html'], /no\/such\/dir.html: cannot be/],
  [['list', 'desings'], /cannot list desings; did you mean designs\?/],
  [['schema', 'kpop.rum/1'], /did you mean kpop.run\/1\?/],
  [['run', 'tdp', '-w', 'trace'], /name a trace file: trace:<file>/],
  [['run', 'tdp', '-w', 'trace:nowhere.kpt.gz'], /nowhere.kpt.gz: cannot be read: no such file/],
  [['run', 'tdp', '-w', 'trace:foreign.kpt.gz'], /foreign.kpt.gz: byte 0: not a kpop trace/],
  [['run', 'tdp', '-w', 'trace:cut.kpt.gz'], /cut.kpt.gz: the gzip data ends too early/],
  [['run', 'tdp', '-w', 'trace:cut.kpt'], /cut.kpt: .*truncated/],
  [['run', 'tdp', '-w', 'trace:lackey.txt'], /must be converted first: kpop import lackey.txt/],
  [['run', 'tdp', '-w', 'trace:cut.kpt,time=2'], /cut.kpt,time=2: cannot be read/],
  [['run', './nowhere.ts', ...TOUCH], /nowhere.ts: no such file or folder/],
  [['run', './dir.ts', ...TOUCH], /dir.ts: it is no file/],
  [['run', './syntax.ts', ...TOUCH], /^kpop run: .\/syntax.ts:4:3: does not compile: Expected/],
  [['run', './none.ts', ...TOUCH], /none.ts: exports no design, .*: it exports a\n/],
  [['run', './empty.ts', ...TOUCH], /empty.ts: exports no design, .*: it exports nothing\n/],
  [['run', './missing.ts', ...TOUCH], /missing.ts:2: kpop exports no tpd; did you mean tdp\?/],
  [['run', './unresolved.ts', ...TOUCH], /unresolved.ts:1:\d+: does not compile: Could not/],
  [['run', './throws.ts', ...TOUCH], /throws.ts:3:\d+: TypeError: Cannot read properties/],
  [['run', './taken.ts', ...TOUCH], /taken.ts: design id tdp is that of a built-in one/],
  [['run', './two.ts', ...TOUCH], /two.ts: exports several designs \(a, b\)/],
  [['run', './axis.ts', ...TOUCH], /axis.ts: axis x needs values and a default/],
  [['run', './hangs.ts', ...TOUCH], /hangs.ts: .*came to no end: guest.0 wait for ever/],
  [['import', 'foreign.kpt.gz', '--out', 'x.kpt.gz'], /foreign.kpt.gz: neither valgrind lackey/],
  [['import', 'lackey.txt', '--filter', '0'], /--filter: 0 is not a whole number from 1/],
  [['walk', '--memory', 'foreign.kpt.gz'], /foreign.kpt.gz/],
  [['start', '--runs', '0'], /runs cannot be 0/],
];

describe('bad input: one sentence, status 2, nothing left behind', () => {
  test.each(cases.map(([args, says]) => [args.join(' '), args, says] as const))(
    'kpop %s',
    async (_, args, says) => {
      const before = readdirSync(folder).sort();
      const { status, stdout, stderr } = await ending(start(main, args, folder));
      expect(stderr).toMatch(says);
      expect(stderr).toMatch(/^kpop( \w+)?: [^\n]+\n$/);
      expect(stderr).not.toMatch(/\n\s+at |node:internal|file:\/\/|[a-z]Error: .*[a-z]Error: /);
      expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
      expect(readdirSync(folder).sort()).toEqual(before);
    },
  );
});
