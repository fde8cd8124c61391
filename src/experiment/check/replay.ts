/**
 * An execution step by step: which move, by which CPU, and what was different afterwards. Follows
 * names as far as they fit.
 */
import type { CheckMove } from '../../measure/check.ts';
import { follow, type Parting } from '../../schedule/explore/names.ts';
import { actorOf } from '../../schedule/explore/system.ts';
import { Changes } from './changes.ts';
import { followRaces } from './races.ts';
import type { Scene } from './scene.ts';

export interface Replayed {
  readonly moves: readonly CheckMove[];
  /** Where the code left the schedule; undefined if it was followed to its end. */
  readonly parting: Parting | undefined;
  /** `<promise>: <sentence>` if one was broken by the last move. */
  readonly message: string | undefined;
}

/** Replays from the start of `scene`; with `loop`, whether the moves from there on repeat. */
export function replay(scene: Scene, names: readonly string[], loop = -1): Replayed {
  const { harts } = scene;
  const races = followRaces(scene);
  const changes = new Changes(scene);
  const moves: CheckMove[] = [];
  let before: readonly [number, number] | undefined;
  let message = follow(harts, []).message;
  for (let i = 0; i < names.length && message === undefined; i++) {
    if (i === loop) before = [harts.hashLow, harts.hashHigh];
    const name = names[i]!;
    const move = harts.moves().find((one) => harts.nameOf(one) === name);
    const says = move === undefined ? '' : harts.describe(move).replace(/^cpu\d+ /, '');
    const cpu = move === undefined ? -1 : harts.taskOf(actorOf(move));
    if (move !== undefined) races.about(move);
    const followed = follow(harts, [name]);
    if (followed.parting !== undefined) {
      const parting = { ...followed.parting, index: i };
      return { moves, parting, message: followed.message };
    }
    races.took();
    moves.push({ cpu, name, says, changes: changes.since() });
    message = followed.message;
  }
  if (message === undefined && before !== undefined) message = repeated(scene, before, loop);
  // Where another promise ended the execution, a race on the way did not.
  if (message === undefined && races.message !== '') message = races.message;
  return { moves, parting: undefined, message };
}

function repeated({ harts }: Scene, before: readonly number[], loop: number): string | undefined {
  if (before[0] !== harts.hashLow || before[1] !== harts.hashHigh) return undefined;
  return `progress.livelock: the state is again what it was before move ${loop + 1}`;
}
