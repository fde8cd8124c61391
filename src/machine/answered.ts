/**
 * A routine whose hypercalls are answered by other code on the same context, instead of by whoever
 * runs the CPU: a guest hypervisor over the specification of its host. All its other acts are
 * offered as they are.
 */
import { high } from '../base/bits.ts';
import type { Routine } from '../runtime/act.ts';
import { Instruction } from './instruction.ts';

/** Answers the hypercall `operation`; the result is what the caller finds in its register. */
export type Answer = (operation: number, args: readonly number[]) => Routine<number>;

export function* answered<T>(body: Routine<T>, answer: Answer): Routine<T> {
  let step = body.next();
  while (step.done !== true) {
    const act = step.value;
    if (act.op === Instruction.vmcall) {
      const result = yield* answer(act.at, act.operand as readonly number[]);
      step = body.next({ lo: result | 0, hi: high(result), ok: true });
    } else {
      step = body.next(yield act);
    }
  }
  return step.value;
}
