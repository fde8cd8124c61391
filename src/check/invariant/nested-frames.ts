/** Which frames L0 owns for a VM with guests of its own, and what is left of one that is gone. */
import type { ShadowedVm } from '../../hypervisor/nested/state.ts';
import { hasEnded } from '../../hypervisor/vcpu.ts';
import type { StatePromise } from '../promise.ts';
import { framesOwned } from './frames-owned.ts';
import { backingClaim, deferredOf, mmuClaims } from './mmu-frames.ts';
import { shadowPages } from './shadow-pages.ts';
import { usedEntries } from './tables.ts';
import { hex, type View } from './view.ts';

/** `begun`: word, not 0 once the VM is torn down; `torn`: word, 1 once that has returned. */
export interface Ending {
  readonly begun: number;
  readonly torn: number;
}

/** Leaks and double frees of EPT01, of the shadow and of VMCSs. */
export function nestedFrames(vm: ShadowedVm, l1Pages: number, { begun }: Ending): StatePromise {
  const { tdp, shadow } = vm;
  const { frames, cpus } = tdp.platform;
  return {
    id: 'frames.owned',
    title: 'at rest every frame that was handed out has exactly one owner',
    source: 'primer/x86.md 2.8, I5; 3.4, S7; leaks and double frees',
    atRest: (view) => {
      const pages = shadowPages(view, shadow, l1Pages);
      const blocks = vm.vcpus.flatMap((v) => [v.cached, v.shadowVmcs, v.vmcs02]);
      return framesOwned(view, {
        pool: frames,
        cpus,
        slabs: shadow.slabs,
        claims: [
          ...mmuClaims(view, tdp),
          backingClaim(view, tdp.backing, [{ first: 0, end: l1Pages }]),
          { owner: 'a shadow page', frames: pages.flatMap(({ table, mapped }) => [table, mapped]) },
          { owner: 'spares of the shadow', frames: shadow.peekSpares(view) },
          { owner: 'VMCSs of nesting', frames: view.read(begun) === 0 ? blocks : [] },
        ],
        deferred: deferredOf(tdp),
      });
    },
  };
}

export function nestedEnded(vm: ShadowedVm, l1Pages: number, { torn }: Ending): StatePromise {
  return {
    id: 'nested.torn',
    title: 'once a teardown has returned nothing is shadowed or mapped, and no vCPU goes on',
    source: 'primer/x86.md 2.4, root free; 3.4, S7',
    always: (view) => (view.read(torn) === 0 ? undefined : remains(view, vm, l1Pages)),
  };
}

function remains(view: View, vm: ShadowedVm, l1Pages: number): string | undefined {
  const { tdp, shadow } = vm;
  for (const v of tdp.vm.vcpus) {
    if (!hasEnded(view.read(v.mode))) return `the VM is gone, and its vCPU ${v.index} goes on`;
  }
  const [page] = shadowPages(view, shadow, l1Pages);
  if (page !== undefined) return `the VM is gone, and L1 table ${hex(page.gfn)} is shadowed`;
  for (let gfn = 0; gfn < l1Pages; gfn++) {
    if (tdp.backing.peekFrame(view, gfn) >= 0) return `the VM is gone, and has page ${hex(gfn)}`;
    if (shadow.peekReverse(view, gfn).length > 0)
      return `the VM is gone, page ${hex(gfn)} is listed`;
  }
  // Who removes tables freezes their entry first, be it empty.
  const used = usedEntries(view, tdp.format, tdp.root).find(({ entry }) => entry.kind !== 'frozen');
  return used && `the VM is gone, and EPT01 has an entry for page ${hex(used.page)}`;
}
