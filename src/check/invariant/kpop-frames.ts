/** Which frames KPOP's L0 owns: what is to be accounted for at rest. */
import { type Space, TableWords } from '../../hypervisor/mmu/kpop/space.ts';
import type { Vm } from '../../hypervisor/vcpu.ts';
import type { StatePromise } from '../promise.ts';
import { type Claim, framesOwned, type PoolUse } from './frames-owned.ts';
import { kpopTree } from './kpop-tree.ts';
import { backingClaim } from './mmu-frames.ts';
import type { View } from './view.ts';

function windowSlabs({ windows }: Space): PoolUse['slabs'] {
  return windows === undefined ? [] : [{ slab: windows.slab, bytes: windows.bytes }];
}

/** At rest no frame of the host's pool is lost, and none has two owners; `others` own some. */
export function kpopFrames(
  space: Space,
  vm: Vm,
  l1Pages: number,
  others: (view: View) => readonly Claim[] = () => [],
): StatePromise {
  const { frames, cpus } = space.platform;
  return {
    id: 'frames.owned',
    title: 'at rest every frame that was handed out has exactly one owner',
    source: 'primer/x86.md 6.10, K7; leaks and double frees',
    atRest: (view) => {
      const [, ...tables] = kpopTree(view, space).tables;
      const parts = tables.flatMap(({ hardware, intents, items }) => [hardware, intents, items]);
      const sections = Array.from({ length: cpus }, (_, id) => space.cpu(id).section);
      return framesOwned(view, {
        pool: frames,
        cpus,
        slabs: [{ slab: space.headers, bytes: TableWords.bytes }, ...windowSlabs(space)],
        claims: [
          { owner: 'a table page', frames: parts },
          ...others(view),
          backingClaim(view, space.l1Memory, [{ first: 0, end: l1Pages }]),
        ],
        deferred: {
          rcu: space.grace,
          modes: [...vm.vcpus.map((v) => v.mode), ...sections],
        },
      });
    },
  };
}
