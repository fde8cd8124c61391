/**
 * A hunt for what an exploration cannot see: state that CPUs share outside of words, and code that
 * does something else when it is run again. Explored harts run in copies of the system, one hart in
 * each; here the same random execution is run a second time with all harts in one copy, as CPUs of
 * one program, and both must do the same.
 */
import { Random } from '../../base/random.ts';
import { Effect, FRAME_HALVES, Input, type LiveHart } from '../../runtime/hart.ts';
import { touchedBy } from '../../schedule/explore/automaton.ts';
import type { Move } from '../../schedule/explore/system.ts';
import {
  type Again,
  type Asked,
  type Did,
  InCopies,
  type Parted,
  runTwice,
} from '../../schedule/explore/twice.ts';
import { buildScene, buildTogether, type SceneOptions } from './scene.ts';

/** Code that is not a function of the words it reads: bad input, said in one sentence. */
export class Uncontrolled extends Error {
  override readonly name = 'Uncontrolled';
}

export interface HuntOptions {
  readonly seed: number;
  readonly runs: number;
  /** Moves of a run. */
  readonly depth: number;
}

/** Runs in copies that must part as well before chance is blamed. */
const COPIES = 4;

/** Throws `Uncontrolled` if an execution cannot be repeated with all harts in one copy. */
export function hunt(options: SceneOptions, { seed, runs, depth }: HuntOptions): void {
  for (let run = 0; run < runs; run++) {
    const { harts, hardware } = buildScene(options);
    const random = new Random(seed, run);
    const together = new Together(buildTogether(options, hardware));
    const parted = runTwice(harts, together, (moves, taken) => {
      // What follows on a broken promise is not explored either.
      if (moves.length === 0 || taken === depth || harts.always() !== undefined) return undefined;
      return moves[random.below(moves.length)];
    });
    if (parted !== undefined) throw new Uncontrolled(sentence(options, parted));
  }
}

/** Which of the two it is: the same moves again in copies tell. */
function sentence(options: SceneOptions, { path, hart, label, what }: Parted): string {
  const where = label === '' ? 'at its start' : `after ${label}, in move ${path.length}`;
  return hasParted(options, path)
    ? `cpu${hart} ${where} did something else when it was run again on the same words ` +
        `(it ${what}): its code depends on chance, on the clock, or on state that is not in ` +
        'words of memory'
    : `cpu${hart} ${where} did something else when the other CPUs ran in the same program ` +
        `(it ${what}): they share state that is not in words of memory, where no step touches it`;
}

/** Whether runs in copies part too. */
function hasParted(options: SceneOptions, path: readonly Move[]): boolean {
  for (let i = 0; i < COPIES; i++) {
    const one = buildScene(options).harts;
    const again = new InCopies(buildScene(options).harts);
    let isLost = false;
    const parted = runTwice(one, again, (moves, taken) => {
      const move = path[taken];
      isLost = move !== undefined && !moves.includes(move);
      return isLost ? undefined : move;
    });
    if (isLost || parted !== undefined) return true;
  }
  return false;
}

/** All harts live in one copy of the system, and its words. */
class Together implements Again {
  readonly #harts: readonly LiveHart[];
  readonly #words: Int32Array;
  readonly #started: readonly Did[];

  constructor({ harts, words }: ReturnType<typeof buildTogether>) {
    this.#harts = harts;
    this.#words = words;
    this.#started = harts.map((_, hart) => {
      return this.#perform({ hart, input: Input.start, argument: 0 });
    });
  }

  started(hart: number): Did {
    return this.#started[hart]!;
  }

  take(_move: Move, asked: Asked | undefined): Did | undefined {
    return asked === undefined ? undefined : this.#perform(asked);
  }

  #perform({ hart, input, argument }: Asked): Did {
    const live = this.#harts[hart]!;
    live.tape.begin();
    live.perform(input, argument);
    const effects = Int32Array.from(live.tape.effects);
    const touched = touchedBy(live.tape.reads, effects);
    const view = live.view();
    for (let i = 0; i < effects.length; i += 3) {
      const [kind, a, b] = [effects[i]!, effects[i + 1]!, effects[i + 2]!];
      if (kind === Effect.write) this.#words[a] = b;
      else if (kind === Effect.zero) {
        this.#words.fill(0, a * FRAME_HALVES, (a + 1) * FRAME_HALVES);
      }
    }
    return { touched, effects, view };
  }
}
