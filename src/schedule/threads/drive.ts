/**
 * One thread drives one CPU until everybody is at rest: code runs, acts are performed as they are
 * offered, interrupts are taken when they are seen. The order of things is the hardware's.
 */
import type { ThreadCpu } from '../../runtime/threads.ts';
import type { Control } from './control.ts';

/** In guest mode an interrupt may be on its way for a while: it is seen at every eighth act. */
const LATE = 8;
/** Milliseconds: how long a CPU sleeps that waits, and one that rests. */
const NAP = 0.01;
const SLEEP = 1;

export interface Driven {
  /** Interrupts taken. */
  readonly interrupts: number;
  /** Where the code stood when all was given up; '' if it came to rest. */
  readonly stuckAt: string;
}

/** `isWorker`: others may rest only once this CPU's code has ended. */
export function drive(cpu: ThreadCpu, thread: number, isWorker: boolean, control: Control): Driven {
  let interrupts = 0;
  let hasWorked = !isWorker;
  for (let acts = 0; ; acts++) {
    if (control.isAborted) return { interrupts, stuckAt: cpu.label === '' ? 'its end' : cpu.label };
    if ((!cpu.isInGuest || acts % LATE === 0) && control.hasArrived(thread)) {
      for (const vector of control.take(thread)) {
        interrupts++;
        cpu.interrupt(vector);
      }
    }
    const goesOn = cpu.settle();
    if (!goesOn && !hasWorked) {
      control.finishWork();
      hasWorked = true;
    }
    if (!goesOn || (cpu.isAtRest && control.isWorkDone)) {
      if (isAllOver(thread, control)) return { interrupts, stuckAt: '' };
    }
    if (goesOn && !cpu.perform()) control.sleep(thread, NAP);
  }
}

/** Rests for a moment; whether nobody will do anything any more. */
function isAllOver(thread: number, control: Control): boolean {
  control.rest();
  if (!control.isOver) control.sleep(thread, SLEEP);
  return !control.wake();
}
