/**
 * What the entry scripts share: installing what is missing, building what is old, running programs.
 * Only node builtins here: these lines run in a fresh clone, before anything is installed.
 */

import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

export const root = dirname(dirname(fileURLToPath(import.meta.url)));
const compiler = ['scripts/run.mjs', 'scripts/compile/compile.ts'];

const say = (line) => process.stderr.write(`kpop: ${line}\n`);

/** Leaves with the given sentence and, if there is one, the output that explains it. */
export function giveUp(sentence, output = '') {
  if (output.trim() !== '') process.stderr.write(`${output.trimEnd()}\n`);
  say(sentence);
  process.exit(1);
}

/** Does node_modules hold exactly the versions that package.json pins? */
function isInstalled() {
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const wanted = { ...manifest.dependencies, ...manifest.devDependencies };
  return Object.entries(wanted).every(([name, version]) => {
    const path = join(root, 'node_modules', name, 'package.json');
    return existsSync(path) && JSON.parse(readFileSync(path, 'utf8')).version === version;
  });
}

/** Installs the locked dependencies unless they are already there. */
export function ensureInstalled() {
  if (isInstalled()) return;
  say('installing dependencies (npm ci) ...');
  const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';
  const options = { cwd: root, encoding: 'utf8', shell: process.platform === 'win32' };
  const done = spawnSync(npm, ['ci', '--ignore-scripts'], options);
  if (done.error) giveUp(`npm could not be started: ${done.error.message}`);
  if (done.status !== 0) giveUp('npm ci failed', done.stdout + done.stderr);
}

/** The newest modification below a path, folders included, so that a deletion counts too. */
function newestIn(path) {
  if (!existsSync(path)) return 0;
  const stat = statSync(path);
  if (!stat.isDirectory()) return path.endsWith('.test.ts') ? 0 : stat.mtimeMs;
  let newest = stat.mtimeMs;
  for (const name of readdirSync(path)) newest = Math.max(newest, newestIn(join(path, name)));
  return newest;
}

/** Removes compiled files whose source is gone: the compiler itself never deletes. */
function prune(outDir, sourceDir) {
  if (!existsSync(outDir)) return;
  for (const entry of readdirSync(outDir, { withFileTypes: true })) {
    const out = join(outDir, entry.name);
    if (entry.isDirectory()) {
      const source = join(sourceDir, entry.name);
      if (existsSync(source)) prune(out, source);
      else rmSync(out, { recursive: true });
      continue;
    }
    const stem = /^(.*?)(\.d\.ts|\.js|\.js\.map)$/.exec(entry.name)?.[1];
    if (stem !== undefined && !existsSync(join(sourceDir, `${stem}.ts`))) rmSync(out);
  }
}

/** One compiled tree: its compiler settings, what it reads, where it goes. */
const targets = {
  product: {
    config: 'tsconfig.json',
    inputs: ['src', 'scripts/compile'],
    outDir: 'dist',
    sourceDir: 'src',
  },
  bench: {
    config: 'tsconfig.bench.json',
    inputs: ['bench', 'src', 'scripts/compile', 'tsconfig.json'],
    outDir: 'dist-bench',
    sourceDir: '.',
  },
};

/** Compiles a tree if one of its inputs is newer than the stamp of its last good build. */
export function ensureBuilt(name, { force = false } = {}) {
  const { config, inputs, outDir, sourceDir } = targets[name];
  const stamp = join(root, outDir, '.built');
  const newest = Math.max(...[...inputs, config].map((path) => newestIn(join(root, path))));
  if (!force && existsSync(stamp) && Number(readFileSync(stamp, 'utf8')) === newest) return;
  say(`building ${outDir} ...`);
  prune(join(root, outDir), join(root, sourceDir));
  const done = spawnSync(process.execPath, [...compiler, config], {
    cwd: root,
    encoding: 'utf8',
  });
  if (done.status !== 0) giveUp('the build failed', done.stdout + done.stderr);
  writeFileSync(stamp, String(newest));
}

/**
 * Becomes the given program: it finds the arguments where it would if node had been started with
 * it. There is no child process, so every signal arrives once.
 */
export async function become(program, args) {
  const path = join(root, program);
  if (!existsSync(path)) giveUp(`${program} does not exist: the sources hold no such program`);
  process.argv = [process.execPath, path, ...args];
  await import(pathToFileURL(path).href);
}
