/**
 * What is explored of a scene: its harts, and beside them the specification of the design's
 * operations where there is one. Specifications know no store buffers, and histories of three CPUs
 * multiply states beyond what can be exhausted, so those run without.
 */

import { cpusOf } from '../../litmus/index.ts';
import type { Litmus } from '../../litmus/litmus.ts';
import type { MemoryOrder } from '../../machine/explored/acts.ts';
import type { Explored } from '../../schedule/explore/system.ts';
import { Overseen } from './oversee.ts';
import type { Scene } from './scene.ts';

export function systemOf(scene: Scene, litmus: Litmus, order: MemoryOrder): Explored {
  return isOverseen(scene, litmus, order) ? new Overseen(scene) : scene.harts;
}

/** Whether operations are held against their specification. */
export function isOverseen({ checked }: Scene, litmus: Litmus, order: MemoryOrder): boolean {
  return checked.oracle !== undefined && order === 'sc' && cpusOf(litmus) <= 2;
}
