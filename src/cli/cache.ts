/**
 * Outcomes that need no second run: kept in files named by the hash of all that they depend on. A
 * cache that cannot be read or written is none; nothing fails because of it.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** `KPOP_CACHE` names another folder, or `off`. */
function folder(): string | undefined {
  const { KPOP_CACHE: own, XDG_CACHE_HOME: users } = process.env;
  if (own === 'off') return undefined;
  return own ?? join(users ?? join(homedir(), '.cache'), 'kpop');
}

export class Cache<T> {
  readonly #folder: string | undefined;

  /** `kind`: what is kept, a folder of its own. */
  constructor(kind: string) {
    const base = folder();
    this.#folder = base === undefined ? undefined : join(base, kind);
  }

  find(key: string): T | undefined {
    if (this.#folder === undefined) return undefined;
    try {
      return JSON.parse(readFileSync(join(this.#folder, `${key}.json`), 'utf8')) as T;
    } catch {
      return undefined;
    }
  }

  keep(key: string, value: T): void {
    if (this.#folder === undefined) return;
    const file = join(this.#folder, `${key}.json`);
    try {
      mkdirSync(this.#folder, { recursive: true });
      writeFileSync(`${file}.${process.pid}`, JSON.stringify(value));
      renameSync(`${file}.${process.pid}`, file);
    } catch {
      // a full or read-only disk: the next run looks again
    }
  }
}

/** A hash in hexadecimal digits. */
export function hashOf(parts: readonly string[]): string {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(`${part.length}:`).update(part);
  return hash.digest('hex').slice(0, 32);
}

/** Short hash of the code that is explored, as schedules carry it. */
export function codeHash(program: string, own: string | undefined): string {
  return hashOf([program, own ?? '']).slice(0, 12);
}

/** Hash of the program that runs: every file of it below the folder that holds `cli`. */
export function hashOfProgram(): string {
  const root = dirname(dirname(fileURLToPath(import.meta.url)));
  const parts: string[] = [];
  const visit = (path: string): void => {
    for (const name of readdirSync(path).sort()) {
      const below = join(path, name);
      if (statSync(below).isDirectory()) visit(below);
      else if (name.endsWith('.js'))
        parts.push(below.slice(root.length), readFileSync(below, 'utf8'));
    }
  };
  visit(root);
  return hashOf(parts);
}
