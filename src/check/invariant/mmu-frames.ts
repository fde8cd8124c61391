/** Which frames a TDP MMU and its backing own: what is to be accounted for at rest. */
import type { AnonymousBacking } from '../../hypervisor/backing/anonymous.ts';
import type { PageRange } from '../../hypervisor/mmu/common.ts';
import type { TdpMmu, TdpSlots } from '../../hypervisor/mmu/tdp/mmu.ts';
import type { StatePromise } from '../promise.ts';
import { type Claim, framesOwned, type PoolUse } from './frames-owned.ts';
import { tableFrames } from './tables.ts';
import { Onlooker, type View } from './view.ts';

const OWNED = {
  id: 'frames.owned',
  title: 'at rest every frame that was handed out has exactly one owner',
  source: 'primer/x86.md 2.8, I5; leaks and double frees',
} as const;

/** Tables below the root, and zeroed tables that CPUs keep at hand. */
export function mmuClaims(view: View, mmu: TdpMmu): Claim[] {
  const [, ...tables] = tableFrames(view, mmu.format, mmu.root);
  return [{ owner: 'a table', frames: tables }, spareClaim(view, mmu)];
}

function spareClaim(view: View, mmu: TdpMmu): Claim {
  const spares: number[] = [];
  for (let seat = 0; seat < mmu.platform.cpus; seat++) {
    const { me } = new Onlooker(view, seat);
    for (let frame = mmu.takeSpare(me); isFrame(frame); frame = mmu.takeSpare(me)) {
      spares.push(frame);
    }
  }
  return { owner: 'spares', frames: spares };
}

export function backingClaim(
  view: View,
  backing: AnonymousBacking,
  ranges: readonly PageRange[],
): Claim {
  const frames: number[] = [];
  for (const { first, end } of ranges) {
    for (let gfn = first; gfn < end; gfn++) {
      const frame = backing.peekFrame(view, gfn);
      if (frame >= 0) frames.push(frame);
    }
  }
  return { owner: 'the backing', frames };
}

/** What an exhausted list of spares gives is none: 0, or a count that went below it. */
export function isFrame(frame: number): boolean {
  return frame > 0 && frame < 2 ** 31;
}

/** Frames that wait for a grace period of the MMU's. */
export function deferredOf(mmu: TdpMmu): PoolUse['deferred'] {
  const { rcu } = mmu;
  return rcu === undefined ? undefined : { rcu, modes: mmu.vm.vcpus.map((v) => v.mode) };
}

/** The same of an MMU whose roots come and go: the roots are of the pool, too. */
export function slotFrames(mmu: TdpMmu, { roots }: TdpSlots, pages: number): StatePromise {
  return {
    ...OWNED,
    atRest: (view) => {
      const { frames, cpus } = mmu.platform;
      const tables = roots.seen(view).flatMap(({ frame }) => tableFrames(view, mmu.format, frame));
      const claims = [
        { owner: 'a table', frames: tables },
        spareClaim(view, mmu),
        backingClaim(view, mmu.backing, [{ first: 0, end: pages }]),
      ];
      const deferred = deferredOf(mmu);
      return framesOwned(view, { pool: frames, cpus, slabs: [], claims, deferred });
    },
  };
}

/** At rest no frame of the MMU's pool is lost, and none has two owners. */
export function tdpFrames(mmu: TdpMmu, memory: readonly PageRange[]): StatePromise {
  return {
    ...OWNED,
    atRest: (view) => {
      const { frames, cpus } = mmu.platform;
      const claims = [...mmuClaims(view, mmu), backingClaim(view, mmu.backing, memory)];
      return framesOwned(view, {
        pool: frames,
        cpus,
        slabs: [],
        claims,
        deferred: deferredOf(mmu),
      });
    },
  };
}
