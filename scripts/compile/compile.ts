/**
 * Compiles a tree as `tsc -p <config>` does, with what this folder adds: routines that go on where
 * an act was performed on the spot (`go-on.ts`), and what makes the code cheaper for V8 without a
 * word about it in the sources (`fields.ts`, `names.ts`). Code that was not compiled here (tests, a
 * user's own design) means the same and is slower: a context resumes at once what yields such an
 * act.
 *
 * usage: node scripts/run.mjs scripts/compile/compile.ts <tsconfig>
 */

import { dirname, resolve } from 'node:path';
import ts from 'typescript';
import { plainFields } from './fields.ts';
import { goOn } from './go-on.ts';
import { ownNames } from './names.ts';

/** What is added, by when it happens. */
export const additions: ts.CustomTransformers = {
  before: [goOn],
  after: [plainFields, ownNames],
};

/** Compiles what a tsconfig names; what is wrong with it, nothing if all is well. */
function compile(path: string): readonly ts.Diagnostic[] {
  const read = ts.readConfigFile(path, ts.sys.readFile);
  if (read.error !== undefined) return [read.error];
  const config = ts.parseJsonConfigFileContent(read.config, ts.sys, dirname(resolve(path)));
  // Not incremental: files that an earlier version of this program emitted would stay.
  const { tsBuildInfoFile: _, ...options } = config.options;
  const program = ts.createProgram(config.fileNames, { ...options, incremental: false });
  const wrong = [...config.errors, ...ts.getPreEmitDiagnostics(program)];
  const emitted = program.emit(undefined, undefined, undefined, false, additions);
  return [...wrong, ...emitted.diagnostics];
}

export function main(args: readonly string[]): number {
  const wrong = compile(args[0] ?? 'tsconfig.json');
  if (wrong.length === 0) return 0;
  const host = {
    getCanonicalFileName: (name: string) => name,
    getCurrentDirectory: () => process.cwd(),
    getNewLine: () => '\n',
  };
  process.stdout.write(ts.formatDiagnostics(wrong, host));
  return 1;
}
