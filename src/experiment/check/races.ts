/**
 * Executions of a scene watched for races (DESIGN.md law 1): random ones, and then every
 * interleaving as far as the budget goes.
 */
import type { Words } from '../../schedule/explore/races.ts';
import { RaceWatch, Racing, type RacingOptions } from '../../schedule/explore/racing.ts';
import { walkAtRandom } from '../../schedule/explore/random.ts';
import { exploreStateful } from '../../schedule/explore/stateful.ts';
import type { Move } from '../../schedule/explore/system.ts';
import type { Scene } from './scene.ts';
import { wordName } from './word-name.ts';

/** Random executions first, of so many moves at most; then so many moves in all. */
const WALKS = { runs: 60, depth: 2000 };
const STEPS = 40_000;

/** For any engine in place of the scene's harts, which stand at their start. */
export function watchRaces(scene: Scene, merge: RacingOptions['merge']): Racing {
  return new Racing(scene.harts, { merge, ...wordsOf(scene) });
}

/** For whoever takes the moves of the scene's harts in another way. */
export function followRaces(scene: Scene): RaceWatch {
  return new RaceWatch(scene.harts, wordsOf(scene));
}

function wordsOf({ checked }: Scene): Words {
  const { at, bytes } = checked.specified ?? { at: 0, bytes: 0 };
  return {
    nameOf: (word) => wordName(checked.structures ?? [], word * 8),
    isExempt: (word) => word * 8 >= at && word * 8 < at + bytes,
  };
}

export interface RaceLook {
  /** `memory.race: <sentence>`, or another promise that was met broken; '' if none was. */
  readonly message: string;
  readonly path: readonly Move[];
  /** What is known then, as a limit. */
  readonly says: string;
}

export function lookForRaces(
  scene: Scene,
  { seed, isOver }: { readonly seed: number; readonly isOver: () => boolean },
): RaceLook {
  const walked = walkAtRandom(watchRaces(scene, 'words'), { ...WALKS, seed, isOver });
  if (walked.message !== '') return { message: walked.message, path: walked.path, says: '' };
  const found = exploreStateful(watchRaces(scene, 'clocks'), { steps: STEPS, isOver });
  if (found.message !== '') return { message: found.message, path: found.path, says: '' };
  const isWhole = found.exhausted && found.cut === 0;
  const says = isWhole
    ? 'no race in any interleaving'
    : `no race in ${walked.executions} random executions and ${found.steps} moves of a search`;
  return { message: '', path: [], says };
}
