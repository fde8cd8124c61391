/**
 * The command line as a program of its own: bundled from src into the cache of node_modules once
 * for each state of the sources, so that tests need no build and never use an old one.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

export interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Path of the bundled main.js. */
export async function builtMain(): Promise<string> {
  const threads = ['src/cli/worker.ts', 'src/cli/check-worker.ts'];
  const entries = ['src/cli/main.ts', ...threads, 'src/index.ts'];
  const { outputFiles } = await build({
    entryPoints: entries.map((entry) => join(ROOT, entry)),
    outbase: join(ROOT, 'src'),
    outdir: join(ROOT, 'built'), // named, never written
    bundle: true,
    splitting: true,
    chunkNames: 'cli/[name]-[hash]',
    packages: 'external',
    platform: 'node',
    format: 'esm',
    target: 'node20',
    write: false,
    logLevel: 'error',
  });
  const hash = createHash('sha256');
  for (const { path, contents } of outputFiles) hash.update(path).update(contents);
  const folder = join(ROOT, 'node_modules/.cache/kpop', `cli-${hash.digest('hex').slice(0, 16)}`);
  const main = join(folder, 'cli', 'main.js');
  if (existsSync(main)) return main;
  const part = `${folder}.${process.pid}`;
  mkdirSync(join(part, 'cli'), { recursive: true });
  for (const { path, contents } of outputFiles) {
    writeFileSync(join(part, path.slice(join(ROOT, 'built').length)), contents);
  }
  try {
    renameSync(part, folder);
  } catch {
    rmSync(part, { recursive: true }); // another test file was faster
  }
  return main;
}

/** Starts kpop with `args` in folder `cwd`. */
export function start(main: string, args: readonly string[], cwd: string): ChildProcess {
  const env = { ...process.env, NO_COLOR: '1' };
  return spawn(process.execPath, [main, ...args], { cwd, env });
}

export function ending(child: ChildProcess): Promise<Ended> {
  let stdout = '';
  let stderr = '';
  child.stdout?.on('data', (chunk: Buffer) => {
    stdout += chunk.toString();
  });
  child.stderr?.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  return new Promise((resolve) => {
    child.on('close', (status) => resolve({ status, stdout, stderr }));
  });
}
