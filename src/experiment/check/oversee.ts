/**
 * A scene held against the specification of what its operations do: the same moves, and with each
 * what the specification makes of them, which is part of the state. Two executions that end in one
 * state of the scene but leave different explanations are two states; so every engine that merges
 * states still decides whether *every* execution is explained.
 *
 * An operation is called with its first act, not when its code could first run: else the call would
 * seem earlier than the return of somebody else's that in truth came before.
 *
 * Engines that do not try all orders of moves compare footprints: a move in which an operation
 * begins, ends or changes the abstract state writes one more word, so that its order with others of
 * this kind counts.
 */
import { defect } from '../../base/assert.ts';
import { badInput } from '../../base/bad-input.ts';
import { Hash64 } from '../../base/hash.ts';
import type { View } from '../../check/invariant/view.ts';
import { keyOf, States } from '../../check/oracle/runs.ts';
import type { Call, Oracle, Specification } from '../../check/oracle/specification.ts';
import { type Known, Watch, type Way } from '../../check/oracle/watch.ts';
import { type Mark, Offer } from '../../runtime/hart.ts';
import type { Harts } from '../../schedule/explore/harts.ts';
import type { Reducible } from '../../schedule/explore/reduced.ts';
import { actorOf, type Footprint, type Move } from '../../schedule/explore/system.ts';
import type { Scene } from './scene.ts';

export interface OverseeOptions {
  /** Both ways unless given. */
  readonly ways?: readonly Way[];
  /** Leaves out what the design and its judge promise, to show what the oracles see alone. */
  readonly alone?: boolean;
  /** Instead of the design's. */
  readonly specification?: Specification<unknown>;
}

/** What is known after a move. */
interface Standing {
  /** Operations whose code has begun and has not offered its first act yet, by caller. */
  readonly waiting: readonly (readonly [string, Call])[];
  /** One for each way. */
  readonly known: readonly Known[];
  readonly low: number;
  readonly high: number;
}

/** A call (with its first act) or a return, and how many moves came before it. */
export interface Said {
  readonly depth: number;
  readonly mark: Mark;
}

export class Overseen implements Reducible {
  readonly actors: number;
  readonly #harts: Harts;
  readonly #view: View;
  readonly #oracle: Oracle<unknown>;
  readonly #specification: Specification<unknown>;
  readonly #states: States<unknown>;
  readonly #ways: readonly Way[];
  readonly #watches: readonly Watch<unknown>[];
  readonly #alone: boolean;
  readonly #interned = new Map<string, Standing>();
  readonly #stack: Standing[] = [];
  readonly #said: Said[] = [];
  readonly #footprint: WiderFootprint;

  constructor({ harts, view, checked }: Scene, options: OverseeOptions = {}) {
    const { oracle } = checked;
    if (oracle === undefined) badInput('the design has no specification');
    this.actors = harts.actors;
    this.#harts = harts;
    this.#view = view;
    this.#oracle = oracle;
    this.#specification = options.specification ?? oracle.specification;
    this.#states = new States(this.#specification);
    this.#ways = options.ways ?? ['linearisable', 'release'];
    this.#watches = this.#ways.map((way) => new Watch(this.#states, way, oracle.wordless));
    this.#alone = options.alone === true;
    this.#footprint = new WiderFootprint(harts);
    const words = this.#states.number(oracle.abstraction(view, undefined, ''));
    const known = this.#watches.map((watch) => watch.start(words));
    const waiting = harts.startMarks.map(({ context, operation, args, result }) => {
      if (result !== undefined) return defect('Overseen', `${operation} ended without an act`);
      return [context, { operation, args }] as const;
    });
    this.#stack.push(this.#intern(waiting, known));
  }

