/**
 * The bad twins of src/check/invariant: in a system at rest one word is changed, and exactly one
 * sentence names the page and the two values that disagree. A reader that could not see it would
 * prove nothing in quiescence.test.ts.
 */

import { describe, expect, it, vi } from 'vitest';
import { kpopTree } from '../../src/check/invariant/kpop-tree.ts';
import { shadowEntries, shadowPages } from '../../src/check/invariant/shadow-pages.ts';
import { leafOf, usedEntries } from '../../src/check/invariant/tables.ts';
import { hex, Onlooker } from '../../src/check/invariant/view.ts';
import type { Taken } from '../../src/guest/l1/book/book.ts';
import { SlotState, slotWord } from '../../src/guest/l1/book/slot.ts';
import { MmuWords } from '../../src/hypervisor/mmu/common.ts';
import { TableWords } from '../../src/hypervisor/mmu/kpop/space.ts';
import type { Word64 } from '../../src/machine/format/format.ts';
import { complaints, planOf, type Quiescent, runToRest } from './quiescent.ts';

vi.mock('../../src/alloc/slab.ts', async (real) =>
  (await import('./observed.ts')).watch(await real<object>(), 'Slab' as never),
);
vi.mock('../../src/hypervisor/backing/anonymous.ts', async (real) =>
  (await import('./observed.ts')).watch(await real<object>(), 'AnonymousBacking' as never),
);
vi.mock('../../src/hypervisor/mmu/tdp/mmu.ts', async (real) =>
  (await import('./observed.ts')).watch(await real<object>(), 'TdpMmu' as never),
);
vi.mock('../../src/hypervisor/mmu/shadow/mmu.ts', async (real) =>
  (await import('./observed.ts')).watch(await real<object>(), 'ShadowMmu' as never),
);
vi.mock('../../src/hypervisor/mmu/kpop/space.ts', async (real) =>
  (await import('./observed.ts')).watch(await real<object>(), 'Space' as never),
);
vi.mock('../../src/guest/l1/kpop.ts', async (real) =>
  (await import('./observed.ts')).watch(await real<object>(), 'KpopGuest' as never),
);

const VCPUS = 2;
const atRest = new Map<string, Quiescent>();

function rest(design: string): Quiescent {
  const plan = planOf('touch:pages=20', VCPUS);
  const q = atRest.get(design) ?? runToRest({ design, plan, vcpus: VCPUS, seed: 1 });
  atRest.set(design, q);
  return q;
}

/** What everybody says while the host's word at `at` is another one. */
function twin(q: Quiescent, at: number, word: Word64 | number): string[] {
  const { memory } = q.system.machine;
  const before = { ...q.host.word(at) };
  if (typeof word === 'number') memory.write(at, word);
  else memory.writeHalves(at, word.lo, word.hi);
  const said = complaints(q);
  memory.writeHalves(at, before.lo, before.hi);
  expect(complaints(q)).toEqual([]);
  return said;
}

function hostLeaf(q: Quiescent, page: number) {
  return leafOf(q.host, q.tdp.format, q.tdp.root, page)!;
}

