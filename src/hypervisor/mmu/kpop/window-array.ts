/**
 * The windows of an address space as words: a sorted array that is never changed once it is
 * published, and one pointer to it. Who wants others writes a new array and exchanges the pointer;
 * the old array is given back after a grace period. So the pointer is the version: it does not come
 * again while anybody who has read it looks on.
 */
import { Slab } from '../../../alloc/slab.ts';
import { FRAME_BYTES } from '../../../machine/memory.ts';
import { Unit } from '../../../machine/preset/price.ts';
import { num, type Routine, won } from '../../../runtime/act.ts';
import type { Context } from '../../../runtime/context.ts';
import { atomicLine, layout } from '../../../runtime/layout.ts';
import type { Rcu } from '../../../sync/rcu.ts';
import type { Platform } from '../../platform.ts';
import type { Window, Windows } from './window-plan.ts';

const PointerWords = layout('kpop.windows', { current: atomicLine });

/** One array fills a frame: its length, then elements of four words. */
const HEADER_BYTES = 32;
const ELEMENT_BYTES = 32;
const OPENER_UNIT = 8; // rights lie below

interface Words {
  read(at: number): number;
}

export class WindowArray {
  /** Word: address of the array in force; 0: there are no windows. */
  readonly current: number;
  readonly slab: Slab;
  readonly bytes = FRAME_BYTES;
  /** Set once all vCPUs exist. */
  rcu: Rcu | undefined;

  constructor({ arena, frames, cpus }: Platform) {
    this.current = arena.place(PointerWords) + PointerWords.at.current;
    this.slab = new Slab(arena, frames, this.bytes, cpus);
  }

  /** The window around a page, of the array `at`. */
  find(cpu: Context, at: number, page: number): Window | undefined {
    let low = 0;
    let high = cpu.read(at) - 1;
    while (low <= high) {
      cpu.spend(Unit.listElement, 1);
      const middle = (low + high) >> 1;
      const window = elementOf(cpu, at, middle);
      if (page < window.first) high = middle - 1;
      else if (page >= window.end) low = middle + 1;
      else return window;
    }
    return undefined;
  }

  /**
   * Exchanges the array for what `plan` makes of it; what it answers instead, if so. A locked
   * operation: whatever this thread looks at afterwards, it looks at once all see the new array.
   */
  *replace<R extends string>(
    cpu: Context,
    plan: (windows: Windows) => Windows | R,
  ): Routine<R | undefined> {
    cpu.attempt('kpop.windows');
    for (;;) {
      const seen = num(yield cpu.load(this.current, 'kpop.window.seen'));
      const before = seen === 0 ? [] : listOf(cpu, seen);
      const next = plan(before);
      if (typeof next === 'string') return next;
      if (next === before) {
        cpu.conclude('kpop.windows', 0);
        return undefined;
      }
      const array = next.length === 0 ? 0 : yield* this.#write(cpu, next);
      if (won(yield cpu.cas(this.current, seen, array, 'kpop.window.publish'))) {
        if (seen !== 0) yield* this.rcu!.defer(cpu, seen);
        cpu.conclude('kpop.windows', 1);
        return undefined;
      }
      if (array !== 0) this.discard(cpu, array);
      cpu.again('kpop.windows');
    }
  }

  /** Gives an array back; nobody can be looking at it. */
  discard(cpu: Context, array: number): void {
    const end = HEADER_BYTES + cpu.read(array) * ELEMENT_BYTES;
    for (let at = 0; at < end; at += 8) cpu.write(array + at, 0);
    this.slab.give(cpu, array);
  }

  /** For onlookers: the windows in force. */
  peek(view: Words): Windows {
    const at = view.read(this.current);
    return at === 0 ? [] : listOf(view, at);
  }

  *#write(cpu: Context, windows: Windows): Routine<number> {
    if (this.rcu!.hasWaiting(cpu)) yield* this.rcu!.advance(cpu, 'try');
    const array = yield* this.slab.take(cpu);
    cpu.write(array, windows.length);
    for (const [i, { first, end, l1gfn, prot, opener }] of windows.entries()) {
      cpu.spend(Unit.listElement, 1);
      const element = array + HEADER_BYTES + i * ELEMENT_BYTES;
      cpu.write(element, first);
      cpu.write(element + 8, end);
      cpu.write(element + 16, l1gfn);
      cpu.write(element + 24, opener * OPENER_UNIT + prot);
    }
    return array;
  }
}

function listOf(words: Words, at: number): Windows {
  return Array.from({ length: words.read(at) }, (_, i) => elementOf(words, at, i));
}

function elementOf(words: Words, at: number, index: number): Window {
  const element = at + HEADER_BYTES + index * ELEMENT_BYTES;
  const last = words.read(element + 24);
  return {
    first: words.read(element),
    end: words.read(element + 8),
    l1gfn: words.read(element + 16),
    prot: last % OPENER_UNIT,
    opener: Math.floor(last / OPENER_UNIT),
  };
}
