/**
 * Trace files on disk: loading one for a `trace:<file>` workload, and writing one so that the
 * file is either whole or absent. The bytes inside the gzip are workload/trace/format.ts's.
 */

import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { constants, gunzipSync, gzipSync } from 'node:zlib';
import { decodeTrace, encodeTrace } from '../workload/trace/format.ts';
import { type PageTrace, TraceError } from '../workload/trace/page-trace.ts';
import { sniffTrace } from '../workload/trace/sniff.ts';
import { gzipMessage, systemMessage, UsageError } from './errors.ts';
import { isGzip } from './input.ts';

/** The trace in the file at `path`, gzipped or not; UsageError if it is anything else. */
export function loadTrace(path: string): PageTrace {
  const bytes = unzip(path, readWhole(path));
  const kind = sniffTrace(bytes);
  if (kind !== null && kind !== 'trace') {
    throw new UsageError(`${path}: text that must be converted first: kpop import ${path}`);
  }
  try {
    return decodeTrace(bytes);
  } catch (error) {
    throw inFile(path, error);
  }
}

/** Writes `trace` to `path` by way of a file beside it; returns the size in bytes. */
export function saveTrace(path: string, trace: PageTrace): number {
  const bytes = gzipSync(encodeTrace(trace), { level: constants.Z_BEST_COMPRESSION });
  // Synchronous from here on: a signal handler in this process runs before or after, not between.
  const part = join(dirname(path), `.${basename(path)}.${process.pid}.part`);
  try {
    writeFileSync(part, bytes);
    renameSync(part, path);
  } catch (error) {
    rmSync(part, { force: true });
    throw new UsageError(`${path}: cannot be written: ${systemMessage(error)}`);
  }
  return bytes.length;
}

/** A TraceError about the contents of `path` as a UsageError; any other error as it is. */
export function inFile(path: string, error: unknown): unknown {
  return error instanceof TraceError ? new UsageError(`${path}: ${error.message}`) : error;
}

function readWhole(path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new UsageError(`${path}: cannot be read: ${systemMessage(error)}`);
  }
}

function unzip(path: string, bytes: Uint8Array): Uint8Array {
  if (!isGzip(bytes)) return bytes;
  try {
    return gunzipSync(bytes);
  } catch (error) {
    throw new UsageError(`${path}: ${gzipMessage(error)}`);
  }
}