describe('tdp', () => {
  it('a leaf that maps another frame: page, frame, backing', () => {
    const q = rest('tdp');
    const { page, at, entry } = usedEntries(q.host, q.tdp.format, q.tdp.root).at(-1)!;
    const said = twin(q, at, { lo: entry.lo ^ 0x1000, hi: entry.hi });
    expect(said).toEqual([
      `page ${hex(page)}: mapped to frame ${hex(entry.pfn ^ 1)}, backed by ${hex(entry.pfn)}`,
    ]);
  });

  it('an entry left frozen, an invalidation left open: named', () => {
    const q = rest('tdp');
    const { page, at } = usedEntries(q.host, q.tdp.format, q.tdp.root).at(-1)!;
    expect(twin(q, at, q.tdp.format.frozen)).toEqual([
      `page ${hex(page)}: its entry of level 0 is frozen, nobody owns it`,
    ]);
    expect(twin(q, q.tdp.words + MmuWords.at.inProgress, 2)).toEqual([
      '2 invalidations are open, expected 0',
    ]);
  });

  it('a table that nobody links any more: its frame has no owner', () => {
    const q = rest('tdp');
    const used = usedEntries(q.host, q.tdp.format, q.tdp.root);
    const { at, entry } = used.filter((found) => found.entry.kind === 'table').at(-1)!;
    expect(twin(q, at, q.tdp.format.empty)).toEqual([
      `1 frames have no owner, objects fill 0: ${hex(entry.pfn)}`,
    ]);
  });

  it('a frame on the free list that backs a page: both owners', () => {
    const q = rest('tdp');
    const onlooker = new Onlooker(q.host, 0);
    const free = onlooker.runPrivate((me) => q.tdp.platform.frames.take(me))!;
    const { page, entry } = usedEntries(q.host, q.tdp.format, q.tdp.root).at(-1)!;
    const { backing } = q.tdp;
    const word = onlooker.firstAddress((me) => backing.resident(me, page));
    const said = twin(q, word, free + 1);
    expect(said).toContain(
      `frame ${hex(free)}: owned by the backing and by the free list of CPU 0`,
    );
    expect(said).toContain(
      `page ${hex(page)}: mapped to frame ${hex(entry.pfn)}, backed by ${hex(free)}`,
    );
    expect(said).toContain(`1 frames have no owner, objects fill 0: ${hex(entry.pfn)}`);
    expect(said).toHaveLength(3);
  });
});

describe('nested', () => {
  function lastLeaf(q: Quiescent) {
    const leaves = shadowPages(q.host, q.shadow!, q.l1Pages)
      .flatMap((page) => shadowEntries(q.host, q.shadow!, page))
      .filter(({ entry }) => entry.kind === 'leaf');
    return leaves.at(-1)!;
  }

  function where(found: ReturnType<typeof lastLeaf>): string {
    return `entry ${found.index} of L1 table ${hex(found.of.gfn)} (level ${found.of.level})`;
  }

  it('N1: a shadow leaf that maps another frame: L1 page, frame, backing', () => {
    const q = rest('nested');
    const found = lastLeaf(q);
    const { at, entry, target } = found;
    expect(twin(q, at, { lo: entry.lo ^ 0x1000, hi: entry.hi })).toEqual([
      `${where(found)}: the shadow maps ${hex(entry.pfn ^ 1)}, ` +
        `L1 page ${hex(target)} is backed by ${hex(entry.pfn)}`,
    ]);
  });

  it('N3: EPT01 took the right to write away, the shadow kept it: both rights', () => {
    const q = rest('nested');
    const found = lastLeaf(q);
    const { at, entry } = hostLeaf(q, found.target);
    expect(twin(q, at, { lo: entry.lo & ~2, hi: entry.hi })).toEqual([
      `${where(found)}: the shadow allows rwx, EPT12 and EPT01 allow rx`,
    ]);
  });

  it('N1: a link to a table that L1 does not name: both tables', () => {
    const q = rest('nested');
    const pages = shadowPages(q.host, q.shadow!, q.l1Pages);
    const link = pages
      .flatMap((page) => shadowEntries(q.host, q.shadow!, page))
      .filter(({ entry }) => entry.kind === 'table')
      .at(-1)!;
    const said = twin(q, link.at, { lo: link.entry.lo ^ 0x1000, hi: link.entry.hi });
    const child = pages.find(({ header }) => header === link.target)!;
    expect(said).toEqual([
      `${where(link)}: points to frame ${hex(link.entry.pfn ^ 1)}, ` +
        `the SP's table is ${hex(child.table)}`,
    ]);
  });

  it('S1: a present leaf that the reverse map lacks: listed and present', () => {
    const q = rest('nested');
    const { of, index, target } = lastLeaf(q);
    const { me } = new Onlooker(q.host);
    expect(q.shadow!.reverseOf(me, target)).toHaveLength(1);
    const read: number[] = [];
    const spy = Object.assign(Object.create(me), {
      read(at: number): number {
        read.push(at);
        return q.host.read(at);
      },
      spend: () => undefined,
    });
    q.shadow!.reverseOf(spy, target);
    expect(twin(q, read[0]!, 0)).toEqual([
      `L1 page ${hex(target)}: listed nothing, present ${hex(of.header)}[${index}]`,
    ]);
  });

  it('S5: a shadowed table writable in EPT01, or counted twice: named', () => {
    const q = rest('nested');
    const { gfn } = shadowPages(q.host, q.shadow!, q.l1Pages)[0]!;
    const { at, entry } = hostLeaf(q, gfn);
    expect(twin(q, at, { lo: entry.lo | 2, hi: entry.hi })).toEqual([
      `L1 page ${hex(gfn)}: has 1 SPs, and is writable in EPT01`,
    ]);
    const counter = new Onlooker(q.host).firstAddress((me) => q.shadow!.isTracked(me, gfn));
    expect(twin(q, counter, 2)).toEqual([`L1 page ${hex(gfn)}: tracked 2 times, has 1 SPs`]);
  });
});

