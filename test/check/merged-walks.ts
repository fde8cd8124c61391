/**
 * States that an exploration takes for one are followed, from each of the paths that led there, by
 * the same random moves. Where nothing is forgotten, both must offer the same and do the same.
 */
import { Random } from '../../src/base/random.ts';
import { buildScene, type SceneOptions } from '../../src/experiment/check/scene.ts';
import { Effect } from '../../src/runtime/hart.ts';
import type { Harts } from '../../src/schedule/explore/harts.ts';
import type { Move } from '../../src/schedule/explore/system.ts';
import { likeHalves } from './forgetting.ts';

export interface WalkOptions {
  readonly seed: number;
  /** Random executions in which merged states are looked for. */
  readonly runs: number;
  /** Moves of one. */
  readonly depth: number;
  /** Moves that two merged states are followed for. */
  readonly ahead: number;
  /** Pairs at most. */
  readonly pairs: number;
}

export interface WalkReport {
  /** Pairs of different states that are taken for one, and were followed. */
  readonly merged: number;
  /** Where two of them parted; '' if none did. */
  readonly parted: string;
}

interface Pair {
  readonly one: readonly Move[];
  readonly other: readonly Move[];
}

export function followMerged(scene: SceneOptions, options: WalkOptions): WalkReport {
  const random = new Random(options.seed, 0);
  const found = findMerged(scene, options, random);
  while (found.length > options.pairs) found.splice(random.below(found.length), 1);
  const { harts, checked } = buildScene({ ...scene, forget: 'nothing' });
  const seen = new Watch(harts, likeHalves(checked));
  for (const pair of found) {
    const parted = follow(seen, pair, options.ahead, random);
    if (parted !== undefined) return { merged: found.length, parted };
  }
  return { merged: found.length, parted: '' };
}

/** Random executions of the system as it is explored and of one that forgets nothing, in step. */
function findMerged(scene: SceneOptions, { runs, depth }: WalkOptions, random: Random): Pair[] {
  const merging = buildScene(scene).harts;
  const exact = buildScene({ ...scene, forget: 'nothing' }).harts;
  const first = new Map<string, { path: Move[]; state: string }>();
  const pairs = new Map<string, Pair>();
  for (let run = 0; run < runs; run++) {
    const path: Move[] = [];
    let last = -1;
    while (path.length < depth && merging.always() === undefined) {
      const moves = merging.moves();
      if (moves.length === 0) break;
      // Bursts: as executions of few preemptions go, which lead to the same place more often.
      const goesOn = moves.filter((move) => Math.floor(move / ACTOR) === last);
      const among = goesOn.length > 0 && random.below(8) > 0 ? goesOn : moves;
      const move = among[random.below(among.length)]!;
      last = Math.floor(move / ACTOR);
      merging.take(move);
      exact.take(move);
      path.push(move);
      const key = `${merging.hashLow} ${merging.hashHigh}`;
      const state = `${exact.hashLow} ${exact.hashHigh}`;
      const known = first.get(key);
      if (known === undefined) first.set(key, { path: [...path], state });
      else if (known.state !== state) {
        pairs.set(`${known.state} ${state}`, { one: known.path, other: [...path] });
      }
    }
    for (const _ of path) {
      merging.undo();
      exact.undo();
    }
  }
  return [...pairs.values()];
}

const ACTOR = 256;

/** Goes on at random after one path, then the same way after the other. */
function follow(watch: Watch, { one, other }: Pair, ahead: number, random: Random) {
  const { harts } = watch;
  const way: Move[] = [];
  const looks: string[] = [];
  for (const move of one) harts.take(move);
  for (let i = 0; i < ahead && harts.always() === undefined; i++) {
    looks.push(watch.look());
    const moves = harts.moves();
    if (moves.length === 0) break;
    const move = moves[random.below(moves.length)]!;
    way.push(move);
    harts.take(move);
    looks.push(watch.did());
  }
  looks.push(harts.always() ?? 'holds');
  while (harts.depth > 0) harts.undo();
  const parted = compare(watch, other, way, looks);
  while (harts.depth > 0) harts.undo();
  return parted;
}

function compare(
  watch: Watch,
  path: readonly Move[],
  way: readonly Move[],
  looks: readonly string[],
): string | undefined {
  const { harts } = watch;
  for (const move of path) harts.take(move);
  let at = 0;
  for (const [i, move] of way.entries()) {
    const offered = watch.look();
    if (offered !== looks[at++]) return `${i} moves on: ${looks[at - 1]} or ${offered}`;
    harts.take(move);
    const did = watch.did();
    if (did !== looks[at++]) return `${i} moves on, ${offered}: ${looks[at - 1]} or ${did}`;
  }
  if (looks.length === at + 2 && watch.look() !== looks[at++]) return 'they end otherwise';
  const judged = harts.always() ?? 'holds';
  return judged === looks[at] ? undefined : `${looks[at]} or ${judged}`;
}

/** What can be told of a state and of a move without looking at how harts got there. */
class Watch {
  readonly harts: Harts;
  readonly #alike: ReadonlySet<number>;

  constructor(harts: Harts, alike: ReadonlySet<number>) {
    this.harts = harts;
    this.#alike = alike;
  }

  /** Moves, by name, and what each hart offers. */
  look(): string {
    const { harts } = this;
    const moves = harts.moves().map((move) => `${move} ${harts.describe(move)}`);
    const views = Array.from({ length: harts.count }, (_, hart) => {
      const { offer, label, choices, space, buffered, locks } = harts.view(hart);
      const signals = harts.inFlight(hart).join(' ');
      return [offer, label, choices, space, buffered, locks, harts.cached(hart), signals].join(' ');
    });
    return `${moves.join('; ')} | ${views.join('; ')}`;
  }

  /** What the last move did; of counters of which only a part matters, that it wrote them. */
  did(): string {
    const { lastLeaf } = this.harts;
    if (lastLeaf === undefined) return 'hardware';
    const { effects, touched } = lastLeaf;
    const said: string[] = [];
    for (let i = 0; i < effects.length; i += 3) {
      const [kind, a, b] = [effects[i]!, effects[i + 1]!, effects[i + 2]!];
      said.push(`${kind} ${a} ${kind === Effect.write && this.#alike.has(a) ? '*' : b}`);
    }
    return `${said.join('; ')} | ${touched.join(' ')}`;
  }
}
