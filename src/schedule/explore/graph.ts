/**
 * The whole graph of states, unreduced, in typed arrays: what liveness is decided on. States are
 * numbered in the order in which a depth-first search meets them, and each is asked for its moves
 * when it is met, so the moves of a state stand together without sorting (compressed sparse rows).
 */
import { enlarged } from './arrays.ts';
import type { Bounds, Explored, Move } from './system.ts';
import { folded, Visited } from './visited.ts';

/** Target of a move that was not taken, because the search ended before. */
export const NOWHERE = -1;

export interface Graph {
  readonly states: number;
  /** Edges of state s: from `first[s]` to `first[s + 1]`, by ascending move. */
  readonly first: Int32Array;
  readonly moves: Int32Array;
  /** State that a move leads to, or NOWHERE. */
  readonly targets: Int32Array;
  /** Bits of the `eventually` promises that hold in a state. */
  readonly fulfilled: Int32Array;
}

/** What was met on the way. */
export interface Built {
  readonly graph: Graph;
  /** Of `always` or `atEnd`; the search ends with it. */
  readonly message: string | undefined;
  /** Moves that lead to the broken promise. */
  readonly path: readonly Move[];
  readonly isWhole: boolean;
  readonly executions: number;
  readonly steps: number;
  readonly seen: number;
  readonly longest: number;
  readonly terminals: ReadonlySet<number>;
  readonly collision: number;
}

/** Builds the graph from the state that `system` is in, and leaves it in that state. */
export function buildGraph(system: Explored, bounds: Pick<Bounds, 'steps' | 'isOver'>): Built {
  return new Builder(system, bounds).run();
}

const PATIENCE = 512; // moves between two questions whether time is over

class Builder {
  readonly #system: Explored;
  readonly #bounds: Pick<Bounds, 'steps' | 'isOver'>;
  readonly #visited = new Visited(1); // with each state, its number
  #first = new Int32Array(1024);
  #fulfilled = new Int32Array(1024);
  #moves = new Int32Array(4096);
  #targets = new Int32Array(4096);
  #edges = 0;
  // The stack: one row per state on it, with the edge to be taken next.
  #height = 0;
  #state = new Int32Array(256);
  #next = new Int32Array(256);
  readonly #terminals = new Set<number>();
  #isWhole = true;
  #isBack = false;
  #executions = 1;
  #steps = 0;
  #seen = 0;
  #longest = 0;

  constructor(system: Explored, bounds: Pick<Bounds, 'steps' | 'isOver'>) {
    this.#system = system;
    this.#bounds = bounds;
  }

  run(): Built {
    const system = this.#system;
    const ground = system.depth;
    const message = system.always() ?? this.#meet(NOWHERE) ?? this.#search();
    const path = message === undefined ? [] : this.#path(system.depth - ground);
    while (system.depth > ground) system.undo();
    const states = this.#visited.count;
    return {
      graph: {
        states,
        first: this.#first.subarray(0, states + 1),
        moves: this.#moves.subarray(0, this.#edges),
        targets: this.#targets.subarray(0, this.#edges),
        fulfilled: this.#fulfilled.subarray(0, states),
      },
      message,
      path,
      isWhole: this.#isWhole && message === undefined,
      executions: this.#executions,
      steps: this.#steps,
      seen: this.#seen,
      longest: this.#longest,
      terminals: this.#terminals,
      collision: this.#visited.collision,
    };
  }

