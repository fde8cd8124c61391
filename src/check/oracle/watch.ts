/**
 * Two ways to hold an execution against a specification while it goes on.
 *
 * `linearisable`: only calls and results are looked at. The results must be those of some order of
 * the operations' steps in which each lies between its call and its return (Herlihy and Wing,
 * Linearizability, 1990; decided at each return, as Lowe, Testing for linearizability, 2017: a step
 * is taken no sooner than a result demands it).
 *
 * `release`: the words are looked at too. Every change of the abstract state, at the release of the
 * lock under which it was made or at the locked write that makes it, must be a step of the
 * operation whose code made it; and every result must be one that a step of the operation gave at
 * some moment of it.
 *
 * Stores that wait in a buffer are not modelled here: memory has to be SC.
 */
import { closure, type Run, runsOf, type States } from './runs.ts';
import type { Call } from './specification.ts';

/** What is known of an execution so far; a value. */
export interface Known {
  /** Callers with an operation under way, and the operations. */
  readonly callers: readonly string[];
  readonly calls: readonly Call[];
  readonly runs: readonly Run[];
  /** The abstract state of the words; -1 where words are not looked at. */
  readonly words: number;
  /** What nothing explains; ''. */
  readonly wrong: string;
}

export type Way = 'linearisable' | 'release';

export class Watch<S> {
  readonly #states: States<S>;
  readonly #way: Way;
  readonly #ignored: readonly string[];

  /** `wordless`: operations of which words tell nothing. */
  constructor(states: States<S>, way: Way, wordless: readonly string[]) {
    this.#states = states;
    this.#way = way;
    this.#ignored = way === 'release' ? wordless : [];
  }

  start(words: number): Known {
    const runs = [{ state: words, at: [] }];
    return { callers: [], calls: [], runs, words: this.#way === 'release' ? words : -1, wrong: '' };
  }

  /** `caller` performs the first act of an operation. */
  call(known: Known, caller: string, call: Call): Known {
    if (this.#ignored.includes(call.operation)) return known;
    const runs = known.runs.map(({ state, at }) => ({ state, at: [...at, 0] }));
    return { ...known, callers: [...known.callers, caller], calls: [...known.calls, call], runs };
  }

  /** The operation of `caller` is over. */
  end(known: Known, caller: string, result: string): Known {
    const index = known.callers.indexOf(caller);
    if (index < 0) return known; // one of those that are ignored
    const hasEnded = (run: Run): boolean => run.at[index] === result;
    const options = {
      goesOn: (run: Run): boolean => !hasEnded(run),
      ...(this.#way === 'release' ? { isAllowed: this.#isUnseen } : {}),
    };
    const reached = closure(this.#states, known.calls, known.runs, options).filter(hasEnded);
    const runs = runsOf(reached.map(({ state, at }) => ({ state, at: at.toSpliced(index, 1) })));
    return {
      ...known,
      callers: known.callers.toSpliced(index, 1),
      calls: known.calls.toSpliced(index, 1),
      runs,
      wrong: runs.length === 0 ? 'result' : '',
    };
  }

  /** Code of `caller` has changed the words: their abstract state is `words` now. */
  change(known: Known, caller: string, words: number): Known {
    if (this.#way !== 'release' || words === known.words) return known;
    const states = this.#states;
    // Whoever could take a step under the old state that words do not show may have taken it.
    const unseen = closure(states, known.calls, known.runs, { isAllowed: this.#isUnseen });
    const from = unseen.map(({ state, at }) => ({ state: states.ceased(state, words), at }));
    const index = known.callers.indexOf(caller);
    const isThere = (run: Run): boolean => states.visible(run.state) === words;
    const reached = closure(states, known.calls, from, {
      goesOn: (run) => !isThere(run),
      isAllowed: (by) => by === index,
    });
    const runs = runsOf(reached.filter(isThere));
    return { ...known, runs, words, wrong: runs.length === 0 ? 'change' : '' };
  }

  /** Everything has ended: whether some run ends in the abstract state of the words. */
  explains(known: Known, words: number): boolean {
    const { runs, calls } = known;
    const states = this.#states;
    return closure(states, calls, runs, {}).some((run) => states.visible(run.state) === words);
  }

  readonly #isUnseen = (_caller: number, before: Run, after: Run): boolean =>
    this.#states.visible(before.state) === this.#states.visible(after.state);
}
