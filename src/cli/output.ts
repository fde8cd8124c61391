/** Output files that are either whole or absent, and a standard output that may be closed early. */
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { systemMessage, UsageError } from './errors.ts';

/** Writes `text` to `path` by way of a file beside it. */
export function writeWhole(path: string, text: string): void {
  const part = join(dirname(path), `.${basename(path)}.${process.pid}.part`);
  try {
    writeFileSync(part, text);
    renameSync(part, path);
  } catch (error) {
    rmSync(part, { force: true });
    throw new UsageError(`${path}: cannot be written: ${systemMessage(error)}`);
  }
}

/** Refuses a path that cannot be written, before hours of work rather than after them. */
export function checkWritable(path: string): void {
  const probe = join(dirname(path), `.${basename(path)}.${process.pid}.part`);
  try {
    writeFileSync(probe, '');
  } catch (error) {
    throw new UsageError(`${path}: cannot be written: ${systemMessage(error)}`);
  } finally {
    rmSync(probe, { force: true });
  }
}

export function makeFolder(path: string): void {
  try {
    mkdirSync(path, { recursive: true });
  } catch (error) {
    throw new UsageError(`${path}: cannot be made: ${systemMessage(error)}`);
  }
}

export function print(text: string): void {
  process.stdout.write(text);
}

export function printJson(document: unknown): void {
  process.stdout.write(`${JSON.stringify(document, null, 1)}\n`);
}

/** `kpop list | head` is no error. */
export function survivePipes(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
}