  #search(): string | undefined {
    const { isOver, steps: most = Number.POSITIVE_INFINITY } = this.#bounds;
    while (this.#height > 0) {
      const row = this.#height - 1;
      const edge = this.#next[row]!;
      if (edge === this.#first[this.#state[row]! + 1]) {
        this.#height = row;
        if (row > 0) this.#back();
        continue;
      }
      if (this.#steps >= most || (this.#steps % PATIENCE === 0 && isOver?.() === true)) {
        this.#isWhole = false;
        return undefined;
      }
      this.#next[row] = edge + 1;
      const message = this.#advance(row, edge);
      if (message !== undefined) return message;
    }
    return undefined;
  }

  #advance(row: number, edge: number): string | undefined {
    this.#system.take(this.#moves[edge]!);
    this.#steps++;
    if (this.#isBack) this.#executions++;
    this.#isBack = false;
    if (row >= this.#longest) this.#longest = row + 1;
    const message = this.#system.always() ?? this.#meet(edge);
    if (message === undefined && this.#height === row + 1) this.#back();
    return message;
  }

  #back(): void {
    this.#system.undo();
    this.#isBack = true;
  }

  /** Meets the state that `edge` leads to; a new one is put on the stack. */
  #meet(edge: number): string | undefined {
    const system = this.#system;
    const slot = this.#visited.enter(system.hashLow, system.hashHigh);
    const { isNew } = this.#visited;
    if (isNew) this.#visited.setValue(slot, 0, this.#visited.count - 1);
    const state = this.#visited.valueAt(slot, 0);
    if (edge !== NOWHERE) this.#targets[edge] = state;
    if (!isNew) return undefined;
    this.#seen |= system.seen();
    const moves = system.moves();
    this.#add(state, moves);
    if (moves.length > 0) {
      this.#push(state);
      return undefined;
    }
    this.#terminals.add(folded(system.hashLow, system.hashHigh));
    return system.atEnd();
  }

  #add(state: number, moves: readonly Move[]): void {
    if (state + 2 > this.#first.length) {
      this.#first = enlarged(this.#first, 2 * this.#first.length);
      this.#fulfilled = enlarged(this.#fulfilled, this.#first.length);
    }
    if (this.#edges + moves.length > this.#moves.length) {
      this.#moves = enlarged(this.#moves, 2 * this.#moves.length + moves.length);
      this.#targets = enlarged(this.#targets, this.#moves.length);
    }
    for (const move of moves) {
      this.#moves[this.#edges] = move;
      this.#targets[this.#edges++] = NOWHERE;
    }
    this.#first[state + 1] = this.#edges;
    this.#fulfilled[state] = this.#system.fulfilled();
  }

  #push(state: number): void {
    const row = this.#height++;
    if (row === this.#state.length) {
      this.#state = enlarged(this.#state, 2 * row);
      this.#next = enlarged(this.#next, 2 * row);
    }
    this.#state[row] = state;
    this.#next[row] = this.#first[state]!;
  }

  #path(length: number): Move[] {
    return Array.from({ length }, (_, row) => this.#moves[this.#next[row]! - 1]!);
  }
}

/** Calls `found` with each strongly connected part of the states that `isMeant` (Tarjan 1972). */
export function eachComponent(
  graph: Graph,
  isMeant: (state: number) => boolean,
  found: (members: Int32Array) => void,
): void {
  const { states, first, targets } = graph;
  const order = new Int32Array(states); // when a state was met, from 1
  const low = new Int32Array(states); // earliest state on the stack that it reaches
  const isPlaced = new Uint8Array(states); // in a component already
  const open = new Int32Array(states); // states met and not placed
  const calls = new Int32Array(states);
  const next = first.slice(0, states); // edge of a state to be looked at next
  let met = 0;
  let opened = 0;
  let depth = 0;
  const call = (state: number): void => {
    order[state] = low[state] = ++met;
    open[opened++] = state;
    calls[depth++] = state;
  };
  const finish = (state: number): void => {
    depth--;
    if (depth > 0) low[calls[depth - 1]!] = Math.min(low[calls[depth - 1]!]!, low[state]!);
    if (low[state] !== order[state]) return;
    let from = opened;
    do isPlaced[open[--from]!] = 1;
    while (open[from] !== state);
    found(open.subarray(from, opened));
    opened = from;
  };
  for (let root = 0; root < states; root++) {
    if (order[root] !== 0 || !isMeant(root)) continue;
    call(root);
    while (depth > 0) {
      const state = calls[depth - 1]!;
      const edge = next[state]!;
      if (edge === first[state + 1]) {
        finish(state);
        continue;
      }
      next[state] = edge + 1;
      const target = targets[edge]!;
      if (target === NOWHERE || !isMeant(target)) continue;
      if (order[target] === 0) call(target);
      else if (isPlaced[target] === 0) low[state] = Math.min(low[state]!, order[target]!);
    }
  }
}
