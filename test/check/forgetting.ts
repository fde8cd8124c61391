/** What an exploration finds, as far as it must not depend on what harts forget. */
import { parseDesign } from '../../src/design/index.ts';
import type { Checked } from '../../src/design/system.ts';
import { buildScene, type SceneOptions } from '../../src/experiment/check/scene.ts';
import { litmusPrograms } from '../../src/litmus/index.ts';
import type { MemoryOrder } from '../../src/machine/explored/acts.ts';
import type { Forgetting } from '../../src/machine/explored/observer.ts';
import type { How } from '../../src/machine/explored/weakening.ts';
import type { Harts } from '../../src/schedule/explore/harts.ts';
import { exploreStateful } from '../../src/schedule/explore/stateful.ts';

/** One system: `design litmus order`, and a label with how it is weakened if it is. */
export type Sample = readonly [string, string, MemoryOrder, (readonly [string, How])?];

export interface Found {
  /** Names of broken promises. */
  readonly broken: readonly string[];
  /** Labels of which some execution must perform one, as bits. */
  readonly seen: number;
  /** Hashes of the words of states in which nothing moves, but for those of likenesses. */
  readonly ends: readonly number[];
}

export interface Explorations extends Found {
  readonly states: number;
  readonly exhausted: boolean;
}

export function sceneOf([design, id, order, weak]: Sample): SceneOptions {
  const litmus = litmusPrograms.find((each) => each.id === id);
  if (litmus === undefined) throw new Error(`no litmus program ${id}`);
  const weaken = weak === undefined ? [] : [{ label: weak[0], how: weak[1] }];
  return { choice: parseDesign(design), litmus, order, weaken };
}

/** Explores everything, broken promises or not. */
export function exploreAll(
  options: SceneOptions,
  forget: Forgetting,
  bounds: { readonly steps: number; readonly preemptions?: number },
): Explorations {
  const { harts, checked } = buildScene({ ...options, forget });
  const broken = new Set<string>();
  const ends = new Set<number>();
  const alike = likeHalves(checked);
  noteEnds(harts, alike, ends);
  const report = exploreStateful(harts, {
    ...bounds,
    isWanted: (message) => {
      broken.add(message.split(':', 1)[0]!);
      return false;
    },
  });
  return {
    broken: [...broken].sort(),
    seen: report.seen,
    ends: [...ends].sort((a, b) => a - b),
    states: report.states,
    exhausted: report.exhausted,
  };
}

/** Half-words of which only a part matters. */
export function likeHalves({ likenesses = [] }: Checked): ReadonlySet<number> {
  return new Set(likenesses.flatMap(({ halves }) => halves));
}

/** Notes the words of end states. */
function noteEnds(harts: Harts, alike: ReadonlySet<number>, ends: Set<number>): void {
  const atEnd = harts.atEnd.bind(harts);
  harts.atEnd = () => {
    ends.add(hashOf(harts.words, alike));
    return atEnd();
  };
}

function hashOf(words: Int32Array, alike: ReadonlySet<number>): number {
  let low = 0;
  let high = 0;
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!;
    if (word === 0 || alike.has(i)) continue;
    low = Math.imul(low ^ Math.imul(word, 0x85ebca6b) ^ i, 0x9e3779b1);
    high = Math.imul(high ^ Math.imul(word, 0xc2b2ae35) ^ i, 0x7feb352d);
    low ^= low >>> 15;
    high ^= high >>> 13;
  }
  return (low >>> 0) * 2 ** 21 + (high >>> 11);
}
