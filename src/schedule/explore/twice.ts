/**
 * One schedule in two systems at once, to hunt for what words do not decide: chance, the clock, and
 * state that is kept elsewhere. Each step must touch the same words in both, write the same values,
 * send the same signals, and lead to the same next act.
 */
import type { HartView } from '../../runtime/hart.ts';
import type { Harts } from './harts.ts';
import type { Move } from './system.ts';

/** What one step of a hart did. */
export interface Did {
  /** Words read and written, `word * 2 + wrote`, each once. */
  readonly touched: Int32Array;
  /** Writes with their values, and signals. */
  readonly effects: Int32Array;
  /** Where it led. */
  readonly view: HartView;
}

/** What a move asks of a hart. */
export type Asked = NonNullable<ReturnType<Harts['asks']>>;

/** The second system. */
export interface Again {
  /** What a hart did before the first move. */
  started(hart: number): Did;
  /** Takes the move that was taken in the first system; `'impossible'` if it cannot. */
  take(move: Move, asked: Asked | undefined): Did | 'impossible' | undefined;
}

/** Where two runs of one schedule parted. */
export interface Parted {
  /** Moves that both took, the one in which they parted included. */
  readonly path: readonly Move[];
  readonly hart: number;
  /** The act after which code did something else; '' for the beginning. */
  readonly label: string;
  /** What was different, as a clause. */
  readonly what: string;
}

/** The next move; undefined ends the run. */
export type Chooser = (moves: readonly Move[], taken: number) => Move | undefined;

/** Drives both from their start until they part, or the chooser ends it. */
export function runTwice(harts: Harts, again: Again, choose: Chooser): Parted | undefined {
  for (let hart = 0; hart < harts.count; hart++) {
    const one = { ...harts.started[hart]!, view: harts.view(hart) };
    const what = difference(one, again.started(hart));
    if (what !== undefined) return { path: [], hart, label: '', what };
  }
  const path: Move[] = [];
  for (;;) {
    const move = choose(harts.moves(), path.length);
    if (move === undefined) return undefined;
    const parted = moveTwice(harts, again, move, path);
    if (parted !== undefined) return parted;
  }
}

function moveTwice(harts: Harts, again: Again, move: Move, path: Move[]): Parted | undefined {
  const asked = harts.asks(move);
  const { hart } = asked ?? { hart: 0 };
  const { label } = harts.view(hart);
  harts.take(move);
  path.push(move);
  const other = again.take(move, asked);
  const { lastLeaf } = harts;
  if (other === 'impossible') return { path, hart, label, what: 'could move only once' };
  if (lastLeaf === undefined || other === undefined) return undefined; // hardware alone moved
  const what = difference({ ...lastLeaf, view: harts.view(hart) }, other);
  return what === undefined ? undefined : { path, hart, label, what };
}

function difference(one: Did, other: Did): string | undefined {
  if (!areEqual(one.touched, other.touched)) return 'touched other words';
  if (!areEqual(one.effects, other.effects)) return 'wrote other values, or sent other signals';
  if (one.view.label !== other.view.label || one.view.op !== other.view.op) {
    return `went on to ${nameOf(one.view)} and to ${nameOf(other.view)}`;
  }
  const isSame =
    one.view.keyLow === other.view.keyLow &&
    one.view.keyHigh === other.view.keyHigh &&
    one.view.choices === other.view.choices;
  return isSame ? undefined : 'was to go on otherwise';
}

function nameOf({ label }: HartView): string {
  return label === '' ? 'its end' : label;
}

function areEqual(one: Int32Array, other: Int32Array): boolean {
  return one.length === other.length && one.every((value, i) => value === other[i]);
}

/** A second system that is built as the first one. */
export class InCopies implements Again {
  readonly #harts: Harts;

  constructor(harts: Harts) {
    this.#harts = harts;
  }

  started(hart: number): Did {
    return { ...this.#harts.started[hart]!, view: this.#harts.view(hart) };
  }

  take(move: Move, asked: Asked | undefined): Did | 'impossible' | undefined {
    const harts = this.#harts;
    if (!harts.moves().includes(move)) return 'impossible';
    harts.take(move);
    const { lastLeaf } = harts;
    if (lastLeaf === undefined || asked === undefined) return undefined;
    return { ...lastLeaf, view: harts.view(asked.hart) };
  }
}
