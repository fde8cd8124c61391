/**
 * L1's books, every kind on the same random work: each is what a plain map would be, gives back the
 * objects it no longer needs, and a tree stays balanced.
 */
import { describe, expect, it } from 'vitest';
import { Arena } from '../../src/alloc/arena.ts';
import { Frames } from '../../src/alloc/frames.ts';
import { Random } from '../../src/base/random.ts';
import { Onlooker, type View } from '../../src/check/invariant/view.ts';
import type { Book, Rule, Taken } from '../../src/guest/l1/book/book.ts';
import { type BookKind, makeBook } from '../../src/guest/l1/book/kinds.ts';
import { RbNode, RbTree } from '../../src/guest/l1/book/rb-tree.ts';
import type { Shards } from '../../src/guest/l1/book/shards.ts';
import { SlotState, slotWord, stateOf } from '../../src/guest/l1/book/slot.ts';
import type { Platform } from '../../src/hypervisor/platform.ts';
import { type Routine, won } from '../../src/runtime/act.ts';

const NOTHING: View = { read: () => 0, word: () => ({ lo: 0, hi: 0 }) };
/** Two slots, the second over the border of a GiB. */
const GIB = 2 ** 18;
const MEMORY = [
  { first: 0, end: 40 },
  { first: GIB - 20, end: GIB + 20 },
];
const PAGES = MEMORY.flatMap(({ first, end }) =>
  Array.from({ length: end - first }, (_, i) => first + i),
);

function desk(kind: BookKind, shards: Shards): { look: Onlooker; book: Book } {
  const arena = new Arena(1, 4096);
  const region = { base: 4096, limit: 8192 };
  const frames = new Frames(arena, region, 1);
  const boot = { write: () => undefined, read: () => 0 };
  const platform = { name: 'l1', arena, frames, cpus: 1, boot } as unknown as Platform;
  return { look: new Onlooker(NOTHING), book: makeBook(platform, MEMORY, { kind, shards }) };
}

const KILL: Rule = {
  next: (word) => word - stateOf(word) + SlotState.killed,
  look: 'look',
  take: 'take',
};

describe.each(['xarray', 'rbtree', 'interval', 'flat'] as const)('%s', (kind) => {
  it.each(['1', 'gib'] as const)('is what a map would be, shards=%s', (shards) => {
    const { look, book } = desk(kind, shards);
    const random = new Random(3, 1);
    const model = new Map<number, number>();
    for (let i = 0; i < 1500; i++) {
      const page = PAGES[random.below(PAGES.length)]!;
      const word = slotWord(page + 1000, SlotState.pending, 5);
      const what = random.below(4);
      if (what < 3) {
        const { slot, seen } = look.run((me) => book.insert(me, page, word))!;
        expect(seen).toBe(model.get(page) ?? 0);
        if (seen !== 0) continue;
        const to = what === 0 ? 0 : slotWord(page + 1000, SlotState.valid);
        const changed = look.run(function* change(me): Routine<boolean | string> {
          const at = { l2gfn: page, slot };
          if (won(yield book.change(me, at, word + 4, 0, 'no'))) return 'another word';
          return won(yield book.change(me, at, word, to, 'yes'));
        });
        expect(changed).toBe(true);
        if (to !== 0) model.set(page, to);
        continue;
      }
      const range = { first: page, end: page + 1 + random.below(12) };
      const taken: Taken[] = [];
      const inside = [...model.keys()].filter((each) => each >= range.first && each < range.end);
      const any = look.run((me) => book.sweep(me, range, KILL, taken));
      expect([any, taken.reduce((sum, { first, end }) => sum + end - first, 0)]).toEqual([
        inside.length > 0,
        inside.length,
      ]);
      look.run(function* empty(me): Routine<void> {
        for (const each of taken) yield book.empty(me, each);
      });
      for (const each of inside) model.delete(each);
    }
    const found = PAGES.map((page) => look.run((me) => book.wordOf(me, page)));
    expect(found).toEqual(PAGES.map((page) => model.get(page) ?? 0));
    const all: Taken[] = [];
    for (const range of MEMORY) look.run((me) => book.sweep(me, range, KILL, all));
    look.run(function* empty(me): Routine<void> {
      for (const each of all) yield book.empty(me, each);
    });
    const isTree = kind === 'rbtree' || kind === 'interval';
    for (const { slab } of isTree ? book.slabs : []) {
      expect(slab.bytesInUse((at) => look.memory.read(at))).toBe(0);
    }
  });
});

it('interval: pages that lie side by side on both levels share a node', () => {
  const { look, book } = desk('interval', '1');
  const fill = (page: number, l1gfn: number): void => {
    const word = slotWord(l1gfn, SlotState.pending, 1);
    look.run((me) => book.insert(me, page, word));
    const valid = slotWord(l1gfn, SlotState.valid);
    look.run(function* settle(me): Routine<void> {
      yield book.change(me, { l2gfn: page, slot: 0 }, word, valid, 'settle');
    });
  };
  const nodes = (): number => {
    const [{ slab, bytes }] = book.slabs as [Book['slabs'][number]];
    return slab.bytesInUse((at) => look.memory.read(at)) / bytes;
  };
  for (const page of [3, 1, 2, 5]) fill(page, page + 100);
  expect(nodes()).toBe(2); // 1-3 and 5
  fill(4, 999); // not side by side in L1's memory
  expect(nodes()).toBe(3);
  const taken: Taken[] = [];
  look.run((me) => book.sweep(me, { first: 2, end: 3 }, KILL, taken));
  expect([nodes(), taken]).toEqual([5, [{ first: 2, end: 3, slot: 0 }]]); // 1, 2, 3, 4, 5
});

it('a red-black tree keeps its order, and no way down is twice as long as another', () => {
  const { me } = new Onlooker(NOTHING);
  const tree = new RbTree(64);
  const random = new Random(9, 1);
  const nodeOf = (key: number): number => 4096 + key * RbNode.bytes;
  const keys = new Set<number>();
  /** Black nodes on each way down from a node; a red one has no red child. */
  const blacks = (node: number): number => {
    if (node === 0) return 0;
    const { left, right, red, parent } = RbNode.at;
    const [l, r] = [me.read(node + left), me.read(node + right)];
    for (const child of [l, r]) {
      if (child === 0) continue;
      expect(me.read(child + parent)).toBe(node);
      expect(me.read(node + red) + me.read(child + red)).toBeLessThan(2);
    }
    const [a, b] = [blacks(l), blacks(r)];
    expect(a).toBe(b);
    return a + 1 - me.read(node + red);
  };
  for (let i = 0; i < 600; i++) {
    const key = random.below(64);
    if (keys.delete(key)) tree.erase(me, nodeOf(key));
    else {
      keys.add(key);
      me.write(nodeOf(key) + RbNode.at.first, key);
      tree.insert(me, nodeOf(key));
    }
    blacks(me.read(64));
    const order: number[] = [];
    for (let node = tree.first(me); node !== 0; node = tree.next(me, node)) {
      order.push(me.read(node + RbNode.at.first));
    }
    expect(order).toEqual([...keys].sort((a, b) => a - b));
  }
});
