/**
 * Checks the import law (law.ts) and looks for cycles, over files and over rooms.
 * `--graph` prints the rooms and their imports as mermaid text instead.
 */

import { builtinModules } from 'node:module';
import { posix } from 'node:path';
import ts from 'typescript';
import { kinds, nodeBuiltins, packages, rooms } from './law.ts';
import { type Finding, isTest, lineAt, readSources, report, type SourceFile } from './source.ts';

export interface Import {
  readonly from: string;
  readonly line: number;
  /** As written in the source. */
  readonly name: string;
  /** Path of the imported file, for a relative import. */
  readonly to: string | undefined;
  /** `import type`: gone when the code runs, so it makes no cycle of files. */
  readonly typeOnly: boolean;
}

/** The statement at a file name: `import type … from './x.ts'` or `export type …`. */
const typeImport = /(?:^|\n)\s*(?:import|export)\s+type\s[^;]*$/;

/** `new URL('./worker.js', import.meta.url)` counts as an import: it names a file to load. */
const urlImport = /new URL\(\s*['"](\.[^'"]+)['"],\s*import\.meta\.url/g;

export function importsOf(source: SourceFile): Import[] {
  const { path: from, text } = source;
  const found = ts.preProcessFile(text, true, true).importedFiles.map((file) => ({
    name: file.fileName,
    at: file.pos,
  }));
  for (const match of text.matchAll(urlImport)) {
    found.push({ name: match[1]!.replace(/\.js$/, '.ts'), at: match.index });
  }
  return found.map(({ name, at }) => {
    const to = name.startsWith('.') ? posix.join(posix.dirname(from), name) : undefined;
    const typeOnly = typeImport.test(text.slice(Math.max(0, at - 2000), at));
    return { from, line: lineAt(text, at), name, to, typeOnly };
  });
}

/** 'src/machine/tlb.ts' → 'machine/tlb': how the law names it. */
function place(path: string): string {
  return path.replace(/^src\//, '').replace(/\.ts$/, '');
}

/** Does a part of src (a folder, or a file without its ending) hold this place? */
function holds(part: string, at: string): boolean {
  return part === '*' || at === part || at.startsWith(`${part}/`);
}

/** Like `holds`, for files named after the part as well: 'schedule/threads-worker'. */
function holdsFamily(part: string, at: string): boolean {
  return holds(part, at) || (part.includes('/') && at.startsWith(`${part}-`));
}

export function roomOf(path: string): (typeof rooms)[number] | undefined {
  const at = place(path);
  const matching = rooms.filter((row) => holds(row.room, at));
  return matching.sort((a, b) => b.room.length - a.room.length)[0];
}

/** The kind of MMU that a file belongs to, if it belongs to one. */
function kindOf(path: string): string | undefined {
  const at = place(path);
  if (!holds(kinds.folder, at) || at === kinds.folder) return undefined;
  return at.slice(kinds.folder.length + 1).split('/')[0];
}

function judgePackage(name: string, at: string): string | undefined {
  const bare = name.replace(/^node:/, '');
  if (name.startsWith('node:') || builtinModules.includes(bare)) {
    const allowed = nodeBuiltins.may.some((part) => holdsFamily(part, at));
    return allowed ? undefined : nodeBuiltins.why;
  }
  const row = packages.find((row) => name === row.name || name.startsWith(`${row.name}/`));
  if (row === undefined) return 'no row for this package in scripts/law.ts';
  return row.may.some((part) => holdsFamily(part, at)) ? undefined : row.why;
}

function judgeKinds(from: string, to: string): string | undefined {
  const a = kindOf(from);
  const b = kindOf(to);
  if (a === undefined || b === undefined || a === b) return undefined;
  if (a === kinds.list || kinds.shared.test(b)) return undefined;
  return kinds.why;
}

/** Why this import breaks the law; undefined if it does not. */
export function judge({ from, name, to }: Import): string | undefined {
  const row = roomOf(from);
  if (row === undefined) return 'this file lies in no room of scripts/law.ts';
  if (to === undefined) return judgePackage(name, place(from));
  if (!to.startsWith('src/')) return 'src imports only src';
  if (!to.endsWith('.ts')) return 'a relative import names its file: ./x.ts';
  if (isTest(to)) return 'a test is imported by nobody';
  const target = place(to);
  if (roomOf(to)?.room === row.room) return judgeKinds(from, to);
  const forbidden = row.never?.some((part) => holds(part, target)) ?? false;
  return !forbidden && row.may.some((part) => holds(part, target)) ? undefined : row.why;
}

/** Every cycle once: the strongly connected components with more than one member. */
export function cyclesIn(graph: ReadonlyMap<string, ReadonlySet<string>>): string[][] {
  const index = new Map<string, number>();
  const low = new Map<string, number>();
  const stack: string[] = [];
  const cycles: string[][] = [];
  const visit = (node: string): void => {
    index.set(node, index.size);
    low.set(node, index.get(node)!);
    stack.push(node);
    for (const next of graph.get(node) ?? []) {
      if (!index.has(next)) visit(next);
      if (stack.includes(next)) low.set(node, Math.min(low.get(node)!, low.get(next)!));
    }
    if (low.get(node) !== index.get(node)) return;
    const component = stack.splice(stack.indexOf(node));
    if (component.length > 1 || graph.get(node)?.has(node)) cycles.push(component.sort());
  };
  for (const node of graph.keys()) if (!index.has(node)) visit(node);
  return cycles;
}

function graphOf(imports: readonly Import[], name: (path: string) => string | undefined) {
  const graph = new Map<string, Set<string>>();
  for (const { from, to } of imports) {
    const a = name(from);
    const b = to === undefined ? undefined : name(to);
    if (a === undefined || b === undefined) continue;
    if (!graph.has(a)) graph.set(a, new Set());
    if (a !== b || from === to) graph.get(a)!.add(b);
  }
  return graph;
}

function findCycles(imports: readonly Import[]): Finding[] {
  const findings: Finding[] = [];
  const running = imports.filter((one) => !one.typeOnly);
  for (const cycle of cyclesIn(graphOf(running, (path) => path))) {
    const inCycle = (path: string | undefined) => path !== undefined && cycle.includes(path);
    const first = running.find(({ from, to }) => inCycle(from) && inCycle(to))!;
    const says = `imports ${first.name}: a cycle of files: ${cycle.join(', ')}`;
    findings.push({ path: first.from, line: first.line, says });
  }
  for (const cycle of cyclesIn(graphOf(imports, (path) => roomOf(path)?.room))) {
    const says = `a cycle of rooms: ${cycle.join(', ')}`;
    findings.push({ path: 'scripts/law.ts', line: 1, says });
  }
  return findings;
}

export function checkImports(sources: readonly SourceFile[]): Finding[] {
  const imports = sources.filter(({ path }) => !isTest(path)).flatMap(importsOf);
  const findings: Finding[] = [];
  for (const one of imports) {
    const reason = judge(one);
    if (reason === undefined) continue;
    findings.push({ path: one.from, line: one.line, says: `imports ${one.name}: ${reason}` });
  }
  for (const { path } of sources) {
    if (roomOf(path) !== undefined) continue;
    findings.push({ path, line: 1, says: 'lies in no room of scripts/law.ts' });
  }
  return [...findings, ...findCycles(imports)];
}

/** The rooms that exist and what they import, as mermaid text. */
function drawGraph(sources: readonly SourceFile[]): string {
  const imports = sources.filter(({ path }) => !isTest(path)).flatMap(importsOf);
  const graph = graphOf(imports, (path) => roomOf(path)?.room);
  const lines = ['graph TD'];
  const node = (room: string) => `${room.replace('/', '_')}["${room}"]`;
  for (const [from, targets] of [...graph].sort()) {
    for (const to of [...targets].sort()) lines.push(`  ${node(from)} --> ${node(to)}`);
  }
  return `${lines.join('\n')}\n`;
}

export function main(args: readonly string[]): number {
  const sources = readSources(['src']);
  if (args.includes('--graph')) {
    process.stdout.write(drawGraph(sources));
    return 0;
  }
  return report(checkImports(sources));
}
