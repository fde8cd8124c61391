/**
 * A user's own design file: TypeScript or JavaScript that exports a design. It is bundled in memory
 * and linked with this kpop, so nothing is written and `import … from 'kpop'` needs no
 * installation. Types are stripped, not checked. It is code: whoever runs it trusts it.
 */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { SourceMap, type SourceMapPayload } from 'node:module';
import { relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type Message, type Plugin } from 'esbuild';
import { nearest } from '../base/nearest.ts';
import { type Choice, chooseAxes, explorable } from '../design/index.ts';
import type { Axis, Design } from '../design/system.ts';
import * as kpop from '../index.ts';
import { UsageError } from './errors.ts';

/** A bundled design file: what threads pass to each other. */
export interface UserBundle {
  /** The path as it was given. */
  readonly file: string;
  readonly code: string;
  readonly map: string;
}

const SCHEME = 'data:text/javascript;base64,';

/** Whether the text names a file rather than a built-in design. */
export function isDesignFile(text: string): boolean {
  return /[/\\]/.test(text) || /\.[cm]?[jt]s(:|$)/.test(text);
}

/** The path, and the axes after it if there are any. */
export function splitDesignFile(text: string): { file: string; axes: string | undefined } {
  const match = /^(.*\.[cm]?[jt]s)(?::(.*))?$/.exec(text);
  return { file: match?.[1] ?? text, axes: match?.[2] };
}

export async function bundleDesign(file: string): Promise<UserBundle> {
  if (!existsSync(file)) throw new UsageError(`${file}: no such file or folder`);
  if (!statSync(file).isFile()) throw new UsageError(`${file}: it is no file`);
  try {
    const { outputFiles } = await build({
      entryPoints: [resolve(file)],
      bundle: true,
      platform: 'node',
      format: 'esm',
      target: 'node20',
      sourcemap: 'external',
      sourcesContent: false,
      outfile: resolve('design.mjs'), // named, never written
      write: false,
      logLevel: 'silent',
      plugins: [ownKpop],
    });
    const text = (end: string): string => outputFiles.find((out) => out.path.endsWith(end))!.text;
    return { file, code: text('.mjs'), map: text('.map') };
  } catch (error) {
    const [first] = (error as { errors?: Message[] }).errors ?? [];
    if (first === undefined) throw error;
    throw new UsageError(`${placeOf(first, file)}: does not compile: ${first.text}`);
  }
}

/** `kpop` is the kpop that runs: both sides must mean the same classes. */
const ownKpop: Plugin = {
  name: 'own-kpop',
  setup(bundler): void {
    const path = new URL('../index.js', import.meta.url).href;
    bundler.onResolve({ filter: /^kpop$/ }, () => ({ path, external: true }));
  },
};

function placeOf({ location }: Message, file: string): string {
  if (location === null || location === undefined) return file;
  return `${told(resolve(location.file), file)}:${location.line}:${location.column + 1}`;
}

/** The user's own spelling for the file given, else a path from here. */
function told(path: string, file: string): string {
  return path === resolve(file) ? file : relative(process.cwd(), path);
}

/** Runs the file's code and takes the design that it exports. */
export async function loadDesign(bundle: UserBundle, axes: string | undefined): Promise<Choice> {
  let exported: Record<string, unknown>;
  try {
    const url = SCHEME + Buffer.from(bundle.code).toString('base64');
    exported = (await import(url)) as Record<string, unknown>;
  } catch (error) {
    throw inDesign(bundle, error);
  }
  return chooseAxes(pick(bundle.file, exported), axes);
}

function pick(file: string, exported: Record<string, unknown>): Design {
  const named = Object.entries(exported).filter(([, value]) => looksLikeDesign(value));
  const chosen = ['default', 'design'].find((name) => looksLikeDesign(exported[name]));
  if (chosen !== undefined) return complete(file, exported[chosen]);
  if (named.length === 1) return complete(file, named[0]![1]);
  if (named.length > 1) {
    const names = named.map(([name]) => name).join(', ');
    throw new UsageError(`${file}: exports several designs (${names}): make one the default`);
  }
  const names = Object.keys(exported);
  const has = names.length === 0 ? 'it exports nothing' : `it exports ${names.join(', ')}`;
  throw new UsageError(`${file}: exports no design, an object with id, axes and build: ${has}`);
}

function looksLikeDesign(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const { id, build: builds, axes } = value as Record<string, unknown>;
  return typeof id === 'string' && typeof builds === 'function' && typeof axes === 'object';
}

/** Fills in what a JavaScript file may have left out; refuses what could not be told apart. */
function complete(file: string, value: unknown): Design {
  const design = value as Design;
  if (!/^[\w.-]+$/.test(design.id)) {
    throw new UsageError(`${file}: design id '${design.id}' is not made of letters, digits, . _ -`);
  }
  if (explorable.some((known) => known.id === design.id)) {
    throw new UsageError(`${file}: design id ${design.id} is that of a built-in one: take another`);
  }
  for (const [name, axis] of Object.entries(design.axes ?? {})) checkAxis(file, name, axis);
  return {
    ...design,
    axes: design.axes ?? {},
    title: design.title ?? design.id,
    source: design.source ?? file,
    leavesOut: design.leavesOut ?? [],
    isolates: design.isolates ?? '',
  };
}

function checkAxis(file: string, name: string, axis: Axis): void {
  if (Array.isArray(axis?.values) && axis.values.includes(axis.default)) return;
  throw new UsageError(`${file}: axis ${name} needs values and a default that is one of them`);
}

/** An error thrown by the user's code, or below it, as a sentence that names file and line. */
export function inDesign(bundle: UserBundle, error: unknown): UsageError {
  const message = error instanceof Error ? error.message.replace(/\s*\n\s*/g, '; ') : String(error);
  const missing = /does not provide an export named '([^']+)'/.exec(message)?.[1];
  if (missing !== undefined) {
    const near = nearest(missing, Object.keys(kpop));
    const hint = near === undefined ? '' : `; did you mean ${near}?`;
    return new UsageError(`${lineWith(bundle.file, missing)}: kpop exports no ${missing}${hint}`);
  }
  const name = error instanceof Error && error.name !== 'Error' ? `${error.name}: ` : '';
  return new UsageError(`${whereIn(bundle, error) ?? bundle.file}: ${name}${message}`);
}

/** The file, with the line that names `word` first if there is one. */
function lineWith(file: string, word: string): string {
  const lines = readFileSync(file, 'utf8').split('\n');
  const at = lines.findIndex((line) => new RegExp(`\\b${word}\\b`).test(line));
  return at < 0 ? file : `${file}:${at + 1}`;
}

/** The innermost frame of the error's stack that lies in the user's sources. */
function whereIn(bundle: UserBundle, error: unknown): string | undefined {
  const stack = error instanceof Error ? (error.stack ?? '') : '';
  const frame = /data:text\/javascript[^\s)]*?:(\d+):(\d+)\)?$/m.exec(stack);
  if (frame === null) return undefined;
  const map = new SourceMap(JSON.parse(bundle.map) as SourceMapPayload);
  const entry = map.findEntry(Number(frame[1]) - 1, Number(frame[2]) - 1);
  if (!('originalLine' in entry)) return undefined;
  const source = entry.originalSource;
  const path = source.startsWith('file:') ? fileURLToPath(source) : resolve(source);
  return `${told(path, bundle.file)}:${entry.originalLine + 1}:${entry.originalColumn + 1}`;
}
