/**
 * Input files as a stream of bytes: a path, a pipe or `-` for standard input, unzipped when the
 * first two bytes say gzip. Every failure is a UsageError of one sentence.
 */

import { createReadStream } from 'node:fs';
import { pipeline, Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { gzipMessage, systemMessage, UsageError } from './errors.ts';

const CHUNK_BYTES = 1 << 20;

export function isGzip(bytes: Uint8Array): boolean {
  return bytes[0] === 0x1f && bytes[1] === 0x8b;
}

/** The unzipped bytes of `file`; ends early, without an error, when `signal` is aborted. */
export async function* readInput(
  file: string,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, void> {
  const raw: Readable =
    file === '-' ? process.stdin : createReadStream(file, { highWaterMark: CHUNK_BYTES });
  const stop = (): void => {
    raw.destroy();
  };
  signal.addEventListener('abort', stop);
  let zipped = false;
  try {
    const chunks = raw.iterator({ destroyOnReturn: false }) as AsyncIterableIterator<Uint8Array>;
    const head = await takeBytes(chunks, 2);
    zipped = isGzip(head);
    const bytes = startingWith(head, chunks);
    yield* zipped ? unzip(bytes) : bytes;
  } catch (error) {
    if (signal.aborted) return;
    const message = zipped ? gzipMessage(error) : systemMessage(error);
    throw new UsageError(`${file}: cannot be read: ${message}`);
  } finally {
    signal.removeEventListener('abort', stop);
    raw.destroy();
  }
}

/** The next bytes of `chunks`: at least `count` of them, or all that are left. */
export async function takeBytes(
  chunks: AsyncIterator<Uint8Array>,
  count: number,
): Promise<Uint8Array> {
  const taken: Uint8Array[] = [];
  let length = 0;
  while (length < count) {
    const next = await chunks.next();
    if (next.done === true) break;
    taken.push(next.value);
    length += next.value.length;
  }
  return taken.length === 1 ? taken[0] : Buffer.concat(taken);
}

/** `head`, then what is left of `chunks`. */
export async function* startingWith(
  head: Uint8Array,
  chunks: AsyncIterableIterator<Uint8Array>,
): AsyncGenerator<Uint8Array, void, void> {
  if (head.length > 0) yield head;
  yield* chunks;
}

async function* unzip(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, void> {
  const gunzip = createGunzip({ chunkSize: CHUNK_BYTES });
  // An error of either end destroys both, so the loop below is where it is thrown.
  pipeline(Readable.from(bytes, { objectMode: false }), gunzip, () => {});
  for await (const chunk of gunzip) yield chunk;
}
