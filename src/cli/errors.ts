/** What the command line answers for: bad usage or bad input, as opposed to a fault of kpop. */

/** One clear sentence for stderr; the process ends with status 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** The sentence of an operating system error, without its code and path. */
export function systemMessage(error: unknown): string {
  const code = (error as { code?: unknown }).code;
  const known: Readonly<Record<string, string>> = {
    ENOENT: 'no such file or folder',
    EISDIR: 'it is a folder',
    ENOTDIR: 'a part of the path is not a folder',
    EACCES: 'permission denied',
    EPERM: 'permission denied',
    EROFS: 'the file system is read-only',
    ENOSPC: 'no space is left',
  };
  if (typeof code === 'string' && code in known) return known[code];
  return error instanceof Error ? error.message : String(error);
}

/** The sentence for an error of node:zlib while reading gzip. */
export function gzipMessage(error: unknown): string {
  const { code } = error as { code?: unknown };
  if (code === 'Z_BUF_ERROR') return 'the gzip data ends too early (truncated?)';
  if (code === 'Z_DATA_ERROR') return 'the gzip data is damaged';
  if (code === 'ERR_BUFFER_TOO_LARGE') return 'the unzipped data is too large to load';
  return systemMessage(error);
}
