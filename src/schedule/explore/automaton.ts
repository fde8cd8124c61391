/**
 * What is known of one hart: its local states, and for each input what it did there, as a tree over
 * the values that it read. Code runs only for a branch that was never taken before, in a live copy
 * of the system that stands at the local state or is brought there by feeding it its record.
 *
 * Local states are told apart by their key (`HartView`): what each context has observed since its
 * last point of rest, and the registers. Two paths to one key are one local state.
 */
import { defect } from '../../base/assert.ts';
import {
  Effect,
  FRAME_HALVES,
  type HartView,
  Input,
  type LiveHart,
  type Mark,
} from '../../runtime/hart.ts';
import type { TouchRecord } from '../../runtime/touches.ts';

/** The end of a branch: what the hart does when it reads these values. */
export interface Leaf {
  readonly isLeaf: true;
  /** Its number among those of the hart. */
  readonly number: number;
  /** (kind, a, b) of each effect, in order. */
  readonly effects: Int32Array;
  /** Words read and written, `word * 2 + wrote`, each once. */
  readonly touched: Int32Array;
  /** Frames of those words, each once. */
  readonly frames: Int32Array;
  /** The same words by who touched them, and in which order. */
  readonly touches: TouchRecord;
  /** Whether any word is written. */
  readonly writes: boolean;
  /** What the code said meanwhile, in order. */
  readonly marks: readonly Mark[];
  /** Local state afterwards. */
  readonly next: number;
  /** What a probe answered. */
  readonly answer: number;
}

/** A half-word that the hart reads next, and what follows by its value. */
interface Branch {
  readonly isLeaf: false;
  readonly index: number;
  readonly values: number[];
  readonly below: Node[];
}

type Node = Branch | Leaf;

interface Local {
  readonly view: HartView;
  /** By input, for the argument 0. */
  readonly inputs: (Node | undefined)[];
  /** By `argument * INPUTS + input`, for others. */
  readonly edges: Map<number, Node>;
  /** The last steps of ways here, that of a shortest one first. */
  readonly ways: Way[];
  /** Steps from the start by that one, at most: it may have become shorter since. */
  distance: number;
}

/** A step to a local state: from where, by what, and what was read. */
interface Way {
  readonly from: number;
  readonly input: number;
  readonly argument: number;
  readonly reads: readonly number[];
}

const INPUTS = 8;
const NO_INPUTS: readonly undefined[] = new Array<undefined>(INPUTS).fill(undefined);
const FRAME_WORDS = FRAME_HALVES / 2;
/** Live copies kept per hart, at the local states where code ran last. */
const LIVE = 512;
/** Of those, how many at one local state: points of rest are what many ways come to. */
const LIVE_AT_ONE = 8;
/** Ways kept to a local state, and local states looked at for a live copy before one is built. */
const WAYS = 16;
const LOOKS = 100;

export class Automaton {
  readonly #build: () => LiveHart;
  readonly #locals: Local[] = [];
  readonly #byKey = new Map<string, number>();
  readonly #live = new Map<number, LiveHart[]>();
  /** Of a search for a live copy: local states met, each with the step from it that leads on. */
  readonly #seen = new Map<number, { readonly way: Way; readonly to: number } | undefined>();
  #kept = 0; // copies in #live
  #leaves = 0;
  /** Code steps run, those of replays included; and copies built. */
  ran = 0;
  built = 0;

  constructor(build: () => LiveHart) {
    this.#build = build;
    const first = this.#fresh();
    this.#add(first.view(), 0, undefined);
    this.#keep(0, first);
  }

  /** Local states seen so far; the first is number 0. */
  get size(): number {
    return this.#locals.length;
  }

  view(local: number): HartView {
    return this.#locals[local]!.view;
  }

  /** What the hart does in `local` on an input, given the words as they are now. */
  follow(local: number, input: number, argument: number, words: Int32Array): Leaf {
    let node = this.#edge(this.#locals[local]!, input, argument);
    while (node !== undefined) {
      if (node.isLeaf) return node;
      const { values } = node;
      const value = words[node.index]!;
      let at = values.length - 1;
      while (at >= 0 && values[at] !== value) at--;
      node = at < 0 ? undefined : node.below[at];
    }
    return this.#explore(local, input, argument);
  }

