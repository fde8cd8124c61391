/**
 * What a scheduler drives: processors with a local clock and a current context, and an engine that
 * performs offered acts. Schedulers know nothing of pages or hypervisors; they only decide which
 * processor goes next.
 */
import type { Context } from './context.ts';

export class Processor {
  readonly id: number;
  /** Local clock in cycles. Never ahead of another processor's by more than a private stretch. */
  now = 0;
  /** Private accesses may run up to here: nobody can reach this processor earlier. */
  horizon = 0;
  /** Before this cycle no other processor acts: its own acts need not wait for their turn. */
  until = Number.NEGATIVE_INFINITY;
  /** Times that it went on after others may have acted. */
  turns = 0;
  /** Acts performed on the spot since the scheduler counted them last. */
  performed = 0;
  /** Arrival of the earliest pending interrupt; Infinity if none. */
  interruptAt = Number.POSITIVE_INFINITY;
  /** The context whose code runs: the host thread, or the guest it entered. */
  current: Context | undefined;

  constructor(id: number) {
    this.id = id;
  }
}

/** What became of an act that an engine was asked to perform. */
export const Outcome = {
  /** Performed, or control went elsewhere on this processor: look at `current` again. */
  advanced: 0,
  /** A wait that does not hold yet: the engine wakes the processor when it may. */
  blocked: 1,
} as const;

export interface Engine {
  readonly processors: readonly Processor[];
  /** No act of one processor reaches another sooner than this many cycles (an IPI's flight). */
  readonly lookahead: number;
  /** Performs the offered act of `current` at `now`, and moves `now` by its price. */
  perform(processor: Processor): number;
  /** Takes the pending interrupt if it may be taken now; false if it stays pending. */
  interrupt(processor: Processor): boolean;
  /** The last frame of `context` returned; decides what runs next on its processor. */
  finished(processor: Processor, context: Context): void;
  /** Where to announce that a blocked processor may go on from `cycle`. */
  onWake(wake: (processor: Processor, cycle: number) => void): void;
}
