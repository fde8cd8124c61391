/** A scene whose executions are watched for races (DESIGN.md law 1). */
import { Racing, type RacingOptions } from '../../schedule/explore/racing.ts';
import type { Scene } from './scene.ts';
import { wordName } from './word-name.ts';

/** For any engine in place of the scene's harts, which stand at their start. */
export function watchRaces({ harts, checked }: Scene, merge: RacingOptions['merge']): Racing {
  const nameOf = (word: number): string => wordName(checked.structures ?? [], word * 8);
  return new Racing(harts, { merge, nameOf });
}