  #edge({ inputs, edges }: Local, input: number, argument: number): Node | undefined {
    return argument === 0 ? inputs[input] : edges.get(argument * INPUTS + input);
  }

  #setEdge({ inputs, edges }: Local, input: number, argument: number, node: Node): void {
    if (argument === 0) inputs[input] = node;
    else edges.set(argument * INPUTS + input, node);
  }

  /** Runs the code once more and remembers what it did. */
  #explore(local: number, input: number, argument: number): Leaf {
    const live = this.#at(local);
    live.tape.begin();
    this.ran++;
    const answer = live.perform(input, argument);
    const reads = [...live.tape.reads];
    const effects = Int32Array.from(live.tape.effects);
    let next = local;
    if (input === Input.probe) {
      if (effects.length !== 0) defect('Automaton', 'a probe changed something');
    } else {
      const distance = this.#locals[local]!.distance + 1;
      next = this.#add(live.view(), distance, { from: local, input, argument, reads });
    }
    this.#keep(next, live);
    const marks = marksOf(live);
    const touches = live.tape.touches.record;
    const number = this.#leaves++;
    const leaf: Leaf = {
      isLeaf: true,
      number,
      ...leafOf(reads, effects),
      touches,
      marks,
      next,
      answer,
    };
    this.#insert(local, input, argument, reads, leaf);
    return leaf;
  }

  /** The local state of a view, met by a way of `distance` steps. */
  #add(view: HartView, distance: number, way: Way | undefined): number {
    const key = `${view.keyLow},${view.keyHigh}`;
    const known = this.#byKey.get(key);
    if (known !== undefined) {
      if (way !== undefined) addWay(this.#locals[known]!, distance, way);
      return known;
    }
    const number = this.#locals.length;
    this.#byKey.set(key, number);
    const ways = way === undefined ? [] : [way];
    this.#locals.push({ view, inputs: [...NO_INPUTS], edges: new Map(), ways, distance });
    return number;
  }

  #insert(
    local: number,
    input: number,
    argument: number,
    reads: readonly number[],
    leaf: Leaf,
  ): void {
    const from = this.#locals[local]!;
    if (reads.length === 0) {
      this.#setEdge(from, input, argument, leaf);
      return;
    }
    let branch = this.#edge(from, input, argument) as Branch | undefined;
    if (branch === undefined) {
      branch = branchAt(reads[0]!);
      this.#setEdge(from, input, argument, branch);
    }
    for (let i = 0; ; i += 2) {
      if (branch.index !== reads[i]) defect('Automaton', 'the same values led to another word');
      const known: number = branch.values.indexOf(reads[i + 1]!);
      const isLast = i + 2 === reads.length;
      if (known >= 0 && !isLast) {
        branch = branch.below[known] as Branch;
        continue;
      }
      const below = isLast ? leaf : branchAt(reads[i + 2]!);
      branch.values.push(reads[i + 1]!);
      branch.below.push(below);
      if (isLast) return;
      branch = below as Branch;
    }
  }

  // --- live copies ---------------------------------------------------------------------------

  /** Takes out a live copy that stands at `local`. */
  #at(local: number): LiveHart {
    const steps: Way[] = [];
    const live = this.#take(local) ?? this.#nearest(local, steps) ?? this.#fromStart(local, steps);
    for (const { input, argument, reads } of steps) {
      live.tape.begin(reads);
      live.perform(input, argument);
      this.ran++;
    }
    return live;
  }

  /**
   * Takes out the live copy that is the fewest known steps away, and says which: `local` is looked
   * for backwards, breadth first. Undefined if the start is as near, or it would take long.
   */
  #nearest(local: number, steps: Way[]): LiveHart | undefined {
    const seen = this.#seen;
    seen.clear();
    seen.set(local, undefined);
    let looked = 0;
    for (const at of seen.keys()) {
      if (at === 0 || looked++ > LOOKS) return undefined;
      for (const way of this.#locals[at]!.ways) {
        if (seen.has(way.from)) continue;
        seen.set(way.from, { way, to: at });
        const live = this.#take(way.from);
        if (live === undefined) continue;
        for (let step = seen.get(way.from); step !== undefined; step = seen.get(step.to)) {
          steps.push(step.way);
        }
        return live;
      }
    }
    return undefined;
  }

  /** A new copy; the way goes through ever nearer states, and so comes to the start. */
  #fromStart(local: number, steps: Way[]): LiveHart {
    for (let at = local; at !== 0; at = steps.at(-1)!.from) steps.push(this.#locals[at]!.ways[0]!);
    steps.reverse();
    return this.#take(0) ?? this.#fresh();
  }

  #fresh(): LiveHart {
    this.built++;
    return this.#build();
  }

  /** Takes out a live copy that stands at `local`, if there is one. */
  #take(local: number): LiveHart | undefined {
    const copies = this.#live.get(local);
    if (copies === undefined) return undefined;
    if (copies.length === 1) this.#live.delete(local);
    this.#kept--;
    return copies.pop();
  }

  #keep(local: number, live: LiveHart): void {
    const copies = this.#live.get(local) ?? [];
    if (copies.length === LIVE_AT_ONE) return;
    this.#live.delete(local); // the latest come last
    this.#live.set(local, copies);
    copies.push(live);
    if (++this.#kept <= LIVE) return;
    const [oldest] = this.#live.keys();
    this.#take(oldest!);
  }
}

/** A shorter way comes first; of the others some are kept. */
function addWay(local: Local, distance: number, way: Way): void {
  if (distance < local.distance) {
    local.distance = distance;
    local.ways.unshift(way);
    if (local.ways.length > WAYS) local.ways.pop();
  } else if (local.ways.length < WAYS) {
    local.ways.push(way);
  }
}

function branchAt(index: number): Branch {
  return { isLeaf: false, index, values: [], below: [] };
}

const NO_MARKS: readonly Mark[] = [];

function marksOf({ tape }: LiveHart): readonly Mark[] {
  return tape.marks.length === 0 ? NO_MARKS : [...tape.marks];
}

function leafOf(
  reads: readonly number[],
  effects: Int32Array,
): Pick<Leaf, 'effects' | 'touched' | 'frames' | 'writes'> {
  const touched = touchedBy(reads, effects);
  const frames = Int32Array.from(
    new Set([...touched].map((code) => Math.floor(code / 2 / FRAME_WORDS))),
  );
  let writes = false;
  for (let i = 0; i < effects.length; i += 3) {
    if (effects[i] === Effect.write || effects[i] === Effect.zero) writes = true;
  }
  return { effects, touched, frames, writes };
}

/** Distinct words of a step, written ones marked. */
export function touchedBy(reads: readonly number[], effects: Int32Array): Int32Array {
  const words = new Map<number, number>();
  for (let i = 0; i < reads.length; i += 2) words.set(reads[i]! >> 1, 0);
  for (let i = 0; i < effects.length; i += 3) {
    if (effects[i] === Effect.write) words.set(effects[i + 1]! >> 1, 1);
  }
  return Int32Array.from([...words].map(([word, wrote]) => word * 2 + wrote));
}
