/**
 * `npm run vendor-lines`: writes docs/vendor-lines.md, how many lines of each design's hypervisors
 * are for one vendor's processors. A line is one of code: comments and empty lines do not count.
 * The hypervisors of a design are what its file imports, directly or not, of the rooms below.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import ts from 'typescript';
import { importsOf } from './imports.ts';
import { isTest, readSources, type SourceFile } from './source.ts';

const FILE = 'docs/vendor-lines.md';
const ROOMS = ['src/hypervisor/', 'src/guest/l1/'];
const DESIGNS = ['tdp', 'nested', 'kpop'];

/** Files that know one vendor's processors; all others must not. */
export const OF_VENDOR: Readonly<Record<'intel' | 'amd', readonly string[]>> = {
  intel: [
    'src/hypervisor/virt/vmx.ts',
    'src/hypervisor/virt/vmx-flat.ts',
    'src/hypervisor/pml.ts',
    'src/hypervisor/nested/vmx.ts',
    'src/hypervisor/nested/fields.ts',
    'src/hypervisor/nested/reflect.ts',
  ],
  amd: ['src/hypervisor/virt/svm.ts', 'src/hypervisor/nested/svm.ts'],
};
/** What only those files may name: control blocks, exit reasons, virtualisation instructions. */
const WORDS = new RegExp(
  `\\b(${[
    ['Field', 'Vmcb', 'ExitReason', 'SvmExit'],
    ['vmread', 'vmwrite', 'vmptrld', 'invept', 'inveptAll', 'invvpid', 'vmrun', 'vmload'],
  ]
    .flat()
    .join('|')})\\b`,
);

/** Lines with code on them. */
export function codeLines(text: string): number {
  const scanner = ts.createScanner(ts.ScriptTarget.ES2023, true, ts.LanguageVariant.Standard, text);
  const starts = ts.createSourceFile('x.ts', text, ts.ScriptTarget.ES2023).getLineStarts();
  const lines = new Set<number>();
  let line = 0;
  const mark = (at: number): void => {
    while (line + 1 < starts.length && starts[line + 1]! <= at) line++;
    lines.add(line);
  };
  while (scanner.scan() !== ts.SyntaxKind.EndOfFileToken) mark(scanner.getTokenStart());
  return lines.size;
}

function closureOf(path: string, sources: ReadonlyMap<string, SourceFile>): SourceFile[] {
  const reached = new Map<string, SourceFile>();
  const visit = (at: string): void => {
    const source = sources.get(at);
    if (source === undefined || reached.has(at)) return;
    reached.set(at, source);
    for (const { to } of importsOf(source)) if (to !== undefined) visit(to);
  };
  visit(path);
  const isOf = (file: string): boolean => ROOMS.some((room) => file.startsWith(room));
  return [...reached.values()].filter(({ path: file }) => isOf(file));
}

export interface Count {
  readonly design: string;
  readonly common: number;
  readonly intel: number;
  readonly amd: number;
  /** Common files that name what only a vendor's may. */
  readonly astray: readonly string[];
}

export function countVendorLines(): Count[] {
  const all = readSources(['src']).filter(({ path }) => !isTest(path));
  const sources = new Map(all.map((source) => [source.path, source]));
  return DESIGNS.map((design) => {
    const files = closureOf(`src/design/${design}.ts`, sources);
    const sum = (some: readonly SourceFile[]): number =>
      some.reduce((lines, { text }) => lines + codeLines(text), 0);
    const of = (vendor: 'intel' | 'amd') => ({
      files: files.filter(({ path }) => OF_VENDOR[vendor].includes(path)),
    });
    const [intel, amd] = [of('intel').files, of('amd').files];
    const common = files.filter((file) => !intel.includes(file) && !amd.includes(file));
    const astray = common.filter(({ text }) => WORDS.test(withoutComments(text)));
    return {
      design,
      common: sum(common),
      intel: sum(intel),
      amd: sum(amd),
      astray: astray.map(({ path }) => path),
    };
  });
}

function withoutComments(text: string): string {
  return text.replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*|'[^'\n]*'/g, '');
}

export function vendorLinesText(): string {
  const rows = countVendorLines().map(
    ({ design, common, intel, amd }) => `| \`${design}\` | ${common} | ${intel} | ${amd} |`,
  );
  return [
    '# Lines for one vendor’s processors',
    '',
    'Lines of code of the hypervisors of a design, L0 and L1 together, written by',
    '`npm run vendor-lines`; a test holds the columns of vendors to the sources, and the common',
    'one to a fifth. Common lines name no control block, no exit reason and no virtualisation',
    'instruction. `kpop` emulates none for its guest: what it has for a vendor is what `tdp` has.',
    '`nested` emulates one more for each vendor.',
    '',
    '| design | common | Intel: VMX | AMD: SVM |',
    '|---|---|---|---|',
    ...rows,
    '',
    'Formats of tables, control blocks and what instructions do are the machine’s',
    '(`src/machine`) and not counted.',
    '',
  ].join('\n');
}

export function main(args: readonly string[]): number {
  const text = vendorLinesText();
  if (!args.includes('--check')) {
    writeFileSync(FILE, text);
    return 0;
  }
  return readFileSync(FILE, 'utf8') === text ? 0 : 1;
}
