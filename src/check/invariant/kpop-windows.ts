/** K15: what windows say ends with the UNMAP that takes it away, and fills of it as well. */
import type { Space } from '../../hypervisor/mmu/kpop/space.ts';
import type { StatePromise } from '../promise.ts';
import type { Revoked } from './kpop-state.ts';
import { hex } from './view.ts';

export function kpopWindows({ windows }: Space, revoked: Revoked): readonly StatePromise[] {
  if (windows === undefined) return [];
  return [
    {
      id: 'kpop.window',
      title: 'K15, K8: once UNMAP has returned, no window gives L2 the page',
      source: 'primer/x86.md 6.3, windows; 6.10, K15',
      always: (view) => {
        for (const { first, end, opener } of windows.peek(view)) {
          for (let page = first; page < end; page++) {
            if (opener === 0 && page < revoked.pages && view.read(revoked.at(page)) !== 0) {
              return `a window still has page ${hex(page)}, whose UNMAP has returned`;
            }
          }
        }
        return undefined;
      },
    },
  ];
}
