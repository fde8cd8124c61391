/** Where kpop itself lies: its data, and the modules that a user's design is linked with. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder of kpop's package.json. */
export function packageRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  for (;;) {
    const manifest = join(folder, 'package.json');
    if (existsSync(manifest) && JSON.parse(readFileSync(manifest, 'utf8')).name === 'kpop') {
      return folder;
    }
    const above = dirname(folder);
    if (above === folder) throw new Error('kpop lies outside its package');
    folder = above;
  }
}

export function packageVersion(): string {
  const manifest = readFileSync(join(packageRoot(), 'package.json'), 'utf8');
  return (JSON.parse(manifest) as { version: string }).version;
}

/** The file of a recording that comes with kpop. */
export function bundledTrace(name: string): string {
  return join(packageRoot(), 'data', 'traces', `${name}.kpt.gz`);
}