describe('kpop', () => {
  function lastPlace(q: Quiescent) {
    const places = kpopTree(q.host, q.space!).places;
    return places.filter(({ table, entry }) => table.level === 0 && entry.kind === 'leaf').at(-1)!;
  }

  it('K1: a hardware entry of another frame: L2 page, frame, L1 page, backing', () => {
    const q = rest('kpop');
    const { page, entry, intent, hardwareAt } = lastPlace(q);
    expect(twin(q, hardwareAt, { lo: entry.lo ^ 0x1000, hi: entry.hi })).toEqual([
      `L2 page ${hex(page)} (level 0): maps frame ${hex(entry.pfn ^ 1)}, ` +
        `L1 page ${hex(intent.payload)} is backed by ${hex(entry.pfn)}`,
    ]);
  });

  it('K1: fewer rights in the intent than in hardware: both rights', () => {
    const q = rest('kpop');
    const { page, intentAt } = lastPlace(q);
    const said = twin(q, intentAt, q.host.read(intentAt) - 2 * 8);
    expect(said).toEqual([`L2 page ${hex(page)} (level 0): allows rights 7, its intent 5`]);
  });

  it('an intent left locked: named', () => {
    const q = rest('kpop');
    const { page, intentAt } = lastPlace(q);
    expect(twin(q, intentAt, q.host.read(intentAt) + 1)).toEqual([
      `L2 page ${hex(page)} (level 0): its intent is locked, nobody runs`,
    ]);
  });

  it('K4: hardware emptied beside its item, or a list left locked: listed and present', () => {
    const q = rest('kpop');
    const { page, index, table, intent, hardwareAt } = lastPlace(q);
    expect(page).toBeGreaterThan(0);
    expect(twin(q, hardwareAt, q.space!.format.empty)).toEqual([
      `L1 page ${hex(intent.payload)}: listed ${hex(table.header)}[${index}], present nothing`,
    ]);
    const head = new Onlooker(q.host).firstAddress((me) =>
      q.space!.reverse.collect(me, intent.payload),
    );
    expect(twin(q, head, q.host.read(head) + 1)).toEqual([
      `L1 page ${hex(intent.payload)}: its list is locked, nobody runs`,
    ]);
  });

  it('a book that noted another L1 page, or never settled: both values', () => {
    const q = rest('kpop');
    const { page, intent } = lastPlace(q);
    const { book } = q.hypervisor!;
    const taken: Taken[] = [];
    const rule = { next: () => 0, look: '', take: '' };
    new Onlooker(q.l1).run((me) => book.sweep(me, { first: page, end: page + 1 }, rule, taken));
    const { slot } = taken[0]!;
    const frame = q.tdp.backing.peekFrame(q.host, Math.floor(slot / 4096));
    const at = frame * 4096 + (slot % 4096);
    const other = slotWord(intent.payload + 1, SlotState.valid);
    expect(twin(q, at, other)).toEqual([
      `L2 page ${hex(page)}: the book says ${hex(intent.payload + 1)}, ` +
        `the intent ${hex(intent.payload)}`,
    ]);
    const pending = q.host.read(at) - 1;
    expect(twin(q, at, pending)).toEqual([
      `L2 page ${hex(page)}: its slot ${hex(pending)} is not settled`,
    ]);
  });

  it('generations: a label beyond the finished flush, a flush finished before it began', () => {
    const q = rest('kpop');
    const { table } = lastPlace(q);
    expect(twin(q, table.header + TableWords.at.label, 1)).toEqual([
      `table ${hex(table.header)}: label 1, finished flush 0`,
    ]);
    expect(twin(q, q.space!.doneGen, 3)).toEqual(['finished flush 3, asked for 0']);
  });
});
