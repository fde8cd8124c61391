/**
 * Objects of one size, carved out of frames, with a list per CPU: nodes of books, headers of shadow
 * pages, items of reverse maps. A free object's first word links to the next.
 *
 * Leaves out: giving empty slabs back to the frame pool.
 */

import { zeroFrame } from '../machine/instruction.ts';
import { FRAME_BYTES } from '../machine/memory.ts';
import { Unit } from '../machine/preset/price.ts';
import type { Routine } from '../runtime/act.ts';
import type { Context } from '../runtime/context.ts';
import type { Arena } from './arena.ts';
import type { Frames } from './frames.ts';

const LINE_BYTES = 64;

export class Slab {
  readonly #frames: Frames;
  readonly #bytes: number;
  readonly #lists: number; // per CPU: head of the list, objects taken, objects given
  readonly #cpus: number;

  constructor(arena: Arena, frames: Frames, bytes: number, cpus: number) {
    this.#frames = frames;
    this.#bytes = bytes;
    this.#cpus = cpus;
    this.#lists = arena.take(cpus * LINE_BYTES);
  }

  /** Makes sure that the next `count` objects can be taken without allocating a frame. */
  *prepare(cpu: Context, count: number): Routine<void> {
    const list = this.#lists + cpu.seat * LINE_BYTES;
    let found = 0;
    for (let at = cpu.read(list); at !== 0 && found < count; at = cpu.read(at)) found++;
    if (found < count) yield* this.#refill(cpu, list);
  }

  /** Takes an object; its words are zero. */
  *take(cpu: Context): Routine<number> {
    cpu.spend(Unit.objectAllocated, 1);
    const list = this.#lists + cpu.seat * LINE_BYTES;
    if (cpu.read(list) === 0) yield* this.#refill(cpu, list);
    const object = cpu.read(list);
    cpu.write(list, cpu.read(object));
    cpu.write(object, 0);
    cpu.write(list + 8, cpu.read(list + 8) + 1);
    return object;
  }

  /** Gives an object back; its words except the first must be zero again. */
  give(cpu: Context, object: number): void {
    const list = this.#lists + cpu.seat * LINE_BYTES;
    cpu.write(object, cpu.read(list));
    cpu.write(list, object);
    cpu.write(list + 16, cpu.read(list + 16) + 1);
  }

  /** Bytes of objects in use, at quiescence, read through `peek`. */
  bytesInUse(peek: (at: number) => number): number {
    let objects = 0;
    for (let cpu = 0; cpu < this.#cpus; cpu++) {
      objects +=
        peek(this.#lists + cpu * LINE_BYTES + 8) - peek(this.#lists + cpu * LINE_BYTES + 16);
    }
    return objects * this.#bytes;
  }

  *#refill(cpu: Context, list: number): Routine<void> {
    const frame = yield* this.#frames.take(cpu);
    yield zeroFrame(cpu, frame, 'slab.zero');
    let next = cpu.read(list); // what is left stays behind the new ones
    for (let at = FRAME_BYTES - (FRAME_BYTES % this.#bytes); at >= this.#bytes; at -= this.#bytes) {
      const object = frame * FRAME_BYTES + at - this.#bytes;
      cpu.write(object, next);
      next = object;
    }
    cpu.write(list, next);
  }
}
