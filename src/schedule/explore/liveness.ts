/**
 * `eventually` promises: none may stay unfulfilled for ever in an execution that is weakly fair,
 * which means that an actor that can move all the time does move. Decided on the whole graph of
 * states (graph.ts): reductions that keep states and ends do not keep loops.
 *
 * An execution for ever without a promise ends up in one strongly connected part of the states in
 * which that promise is unfulfilled, and the parts of these states are looked at, not those of the
 * whole graph: a loop may avoid fulfilment inside a part that has it. A part is fair if each actor
 * moves within it or cannot move in some state of it (Justice: Lichtenstein, Pnueli and Zuck,
 * 1985). Walking through all of these again and again is the violation; and if a part is not fair,
 * no smaller one within it is.
 *
 * A free choice may be answered in the same way for ever: fairness is owed to actors, not answers.
 *
 * Also an end state in which a promise is unfulfilled leaves it so for ever. Deadlocks and lost
 * wake-ups are such ends, and `atEnd`, asked first, has the better words for them.
 */
import { defect } from '../../base/assert.ts';
import { buildGraph, eachComponent, type Graph, NOWHERE } from './graph.ts';
import { actorOf, type Bounds, type Explored, type Move, type Report } from './system.ts';

export interface LivenessOptions extends Pick<Bounds, 'steps' | 'isOver'> {
  /** Names of the promises, in the order of the bits of `Explored.fulfilled`. */
  readonly promises: readonly string[];
}

export interface LivenessReport extends Report {
  /** Moves of all states. */
  readonly edges: number;
  /** Bound on the probability that two states were taken for one. */
  readonly collision: number;
}

interface Livelock {
  readonly message: string;
  readonly path: readonly Move[];
  readonly loop: number;
}

/**
 * Explores from the state that `system` is in, and leaves it in that state. Broken `always` and
 * `atEnd` promises are violations here too. A livelock in the part of the graph that was built is
 * one of the whole, so it is found even if the bounds end the search.
 */
export function exploreLiveness(system: Explored, options: LivenessOptions): LivenessReport {
  const built = buildGraph(system, options);
  const livelock = built.message === undefined ? findLivelock(system, built.graph, options) : null;
  const message = built.message ?? livelock?.message;
  const isWhole = built.isWhole && message === undefined;
  return {
    verdict: message !== undefined ? 'violated' : isWhole ? 'holds' : 'unfinished',
    message: message ?? '',
    path: livelock?.path ?? built.path,
    loop: livelock?.loop ?? -1,
    executions: built.executions,
    states: built.graph.states,
    steps: built.steps,
    exhausted: isWhole,
    seen: built.seen,
    longest: built.longest,
    terminals: built.terminals,
    edges: built.graph.targets.length,
    collision: built.collision,
  };
}

function findLivelock(
  system: Explored,
  graph: Graph,
  { promises }: LivenessOptions,
): Livelock | undefined {
  const ways = shortestWays(graph);
  for (const [bit, promise] of promises.entries()) {
    const mask = 1 << bit;
    const isUnfulfilled = (state: number): boolean => (graph.fulfilled[state]! & mask) === 0;
    const end = nearestEnd(graph, isUnfulfilled, ways);
    if (end !== undefined) {
      const path = pathTo(graph, ways, end);
      return { message: `${promise}: unfulfilled when nothing moves any more`, path, loop: -1 };
    }
    const part = nearestFairPart(graph, system.actors, isUnfulfilled, ways);
    if (part === undefined) continue;
    const before = pathTo(graph, ways, part[0]!);
    return {
      message: `${promise}: unfulfilled for ever, though no actor that can always move is held up`,
      path: [...before, ...new FairWalk(graph, system.actors, part).moves()],
      loop: before.length,
    };
  }
  return undefined;
}

/** For each state the last edge of a shortest way from the first state, and how long that is. */
interface Ways {
  readonly edge: Int32Array;
  readonly from: Int32Array;
  readonly length: Int32Array;
}

function shortestWays({ states, first, targets }: Graph): Ways {
  const edge = new Int32Array(states).fill(NOWHERE);
  const from = new Int32Array(states);
  const length = new Int32Array(states).fill(-1);
  const queue = new Int32Array(states);
  let filled = 1; // the first state is the first in the queue
  length[0] = 0;
  for (let i = 0; i < filled; i++) {
    const state = queue[i]!;
    for (let e = first[state]!; e < first[state + 1]!; e++) {
      const target = targets[e]!;
      if (target === NOWHERE || length[target] !== -1) continue;
      length[target] = length[state]! + 1;
      edge[target] = e;
      from[target] = state;
      queue[filled++] = target;
    }
  }
  return { edge, from, length };
}

function pathTo(graph: Graph, ways: Ways, state: number): Move[] {
  const path: Move[] = [];
  for (let at = state; ways.edge[at] !== NOWHERE; at = ways.from[at]!) {
    path.push(graph.moves[ways.edge[at]!]!);
  }
  return path.reverse();
}

function nearestEnd(
  { states, first }: Graph,
  isMeant: (state: number) => boolean,
  { length }: Ways,
): number | undefined {
  let best: number | undefined;
  for (let state = 0; state < states; state++) {
    if (first[state] !== first[state + 1] || !isMeant(state)) continue;
    if (best === undefined || length[state]! < length[best]!) best = state;
  }
  return best;
}

