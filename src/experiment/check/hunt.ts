/**
 * A hunt for what an exploration cannot see: state that CPUs share outside of words, and code that
 * does something else when it is run again. Explored harts run in copies of the system, one hart in
 * each; here the same random execution is run a second time with all harts in one copy, as CPUs of
 * one program, and both must do the same.
 */
import { Random } from '../../base/random.ts';
import { Effect, FRAME_HALVES, Input, type LiveHart } from '../../runtime/hart.ts';
import type { Harts } from '../../schedule/explore/harts.ts';
import type { Move } from '../../schedule/explore/system.ts';
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

/** Throws `Uncontrolled` if an execution cannot be repeated with all harts in one copy. */
export function hunt(options: SceneOptions, { seed, runs, depth }: HuntOptions): void {
  const scene = buildScene(options);
  const { harts, hardware } = scene;
  for (let run = 0; run < runs; run++) {
    const random = new Random(seed, run);
    const together = new Together(buildTogether(options, hardware));
    const path: Move[] = [];
    let differs = together.difference(harts);
    while (differs < 0 && path.length < depth) {
      if (harts.always() !== undefined) break; // what follows is not explored either
      const moves = harts.moves();
      if (moves.length === 0) break;
      const move = moves[random.below(moves.length)]!;
      path.push(move);
      const asked = harts.asks(move);
      harts.take(move);
      if (asked !== undefined) together.perform(asked);
      differs = together.difference(harts);
    }
    if (differs >= 0) throw new Uncontrolled(sentence(options, harts, path, differs));
    while (harts.depth > 0) harts.undo();
  }
}

/** Which of the two it is: the same moves again in copies tell. */
function sentence(
  options: SceneOptions,
  harts: Harts,
  path: readonly Move[],
  hart: number,
): string {
  const { label } = harts.view(hart);
  const last = path.length === 0 ? 'at its start' : `at ${label === '' ? 'its end' : label}`;
  const again = buildScene(options).harts;
  for (const move of path) {
    if (!again.moves().includes(move)) break;
    again.take(move);
  }
  const isSame = again.hashLow === harts.hashLow && again.hashHigh === harts.hashHigh;
  return isSame
    ? `cpu${hart} ${last} did something else when the other CPUs ran in the same program: ` +
        'they share state that is not in words of memory, where no step touches it'
    : `cpu${hart} ${last} did something else when it was run again on the same words: its code ` +
        'depends on chance, on the clock, or on state that is not in words of memory';
}

type Asked = NonNullable<ReturnType<Harts['asks']>>;

/** All harts live in one copy of the system, and its words. */
class Together {
  readonly #harts: readonly LiveHart[];
  readonly #words: Int32Array;

  constructor({ harts, words }: ReturnType<typeof buildTogether>) {
    this.#harts = harts;
    this.#words = words;
    for (const hart of harts.keys()) this.perform({ hart, input: Input.start, argument: 0 });
  }

  perform({ hart, input, argument }: Asked): void {
    const live = this.#harts[hart]!;
    live.tape.begin();
    live.perform(input, argument);
    const effects = [...live.tape.effects];
    for (let i = 0; i < effects.length; i += 3) {
      const [kind, a, b] = [effects[i]!, effects[i + 1]!, effects[i + 2]!];
      if (kind === Effect.write) this.#words[a] = b;
      else if (kind === Effect.zero) {
        this.#words.fill(0, a * FRAME_HALVES, (a + 1) * FRAME_HALVES);
      } else if (kind === Effect.post) this.perform({ hart: a, input: Input.post, argument: b });
    }
  }

  /** Number of a hart that is in another local state than in `harts`; -1 if none is. */
  difference(harts: Harts): number {
    return this.#harts.findIndex((live, hart) => {
      const here = live.view();
      const there = harts.view(hart);
      return here.keyLow !== there.keyLow || here.keyHigh !== there.keyHigh;
    });
  }
}
