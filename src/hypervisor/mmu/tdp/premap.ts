/**
 * Boot-time mapping: what a VM's memory looks like after it has been running for a while
 * (`l1=warm`). Nobody runs yet, so tables are written as words, with the same codec and into the
 * same tree that the fault path uses.
 */
import type { Memory } from '../../../machine/memory.ts';
import { entryAt, type PageRange } from '../common.ts';
import type { TdpMmu } from './mmu.ts';

/** Maps every page of `range`, backed by frames of the host's pool; written to already or not. */
export function premap(
  memory: Memory,
  mmu: TdpMmu,
  range: PageRange,
  pages: 'dirty' | 'clean' = 'dirty',
): void {
  const { frames } = mmu.platform;
  const first = frames.reserve(memory, range.end - range.first);
  for (let gfn = range.first; gfn < range.end; gfn++) {
    const pfn = first + (gfn - range.first);
    mmu.backing.install(memory, gfn, pfn);
    install(memory, mmu, gfn, pfn, pages === 'dirty');
  }
}

function install(memory: Memory, mmu: TdpMmu, gfn: number, pfn: number, dirty: boolean): void {
  const { format } = mmu;
  let table = mmu.root;
  for (let level = format.geometry.levels - 1; level > 0; level--) {
    const at = entryAt(format.geometry, table, gfn, level);
    const index = memory.place(at);
    const word = { lo: memory.words[index]!, hi: memory.words[index + 1]! };
    const seen = format.decode(word, level);
    if (seen.kind === 'table') {
      table = seen.pfn;
      continue;
    }
    table = mmu.platform.frames.reserve(memory, 1);
    const link = format.table(table);
    memory.writeHalves(at, link.lo, link.hi);
  }
  const rights = { read: true, write: true, execute: true, user: true };
  const leaf = format.leaf({
    pfn,
    level: 0,
    rights,
    accessed: true,
    dirty,
    hostWritable: true,
    mmuWritable: true,
  });
  memory.writeHalves(entryAt(format.geometry, table, gfn, 0), leaf.lo, leaf.hi);
}
