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
  const dirty = pages === 'dirty';
  if (mmu.backing.huge !== undefined) {
    premapHuge(memory, mmu, range, dirty);
    return;
  }
  const { frames } = mmu.platform;
  const first = frames.reserve(memory, range.end - range.first);
  for (let gfn = range.first; gfn < range.end; gfn++) {
    const pfn = first + (gfn - range.first);
    mmu.backing.install(memory, gfn, pfn);
    install(memory, mmu, gfn, pfn, { level: 0, dirty });
  }
}

/** The same where the host has huge pages: whole blocks by one leaf each, what is left by page. */
function premapHuge(memory: Memory, mmu: TdpMmu, range: PageRange, dirty: boolean): void {
  const { backing, platform } = mmu;
  const huge = backing.huge!;
  for (let gfn = range.first; gfn < range.end; ) {
    let pfn = backing.installHuge(memory, gfn);
    const isWhole = pfn >= 0 && gfn % huge.pages === 0 && gfn + huge.pages <= range.end;
    if (pfn < 0) {
      pfn = platform.frames.reserve(memory, 1);
      backing.install(memory, gfn, pfn);
    }
    install(memory, mmu, gfn, pfn, { level: isWhole ? huge.level : 0, dirty });
    gfn += isWhole ? huge.pages : 1;
  }
}

function install(
  memory: Memory,
  mmu: TdpMmu,
  gfn: number,
  pfn: number,
  what: { readonly level: number; readonly dirty: boolean },
): void {
  const { format } = mmu;
  let table = mmu.root;
  for (let level = format.geometry.levels - 1; level > what.level; level--) {
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
  const execute = what.level === 0 || mmu.nx === undefined;
  const rights = { read: true, write: true, execute, user: true };
  const leaf = format.leaf({
    pfn,
    level: what.level,
    rights,
    accessed: true,
    dirty: what.dirty,
    hostWritable: true,
    mmuWritable: true,
  });
  memory.writeHalves(entryAt(format.geometry, table, gfn, what.level), leaf.lo, leaf.hi);
}
