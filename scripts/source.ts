/** What the checks share: the source files of the project, and one way to report findings. */

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** A file of the project; paths are relative to its root and written with slashes. */
export interface SourceFile {
  readonly path: string;
  readonly text: string;
}

export interface Finding {
  readonly path: string;
  /** Counted from 1. */
  readonly line: number;
  readonly says: string;
}

export const isTest = (path: string): boolean => path.endsWith('.test.ts');

function* pathsBelow(folder: string): Generator<string, void, void> {
  if (!existsSync(folder)) return;
  const entries = readdirSync(folder, { withFileTypes: true });
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory()) yield* pathsBelow(path);
    else yield path;
  }
}

/** All files below the folders whose name ends in one of the endings, tests included. */
export function readSources(
  folders: readonly string[],
  endings: readonly string[] = ['.ts'],
): SourceFile[] {
  const sources: SourceFile[] = [];
  for (const folder of folders) {
    for (const path of pathsBelow(folder)) {
      if (!endings.some((ending) => path.endsWith(ending))) continue;
      sources.push({ path, text: readFileSync(join(process.cwd(), path), 'utf8') });
    }
  }
  return sources;
}

/** The line, counted from 1, of an offset in a text. */
export function lineAt(text: string, offset: number): number {
  let line = 1;
  for (let at = text.indexOf('\n'); at >= 0 && at < offset; at = text.indexOf('\n', at + 1)) line++;
  return line;
}

/** Prints the findings, one per line, and returns the exit status they deserve. */
export function report(findings: readonly Finding[]): number {
  for (const { path, line, says } of findings) process.stdout.write(`${path}:${line} ${says}\n`);
  if (findings.length === 0) return 0;
  process.stdout.write(`${findings.length} finding${findings.length === 1 ? '' : 's'}\n`);
  return 1;
}
