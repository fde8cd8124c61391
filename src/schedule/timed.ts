/**
 * Timed simulation: of all processors, the one whose local clock is earliest performs its act. Acts
 * take effect in the order of their times, ties by processor number, so a run is a function of its
 * inputs. Between two acts a processor may run ahead privately up to its horizon: the earliest time
 * at which any other processor could reach it with an interrupt.
 *
 * While a processor is the earliest anyway, its acts are performed where its code offers them and
 * the code goes on (`OnTheSpot`): the same acts at the same times, without a round through here.
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

/** `in turn`: every act comes through the scheduler; the same run, for who wants to watch it. */
export type Acting = 'on the spot' | 'in turn';

export function runTimed(engine: Engine, acting: Acting = 'on the spot'): TimedResult {
  const queue = new Queue(engine.processors.length);
  const blocked = new Set<Processor>();
  const isOnTheSpot = acting === 'on the spot';
  let running: Processor | undefined;
  engine.onWake((processor, cycle) => {
    // A processor that runs or is queued will see the interrupt by itself.
    if (!blocked.has(processor) && processor.current !== undefined) return;
    queue.push(processor.id, Math.max(cycle, processor.now));
    if (running === undefined) return;
    running.until = Math.min(running.until, queue.earliest);
    running.horizon = Math.min(running.horizon, queue.earliest + engine.lookahead);
  });
  for (const p of engine.processors) if (p.current !== undefined) queue.push(p.id, p.now);

  let steps = 0;
  let cycles = 0;
  while (queue.size > 0) {
    const time = queue.earliest;
    const processor = engine.processors[queue.pop()]!;
    if (blocked.size !== 0) blocked.delete(processor);
    if (time > processor.now) processor.now = time; // it may have been blocked or idle
    running = processor;
    steps += runUntilLater(engine, processor, queue, blocked, isOnTheSpot);
    if (processor.now > cycles) cycles = processor.now;
  }
  const stuck = [...blocked].flatMap((p) => (p.current === undefined ? [] : [p.current.name]));
  return { steps: steps + performedOnTheSpot(engine), cycles, stuck };
}

/** Acts that were; from here on none is. */
function performedOnTheSpot(engine: Engine): number {
  let steps = 0;
  for (const processor of engine.processors) {
    steps += processor.performed;
    processor.performed = 0;
    processor.until = Number.NEGATIVE_INFINITY;
  }
  return steps;
}

/**
 * Runs one processor until another is earlier, or it blocks or ends. Returns acts performed here,
 * to which those on the spot come.
 */
function runUntilLater(
  engine: Engine,
  processor: Processor,
  queue: Queue,
  blocked: Set<Processor>,
  isOnTheSpot: boolean,
): number {
  let steps = 0;
  processor.turns++;
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
    if (current.frame!.state !== 'offered') {
      const { earliest } = queue;
      const ahead = earliest + engine.lookahead;
      processor.horizon = ahead < interruptAt ? ahead : interruptAt;
      if (isOnTheSpot) processor.until = earliest;
      current.advance();
      const { frame } = current;
      if (frame === undefined) engine.finished(processor, current);
      else if (processor.interruptAt <= processor.now) continue;
      if (processor.current !== current || frame?.state !== 'offered') continue;
    }
    const { earliest } = queue; // asked again: code may have woken somebody
    if (processor.now >= earliest) {
      if (processor.now > earliest || queue.first < processor.id) {
        queue.park(processor.id, processor.now);
        return steps;
      }
    }
    steps++;
    if (engine.perform(processor) === Outcome.blocked) {
      blocked.add(processor);
      if (processor.interruptAt < Number.POSITIVE_INFINITY) {
        queue.push(processor.id, Math.max(processor.interruptAt, processor.now));
      }
      return steps;
    }
  }
}
