/** What the pair promises, as questions that touch nothing. */
import type { GuestContext } from '../../src/machine/guest.ts';
import type { ExploredMachine } from './explored-machine.ts';
import { PAGES, type Pair } from './pair.ts';

const FRAME_BYTES = 4096;

/** No CPU in guest mode may still use a frame that does not back the page any more. */
export function staleTranslation(pair: Pair): string | undefined {
  for (const cpu of pair.machine.cpus) {
    if (cpu.guest === undefined) continue;
    const space = cpu.guestPhysicalSpace(pair.mmu.root);
    for (let gfn = 0; gfn < PAGES; gfn++) {
      const cached = cpu.tlb.lookup(space, gfn, 1);
      const backing = pair.frameOf(gfn);
      if (cached < 0 || cached === backing) continue;
      const now = backing < 0 ? 'nothing' : `frame ${backing}`;
      const who = `CPU ${cpu.id} in guest mode`;
      return `page ${gfn}: ${who} may use frame ${cached}, the host has ${now}`;
    }
  }
  return undefined;
}

/** No store of a guest waits in a buffer for a frame that was given back. */
export function strayStore(pair: Pair, explored: ExploredMachine): string | undefined {
  const guests = new Set<number>(pair.vm.vcpus.map((v) => (v.own.guest as GuestContext).id));
  const backed = new Set(Array.from({ length: PAGES }, (_, gfn) => pair.frameOf(gfn)));
  for (const buffer of explored.buffers) {
    for (const store of buffer.stores) {
      const frame = Math.floor(store.pa / FRAME_BYTES);
      if (guests.has(store.by) && !backed.has(frame))
        return `a guest's store to frame ${frame}, given back, is in a buffer`;
    }
  }
  return undefined;
}

/** Abstract map of the second stage: frame by guest page. */
export function mappedFrames(pair: Pair): Map<number, number> {
  const { machine, mmu } = pair;
  const { format } = mmu;
  const found = new Map<number, number>();
  const visit = (table: number, level: number, first: number): void => {
    const span = 2 ** (format.geometry.indexBits * level);
    for (let index = 0; index < 1 << format.geometry.indexBits; index++) {
      const at = machine.memory.indexOf(table * FRAME_BYTES + index * 8);
      const { words } = machine.memory;
      const entry = format.decode({ lo: words[at]!, hi: words[at + 1]! }, level);
      if (entry.kind === 'leaf') found.set(first + index * span, entry.pfn);
      if (entry.kind === 'table') visit(entry.pfn, level - 1, first + index * span);
    }
  };
  visit(mmu.root, format.geometry.levels - 1, 0);
  return found;
}

/** At rest every mapped page is mapped to the frame that backs it. */
export function strayMapping(pair: Pair): string | undefined {
  for (const [gfn, frame] of mappedFrames(pair)) {
    const backing = pair.frameOf(gfn);
    if (frame !== backing) return `page ${gfn} is mapped to ${frame}, its backing is ${backing}`;
  }
  return undefined;
}
