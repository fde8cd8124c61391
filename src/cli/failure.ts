/**
 * What went wrong, as exit status and one sentence (DESIGN.md section 5), in a form that also
 * travels between threads. KPOP_STACK=1 shows the stack of a defect to whoever works on kpop.
 */
import { Defect, Violation } from '../base/assert.ts';
import { BadInput } from '../base/bad-input.ts';
import { TraceError } from '../workload/trace/page-trace.ts';
import { UsageError } from './errors.ts';

export const Status = {
  done: 0,
  violated: 1,
  badInput: 2,
  /** The budget ended before an answer. */
  unfinished: 3,
  defect: 70,
  interrupted: 130,
} as const;

export interface Failure {
  readonly status: number;
  readonly sentence: string;
  readonly stack: string;
}

export class FailureError extends Error {
  override readonly name = 'FailureError';
  readonly failure: Failure;

  constructor(failure: Failure) {
    super(failure.sentence);
    this.failure = failure;
  }
}

export function failureOf(error: unknown): Failure {
  if (error instanceof FailureError) return error.failure;
  const stack = error instanceof Error ? (error.stack ?? '') : '';
  const message = oneLine(error instanceof Error ? error.message : String(error));
  if (error instanceof BadInput || error instanceof UsageError || error instanceof TraceError) {
    return { status: Status.badInput, sentence: message, stack };
  }
  if (error instanceof Violation) {
    const sentence = `violation of ${error.promise}: ${message}`;
    return { status: Status.violated, sentence, stack };
  }
  if (isOutOfMemory(error)) {
    const sentence = 'the simulation needs more memory than there is: take fewer vCPUs or pages';
    return { status: Status.badInput, sentence, stack };
  }
  const what = error instanceof Defect ? message : `${nameOf(error)}: ${message}`;
  return { status: Status.defect, sentence: `defect of kpop itself: ${what}`, stack };
}

function isOutOfMemory(error: unknown): boolean {
  const { code, message } = error as { code?: unknown; message?: unknown };
  if (code === 'ERR_WORKER_OUT_OF_MEMORY') return true;
  return error instanceof RangeError && /allocation|typed array length/i.test(String(message));
}

function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : typeof error;
}

function oneLine(text: string): string {
  return text.trim().replace(/\s*\n\s*/g, '; ');
}
