/**
 * Timed simulation: of all processors, the one whose local clock is earliest performs its act. Acts
 * take effect in the order of their times, ties by processor number, so a run is a function of its
 * inputs. Between two acts a processor may run ahead privately up to its horizon: the earliest time
 * at which any other processor could reach it with an interrupt.
 */
import { type Engine, Outcome, type Processor } from '../runtime/processor.ts';
import { Queue } from './queue.ts';

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

/** Runs one processor until another is earlier, or it blocks or ends. Returns acts performed. */
function runUntilLater(
  engine: Engine,
  processor: Processor,
  queue: Queue,
  blocked: Set<Processor>,
): number {
  let steps = 0;
  for (;;) {
    if (processor.interruptAt <= processor.now) {
      engine.interrupt(processor);
      continue;
    }
    const context = processor.current;
    if (context === undefined) {
      if (processor.interruptAt < Number.POSITIVE_INFINITY) {
        queue.push(processor.id, processor.interruptAt);
      }
      return steps;
    }
    if (context.top.state === 'offered') {
      const earliest = queue.earliest;
      if (processor.now > earliest || (processor.now === earliest && queue.first < processor.id)) {
        queue.park(processor.id, processor.now);
        return steps;
      }
      steps++;
      if (engine.perform(processor) === Outcome.blocked) {
        blocked.add(processor);
        if (processor.interruptAt < Number.POSITIVE_INFINITY) {
          queue.push(processor.id, Math.max(processor.interruptAt, processor.now));
        }
        return steps;
      }
    } else {
      const ahead = queue.earliest + engine.lookahead;
      processor.horizon = ahead < processor.interruptAt ? ahead : processor.interruptAt;
      context.advance();
      if (context.finished) engine.finished(processor, context);
    }
  }
}
