/**
 * The oracle of the oracles: linearisability decided after the fact, on a whole history, by the
 * search of Wing and Gong (Testing and verifying concurrent objects, 1993) with Lowe's memory of
 * what was tried. It shares nothing with `check/oracle/watch.ts` but the specification.
 */
import type { Call, Specification } from '../../src/check/oracle/specification.ts';
import type { Said } from '../../src/experiment/check/oversee.ts';

interface Operation {
  readonly call: Call;
  readonly from: number;
  /** Number of the return among calls and returns; infinite if there was none. */
  to: number;
  result: string | undefined;
}

export function operationsOf(said: readonly Said[]): Operation[] {
  const operations: Operation[] = [];
  const open = new Map<string, Operation>();
  said.forEach(({ mark }, i) => {
    const { context, operation, args, result } = mark;
    if (result === undefined) {
      const begun = { call: { operation, args }, from: i, to: Number.POSITIVE_INFINITY, result };
      operations.push(begun);
      open.set(context, begun);
    } else {
      Object.assign(open.get(context)!, { to: i, result });
    }
  });
  return operations;
}

/** Whether some order of the operations' steps explains all results and ends `as` it should. */
export function isExplained<S>(
  specification: Specification<S>,
  start: S,
  operations: readonly Operation[],
  as: (state: S) => boolean = () => true,
): boolean {
  const tried = new Set<string>();
  const search = (state: S, at: readonly (number | string)[]): boolean => {
    const key = `${specification.key(state)} ${at}`;
    if (tried.has(key)) return false;
    tried.add(key);
    const isDone = (i: number): boolean => typeof at[i] === 'string';
    if (operations.every(({ result }, i) => result === undefined || isDone(i)) && as(state)) {
      return true;
    }
    // What has not ended yet bounds what may begin.
    const first = Math.min(...operations.map(({ to }, i) => (isDone(i) ? Infinity : to)));
    return operations.some(({ call, from, result }, i) => {
      if (isDone(i) || from > first) return false;
      return specification.steps(state, call, at[i] as number).some((step) => {
        if (typeof step.at === 'string' && result !== undefined && step.at !== result) return false;
        return search(step.state, at.with(i, step.at));
      });
    });
  };
  return search(
    start,
    operations.map(() => 0),
  );
}
