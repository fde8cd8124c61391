/**
 * Timed simulation: of all processors, the one whose local clock is earliest performs its act. Acts
 * take effect in the order of their times, ties by processor number, so a run is a function of its
 * inputs. Between two acts a processor may run ahead privately up to its horizon: the earliest time
 * at which any other processor could reach it with an interrupt.
 */
import type { Context } from '../runtime/context.ts';
import { type Engine, Outcome, type Processor } from '../runtime/processor.ts';
import { Queue } from './queue.ts';

/** Names of this module are constants to the compiler; those of another are looked up each time. */
const BLOCKED = Outcome.blocked;

export interface TimedResult {
  /** Acts performed. */
  readonly steps: number;
  /** Latest local clock of any processor that did something, in cycles. */
  readonly cycles: number;
  /** Names of contexts that wait for something that will never happen. */
  readonly stuck: readonly string[];
}

export function runTimed(engine: Engine): TimedResult {
  const queue = new Queue(engine.processors.length);
  const blocked = new Set<Processor>();
  engine.onWake((processor, cycle) => {
    // A processor that runs or is queued will see the interrupt by itself.
    if (!blocked.has(processor) && processor.current !== undefined) return;
    queue.push(processor.id, Math.max(cycle, processor.now));
  });
  for (const p of engine.processors) if (p.current !== undefined) queue.push(p.id, p.now);

  let steps = 0;
  let cycles = 0;
  while (queue.size > 0) {
    const time = queue.earliest;
    const processor = engine.processors[queue.pop()]!;
    if (blocked.size !== 0) blocked.delete(processor);
    if (time > processor.now) processor.now = time; // it may have been blocked or idle
    steps += runUntilLater(engine, processor, queue, blocked);
    if (processor.now > cycles) cycles = processor.now;
  }
  const stuck = [...blocked].flatMap((p) => (p.current === undefined ? [] : [p.current.name]));
  return { steps, cycles, stuck };
}

/** Its act waits to be performed. */
function hasOffered(context: Context): boolean {
  return context.top.state === 'offered';
}

/** Runs one processor until another is earlier, or it blocks or ends. Returns acts performed. */
function runUntilLater(
  engine: Engine,
  processor: Processor,
  queue: Queue,
  blocked: Set<Processor>,
): number {
  let steps = 0;
  for (;;) {
    const { now, interruptAt, current } = processor;
    if (interruptAt <= now) {
      engine.interrupt(processor);
      continue;
    }
    if (current === undefined) {
      if (interruptAt < Number.POSITIVE_INFINITY) queue.push(processor.id, interruptAt);
      return steps;
    }
    const { earliest } = queue;
    if (!hasOffered(current)) {
      const ahead = earliest + engine.lookahead;
      processor.horizon = ahead < interruptAt ? ahead : interruptAt;
      current.advance();
      if (current.finished) engine.finished(processor, current);
      else if (interruptAt <= processor.now) continue;
      if (processor.current !== current || !hasOffered(current)) continue;
    }
    if (processor.now >= earliest) {
      if (processor.now > earliest || queue.first < processor.id) {
        queue.park(processor.id, processor.now);
        return steps;
      }
    }
    steps++;
    if (engine.perform(processor) === BLOCKED) {
      blocked.add(processor);
      if (processor.interruptAt < Number.POSITIVE_INFINITY) {
        queue.push(processor.id, Math.max(processor.interruptAt, processor.now));
      }
      return steps;
    }
  }
}
