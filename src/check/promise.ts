/**
 * Promises about states. A promise is a sentence; a broken one is a sentence that names the page
 * and the two values that disagree.
 */
import type { View } from './invariant/view.ts';

export interface Released {
  readonly lock: number;
  /** Whether the lock's word says that somebody holds it. */
  readonly isHeld: (view: View) => boolean;
  readonly holds: (view: View) => string | undefined;
}

export interface StatePromise {
  /** `tdp.backing`; what reports and suites name it by. */
  readonly id: string;
  /** What holds, in one sentence. */
  readonly title: string;
  /** The invariant of the primer, or the manual, that it states. */
  readonly source: string;
  /** In every state, whoever is in the middle of what; undefined if it holds. */
  readonly always?: (view: View) => string | undefined;
  /** Whenever the lock whose word lies at `lock` was released, and no CPU holds any. */
  readonly released?: Released;
  /** Once all code has ended; empty if it holds. */
  readonly atRest?: (view: View) => readonly string[];
}

/** A pool of frames, as a checker needs it. */
export interface FramePool {
  readonly name: string;
  covers(frame: number): boolean;
  isFree(view: View, frame: number): boolean;
  /** Address of the word that is written whenever the frame is given back. */
  linkAt(frame: number): number;
}