/** Of the fair parts the one that begins nearest to the first state, that beginning first. */
function nearestFairPart(
  graph: Graph,
  actors: number,
  isMeant: (state: number) => boolean,
  { length }: Ways,
): Int32Array | undefined {
  const isFair = new Fairness(graph, actors);
  let best: Int32Array | undefined;
  eachComponent(graph, isMeant, (members) => {
    let nearest = 0;
    for (let i = 1; i < members.length; i++) {
      if (length[members[i]!]! < length[members[nearest]!]!) nearest = i;
    }
    if (best !== undefined && length[members[nearest]!]! >= length[best[0]!]!) return;
    if (!isFair.of(members)) return;
    best = members.slice();
    best[0] = members[nearest]!;
    best[nearest] = members[0]!;
  });
  return best;
}

/** Whether an execution may stay in a part of the states for ever, and be weakly fair. */
class Fairness {
  readonly #graph: Graph;
  readonly #possible: Int32Array; // per actor: states of the part in which it can move
  readonly #inside: Int32Array; // per actor: its moves within the part
  readonly #part: Int32Array; // per state: number of the part it was in last
  #parts = 0;

  constructor(graph: Graph, actors: number) {
    this.#graph = graph;
    this.#possible = new Int32Array(actors);
    this.#inside = new Int32Array(actors);
    this.#part = new Int32Array(graph.states);
  }

  of(members: Int32Array): boolean {
    const { first, moves, targets } = this.#graph;
    const part = ++this.#parts;
    for (const state of members) this.#part[state] = part;
    this.#possible.fill(0);
    this.#inside.fill(0);
    for (const state of members) {
      let before = -1;
      for (let e = first[state]!; e < first[state + 1]!; e++) {
        const actor = actorOf(moves[e]!);
        if (actor !== before) this.#possible[actor]++; // moves ascend: an actor's stand together
        before = actor;
        if (targets[e] === NOWHERE || this.#part[targets[e]!] !== part) continue;
        this.#inside[actor]++;
      }
    }
    // A state that cannot be stayed in holds up who can move there; ends were judged before.
    const isHeldUp = (count: number, actor: number): boolean =>
      count === members.length && this.#inside[actor] === 0;
    return !this.#possible.some(isHeldUp);
  }
}

/**
 * A closed walk from the first state of a fair part, on which each actor moves or comes to a state
 * where it cannot: repeated for ever, it is a weakly fair execution. Always to the nearest that is
 * still owed; not the shortest walk, which would be a travelling salesman's.
 */
class FairWalk {
  readonly #graph: Graph;
  readonly #part: Int32Array;
  readonly #isInside: Uint8Array;
  readonly #owed: Uint8Array; // per actor
  readonly #edges: number[] = [];

  constructor(graph: Graph, actors: number, part: Int32Array) {
    this.#graph = graph;
    this.#part = part;
    this.#isInside = new Uint8Array(graph.states);
    for (const state of part) this.#isInside[state] = 1;
    this.#owed = new Uint8Array(actors).fill(1);
  }

  moves(): Move[] {
    const { moves, targets } = this.#graph;
    const start = this.#part[0]!;
    let at = start;
    const go = (isGoal: (edge: number) => boolean): void => {
      for (const edge of this.#nearest(at, isGoal)) {
        this.#edges.push(edge);
        this.#owed[actorOf(moves[edge]!)] = 0;
        at = targets[edge]!;
        this.#excuse(at);
      }
    };
    this.#excuse(start);
    while (this.#owed.includes(1)) {
      const isOwed = (edge: number): boolean =>
        this.#owed[actorOf(moves[edge]!)] === 1 || this.#mayExcuse(targets[edge]!);
      go(isOwed);
    }
    if (at !== start || this.#edges.length === 0) go((edge) => targets[edge] === start);
    return this.#edges.map((edge) => moves[edge]!);
  }

  /** Nothing is owed to actors that cannot move in a state of the walk. */
  #excuse(state: number): void {
    const can = this.#possible(state);
    for (let actor = 0; actor < this.#owed.length; actor++) {
      if (!can.has(actor)) this.#owed[actor] = 0;
    }
  }

  #mayExcuse(state: number): boolean {
    const can = this.#possible(state);
    return this.#owed.some((owed, actor) => owed === 1 && !can.has(actor));
  }

  #possible(state: number): Set<number> {
    const { first, moves } = this.#graph;
    return new Set(Array.from(moves.subarray(first[state]!, first[state + 1]!), actorOf));
  }

  /** Edges of a shortest way inside the part whose last edge is a goal. */
  #nearest(start: number, isGoal: (edge: number) => boolean): number[] {
    const { first, targets } = this.#graph;
    const cameBy = new Map<number, { from: number; edge: number } | undefined>();
    cameBy.set(start, undefined);
    for (const state of cameBy.keys()) {
      for (let edge = first[state]!; edge < first[state + 1]!; edge++) {
        const target = targets[edge]!;
        if (target === NOWHERE || this.#isInside[target] === 0) continue;
        if (isGoal(edge)) {
          const way = [edge];
          for (let by = cameBy.get(state); by !== undefined; by = cameBy.get(by.from)) {
            way.push(by.edge);
          }
          return way.reverse();
        }
        if (!cameBy.has(target)) cameBy.set(target, { from: state, edge });
      }
    }
    return defect('FairWalk', 'states of one strongly connected part do not reach each other');
  }
}