  get #top(): Standing {
    return this.#stack[this.#stack.length - 1]!;
  }

  // --- moves ---------------------------------------------------------------------------------

  take(move: Move): void {
    const harts = this.#harts;
    const actor = actorOf(move);
    const { context, label, buffered } = harts.view(harts.taskOf(actor));
    if (buffered > 0) badInput('oracles know no store buffers: the memory has to be sc');
    const isCode = harts.isTask(actor);
    harts.take(move);
    const before = this.#top;
    const hasBegun = isCode && before.waiting.some(([caller]) => caller === context);
    const isQuiet = !hasBegun && harts.lastMarks.length === 0 && !harts.lastWroteAny;
    const after = isQuiet ? before : this.#after(before, isCode ? context : '', label);
    this.#footprint.wrote = after !== before;
    this.#stack.push(after);
  }

  #after(before: Standing, context: string, label: string): Standing {
    let { waiting, known } = before;
    const each = (step: (watch: Watch<unknown>, known: Known) => Known): void => {
      known = known.map((one, i) => (one.wrong === '' ? step(this.#watches[i]!, one) : one));
    };
    const begin = (caller: string): void => {
      const call = waiting.find(([other]) => other === caller)?.[1];
      if (call === undefined) return;
      waiting = waiting.filter(([other]) => other !== caller);
      this.#say({ context: caller, ...call, result: undefined });
      each((watch, one) => watch.call(one, caller, call));
    };
    begin(context);
    if (this.#harts.lastWroteAny) {
      const words = this.#words(known, label);
      each((watch, one) => watch.change(one, context, words));
    }
    for (const mark of this.#harts.lastMarks) {
      const { context: caller, operation, args, result } = mark;
      begin(caller); // one that ended, or made room for the next, without an act
      if (result === undefined) waiting = [...waiting, [caller, { operation, args }]];
      else {
        this.#say(mark);
        each((watch, one) => watch.end(one, caller, result));
      }
    }
    return this.#intern(waiting, known);
  }

  /** The abstract state of the words; what is hidden under a lock is as it was. */
  #words(known: readonly Known[], label: string): number {
    const before = known.find(({ words }) => words >= 0)?.words;
    if (before === undefined) return -1;
    const was = this.#states.at(before);
    return this.#states.number(this.#oracle.abstraction(this.#view, was, label));
  }

  #say(mark: Mark): void {
    this.#said.push({ depth: this.#stack.length, mark });
  }

  #intern(waiting: Standing['waiting'], known: readonly Known[]): Standing {
    const open = waiting.map(([caller, { operation, args }]) => `${caller} ${operation} ${args}`);
    const key = [...open.sort(), ...known.map(keyOfKnown)].join('\n');
    let standing = this.#interned.get(key);
    if (standing === undefined) {
      const hash = new Hash64();
      hash.addText(key);
      standing = { waiting, known, low: hash.low, high: hash.high };
      this.#interned.set(key, standing);
    }
    return standing;
  }

  undo(): void {
    this.#harts.undo();
    this.#stack.pop();
    while ((this.#said.at(-1)?.depth ?? -1) >= this.#stack.length) this.#said.pop();
  }

  // --- promises ------------------------------------------------------------------------------

  always(): string | undefined {
    const { known } = this.#top;
    for (let i = 0; i < known.length; i++) {
      if (known[i]!.wrong !== '') return this.#broken(this.#ways[i]!, known[i]!);
    }
    return this.#alone ? undefined : this.#harts.always();
  }

  #broken(way: Way, known: Known): string {
    const history = this.history().join(', ');
    if (way === 'linearisable') {
      return `oracle.linearisable: no order of the operations explains their results: ${history}`;
    }
    if (known.wrong === 'result') {
      return `oracle.release: at no moment of it could the last have had that result: ${history}`;
    }
    const was = this.#states.at(this.#previous(known));
    const difference = this.#specification.difference(was, this.#states.at(known.words));
    return `oracle.release: ${difference}: no operation does that here: ${history}`;
  }

  /** The abstract state that the words had before the last change. */
  #previous({ words }: Known): number {
    const index = this.#ways.indexOf('release');
    const before = this.#stack.at(-2)?.known[index];
    return before === undefined ? words : before.words;
  }

  atEnd(): string | undefined {
    const broken = this.#alone ? undefined : this.#harts.atEnd();
    if (broken !== undefined || !this.#hasEnded) return broken;
    const words = this.#states.number(this.#oracle.abstraction(this.#view, undefined, ''));
    const wrong = this.#top.known.findIndex((one, i) => !this.#watches[i]!.explains(one, words));
    if (wrong < 0) return undefined;
    const what = 'no order of the operations ends with what the words say at rest';
    return `oracle.${this.#ways[wrong]}: ${what}: ${this.history().join(', ')}`;
  }

  get #hasEnded(): boolean {
    const harts = this.#harts;
    for (let h = 0; h < harts.count; h++) if (harts.view(h).offer !== Offer.none) return false;
    return true;
  }

  /** Calls and returns so far. */
  get said(): readonly Said[] {
    return this.#said;
  }

  /** What was called so far and what it returned, in order of the calls. */
  history(): string[] {
    const lines: string[] = [];
    const open = new Map<string, number>();
    for (const { depth, mark } of this.#said) {
      const { context, operation, args, result } = mark;
      if (result === undefined) {
        const says = this.#specification.describe({ operation, args });
        open.set(context, lines.push(`${context} ${says} from move ${depth}`) - 1);
      } else {
        const at = open.get(context) ?? defect('Overseen', `${context} ends what it never began`);
        lines[at] += ` to ${depth} = ${result}`;
      }
    }
    return lines;
  }

  // --- the rest is the scene's ---------------------------------------------------------------

  get footprint(): Footprint {
    return this.#footprint;
  }

  get hashLow(): number {
    return this.#harts.hashLow ^ this.#top.low;
  }

  get hashHigh(): number {
    return this.#harts.hashHigh ^ this.#top.high;
  }

  get depth(): number {
    return this.#harts.depth;
  }

  isTask(actor: number): boolean {
    return this.#harts.isTask(actor);
  }

  taskOf(actor: number): number {
    return this.#harts.taskOf(actor);
  }

  moves(): readonly Move[] {
    return this.#harts.moves();
  }

  watched(actor: number): Footprint {
    return this.#harts.watched(actor);
  }

  seen(): number {
    return this.#harts.seen();
  }

  fulfilled(): number {
    return this.#harts.fulfilled();
  }

  describe(move: Move): string {
    return this.#harts.describe(move);
  }

  nameOf(move: Move): string {
    return this.#harts.nameOf(move);
  }
}

function keyOfKnown({ callers, calls, runs, words, wrong }: Known): string {
  const under = callers.map((caller, i) => `${caller} ${calls[i]!.operation} ${calls[i]!.args}`);
  return `${under} | ${runs.map(keyOf)} | ${words} ${wrong}`;
}

/** A word past all others, written where the order of operations matters. */
const ORDER = 2 ** 30;

class WiderFootprint implements Footprint {
  readonly #harts: Harts;
  wrote = false;

  constructor(harts: Harts) {
    this.#harts = harts;
  }

  get length(): number {
    return this.#harts.footprint.length + (this.wrote ? 1 : 0);
  }

  wordAt(i: number): number {
    const { footprint } = this.#harts;
    return i < footprint.length ? footprint.wordAt(i) : ORDER;
  }

  wroteAt(i: number): boolean {
    const { footprint } = this.#harts;
    return i < footprint.length ? footprint.wroteAt(i) : true;
  }
}
