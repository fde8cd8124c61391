/**
 * No frame is lost and none has two owners: every frame that a pool has handed out is exactly one
 * of a free list's, a backing page, a table, a spare, or a slab's. Frames of the boot region are
 * not the pool's.
 */
import { FRAME_BYTES } from '../../machine/memory.ts';
import type { Routine } from '../../runtime/act.ts';
import type { Context } from '../../runtime/context.ts';
import { hex, Onlooker, type View } from './view.ts';

/** A pool of frames, as far as a checker needs it. */
export interface FramePool {
  take(cpu: Context): Routine<number>;
  reserve(
    memory: { read(at: number): number; write(at: number, value: number): void },
    count: number,
  ): number;
}

/** Objects carved out of frames of the pool. */
export interface ObjectPool {
  take(cpu: Context): Routine<number>;
  bytesInUse(peek: (at: number) => number): number;
}

/** Readers of deferred frames: see `sync/rcu.ts`. */
export interface GracePeriods {
  advance(cpu: Context, patience: 'try' | 'wait'): Routine<void>;
}

export interface Claim {
  readonly owner: string;
  readonly frames: readonly number[];
}

export interface PoolUse {
  readonly pool: FramePool;
  readonly cpus: number;
  readonly claims: readonly Claim[];
  readonly slabs: readonly { readonly slab: ObjectPool; readonly bytes: number }[];
  /** Frames that wait for a grace period, and the mode words that it waits for. */
  readonly deferred?: { readonly rcu: GracePeriods; readonly modes: readonly number[] } | undefined;
}

/** No vCPU thread has entered and left so often. */
const FAR_MODE = 2 ** 40 + 1;

export function framesOwned(view: View, use: PoolUse): string[] {
  const { first, end } = handedOut(view, use.pool);
  const owner = new Map<number, string>();
  const wrong: string[] = [];
  for (const claim of [...use.claims, ...freeLists(view, use)]) {
    for (const frame of claim.frames) {
      const other = owner.get(frame);
      if (other !== undefined) {
        wrong.push(`frame ${hex(frame)}: owned by ${other} and by ${claim.owner}`);
      }
      owner.set(frame, claim.owner);
      if (frame < first || frame >= end) {
        wrong.push(`frame ${hex(frame)}: owned by ${claim.owner}, never handed out`);
      }
    }
  }
  const slabbed = slabFrames(view, use);
  const lost: number[] = [];
  for (let frame = first; frame < end; frame++) if (!owner.has(frame)) lost.push(frame);
  if (lost.length !== slabbed) {
    wrong.push(`${lost.length} frames have no owner, objects fill ${slabbed}: ${few(lost)}`);
  }
  return wrong;
}

/** Frames that left the pool's untouched part so far. */
function handedOut(view: View, pool: FramePool): { first: number; end: number } {
  let used = 0;
  const read = (at: number): number => {
    used = view.read(at);
    return used;
  };
  const end = pool.reserve({ read, write: () => undefined }, 0);
  return { first: end - used, end };
}

/** Every CPU's free list, with what will be on it when all grace periods are over. */
function freeLists(view: View, use: PoolUse): Claim[] {
  return Array.from({ length: use.cpus }, (_, seat) => {
    const onlooker = new Onlooker(view, seat);
    const { me } = onlooker;
    for (const mode of use.deferred?.modes ?? []) me.write(mode, FAR_MODE);
    for (let batch = 0; batch < 2; batch++) {
      if (use.deferred !== undefined) onlooker.run((cpu) => use.deferred!.rcu.advance(cpu, 'try'));
    }
    return { owner: `the free list of CPU ${seat}`, frames: drain(onlooker, use.pool) };
  });
}

/** Takes from a list of private words until it is empty, or turns in a circle. */
function drain(onlooker: Onlooker, pool: FramePool | ObjectPool): number[] {
  const taken: number[] = [];
  const seen = new Set<number>();
  for (;;) {
    const next = onlooker.runPrivate((cpu) => pool.take(cpu));
    if (next === undefined) return taken;
    taken.push(next);
    if (seen.has(next)) return taken;
    seen.add(next);
  }
}

/** Frames that the objects fill, used and free: a slab's frame never goes back. */
function slabFrames(view: View, use: PoolUse): number {
  let frames = 0;
  for (const { slab, bytes } of use.slabs) {
    let objects = slab.bytesInUse((at) => view.read(at)) / bytes;
    for (let seat = 0; seat < use.cpus; seat++) {
      objects += drain(new Onlooker(view, seat), slab).length;
    }
    frames += objects / Math.floor(FRAME_BYTES / bytes);
  }
  return frames;
}

function few(frames: readonly number[]): string {
  return frames.length === 0 ? 'none' : frames.slice(0, 8).map(hex).join(' ');
}
