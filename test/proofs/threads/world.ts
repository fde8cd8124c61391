/** The pair as every worker thread builds it, and what a worker is told and tells. */
import { buildPair, type Pair } from '../pair.ts';
import { reclaimForLong, STOP_PAGE, type Tally, touchForLong } from '../reclaim.ts';
import { FlatMemory, MEMORY_FRAMES, type Weak } from './shared-machine.ts';

export interface Task {
  readonly cpu: number;
  readonly guests: number;
  /** How many frames the owner takes back. */
  readonly frames: number;
  readonly memory: SharedArrayBuffer;
  readonly control: SharedArrayBuffer;
  readonly weaken: readonly (readonly [string, Weak])[];
}

export interface Told {
  readonly acts: number;
  readonly interrupts: number;
  readonly tally: Tally;
}

const HOT_PAGES = 2;

export function buildShared(task: Pick<Task, 'guests' | 'frames'>, tally: Tally): Pair {
  return buildPair({
    memory: new FlatMemory(MEMORY_FRAMES),
    pool: MEMORY_FRAMES - 512,
    accessDirty: false,
    mapped: { first: STOP_PAGE, end: STOP_PAGE + 1 },
    guests: Array.from({ length: task.guests }, () => touchForLong(HOT_PAGES)),
    owners: [reclaimForLong(HOT_PAGES, task.frames, tally)],
  });
}
