/**
 * What an operation does, apart from how: a pure function from an abstract state and arguments to
 * the next state and a result. No words, no locks, no TLBs.
 *
 * An operation that promises one moment has one step. One that promises a moment per page (UNMAP of
 * a range) has several, which others may come between; `at` says where it stands. Where more than
 * one step is allowed any of them may be taken.
 */
import type { View } from '../invariant/view.ts';

/** An operation as its caller sees it. */
export interface Call {
  readonly operation: string;
  readonly args: readonly number[];
}

export interface Step<S> {
  readonly state: S;
  /** Where the operation stands then; a string: it has ended, with this result. */
  readonly at: number | string;
}

export interface Specification<S> {
  /** Operations that it has something to say about. */
  readonly operations: readonly string[];
  /** What an operation that stands `at` may do next; it begins at 0. None: it has to wait. */
  steps(state: S, call: Call, at: number): readonly Step<S>[];
  /** Without what words never tell; equal for a state and the abstract state of its words. */
  visible(state: S): S;
  /** `before`, without what may cease at any moment by itself and has ceased in `after`. */
  ceased(before: S, after: S): S;
  /** Equal states have equal keys. */
  key(state: S): string;
  /** `map(page 0x1, L1 page 0x2, epoch 0)`. */
  describe(call: Call): string;
  /** What is different in `after`, in words. */
  difference(before: S, after: S): string;
}

/** A specification, and what words mean to it. */
export interface Oracle<S> {
  readonly specification: Specification<S>;
  /** Operations that are done at moments which words do not tell: accesses of guests. */
  readonly wordless: readonly string[];
  /**
   * The abstract state of the words. What somebody is changing under a lock is as it was `before`;
   * `released` is the label of the act just performed: where a lock is handed on in the very act
   * that releases it, only the label says that there was a release.
   */
  abstraction(view: View, before: S | undefined, released: string): S;
}
