/**
 * Runs a TypeScript script on any supported Node: `node scripts/run.mjs scripts/tidy.ts [args]`.
 * The script is bundled into a cache file named by its content, imported, and its exported
 * `main(args)` returns the exit status.
 */

import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { root } from './tools.mjs';

const [script, ...args] = process.argv.slice(2);
if (script === undefined) {
  process.stderr.write('usage: node scripts/run.mjs <script.ts> [arguments]\n');
  process.exit(2);
}

const bundle = await build({
  entryPoints: [resolve(script)],
  bundle: true,
  packages: 'external',
  platform: 'node',
  format: 'esm',
  target: 'node20',
  sourcemap: 'inline',
  write: false,
  logLevel: 'error',
});
const text = bundle.outputFiles[0].text;
const hash = createHash('sha256').update(text).digest('hex').slice(0, 16);
const cache = join(root, 'node_modules', '.cache', 'kpop');
const file = join(cache, `${basename(script, '.ts')}-${hash}.mjs`);
if (!existsSync(file)) {
  mkdirSync(cache, { recursive: true });
  writeFileSync(`${file}.${process.pid}`, text);
  renameSync(`${file}.${process.pid}`, file);
}
const { main } = await import(pathToFileURL(file).href);
process.exitCode = (await main(args)) ?? 0;
