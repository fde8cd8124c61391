/**
 * Books as trees of nodes under a lock that look-ups take too: a node per page (pKVM's first
 * tracker), or a node per run of pages that lie side by side on both levels and are in the same
 * state (its interval tree; maple trees share the idea). A node of the second kind is split where
 * part of it changes, and joined to its neighbours once it is valid.
 *
 * Source: pkvm_mapping of Linux (facts). Leaves out: the RCU look-ups of a maple tree.
 */
import { Slab } from '../../../alloc/slab.ts';
import type { PageRange } from '../../../hypervisor/mmu/common.ts';
import type { Platform } from '../../../hypervisor/platform.ts';
import type { Act, Routine } from '../../../runtime/act.ts';
import type { Context } from '../../../runtime/context.ts';
import { atomicLine, layout, plainLine } from '../../../runtime/layout.ts';
import { lock, type Spinlock, spinlock, unlock } from '../../../sync/spinlock.ts';
import type { Book, Inserted, Place, Rule, Taken } from './book.ts';
import { RbNode, RbTree } from './rb-tree.ts';
import { pieces, shardOf } from './shards.ts';
import { SLOT_STEP, SlotState, stateOf } from './slot.ts';

const { at } = RbNode;
const ShardWords = layout('l1.book-tree', { lock: atomicLine, root: plainLine });
/** A change of part of a node makes two more at most. */
const MOST_NEW = 2;

interface Shard {
  readonly lock: Spinlock;
  readonly tree: RbTree;
}

export type Joining = 'page' | 'run';

export class TreeBook implements Book {
  readonly keeps = true;
  readonly canWait = false;
  readonly #joining: Joining;
  readonly #shards: readonly Shard[];
  readonly #nodes: Slab;

  constructor(platform: Platform, shards: number, joining: Joining) {
    const { arena } = platform;
    this.#joining = joining;
    this.#nodes = new Slab(arena, platform.frames, RbNode.bytes, platform.cpus);
    this.#shards = Array.from({ length: shards }, () => {
      const words = arena.place(ShardWords);
      const guard = spinlock(words + ShardWords.at.lock, 'l1.book');
      return { lock: guard, tree: new RbTree(words + ShardWords.at.root) };
    });
  }

  *insert(cpu: Context, l2gfn: number, word: number): Routine<Inserted> {
    const node = yield* this.#nodes.take(cpu);
    const shard = this.#of(l2gfn);
    yield* lock(cpu, shard.lock, 'tree.insert.lock');
    const seen = wordIn(cpu, shard.tree, l2gfn);
    if (seen === 0) {
      fill(cpu, node, { first: l2gfn, end: l2gfn + 1 }, word);
      shard.tree.insert(cpu, node);
    }
    yield* unlock(cpu, shard.lock, 'tree.insert.unlock');
    if (seen !== 0) this.#nodes.give(cpu, node);
    return { slot: 0, seen };
  }

  change(cpu: Context, { l2gfn }: Place, from: number, to: number, take: string): Act {
    const next = (word: number): number => (word === from ? to : word);
    return cpu.call(this.#change(cpu, l2gfn, { next, look: take, take }));
  }

  *#change(cpu: Context, l2gfn: number, rule: Rule): Routine<boolean> {
    const taken: Taken[] = [];
    yield* this.sweep(cpu, { first: l2gfn, end: l2gfn + 1 }, rule, taken);
    return taken.length > 0;
  }

  *sweep(cpu: Context, range: PageRange, rule: Rule, taken: Taken[]): Routine<boolean> {
    let any = false;
    for (const piece of pieces(range, this.#shards.length)) {
      const spare: number[] = [];
      for (let i = 0; i < this.#mostNew; i++) spare.push(yield* this.#nodes.take(cpu));
      const { lock: guard, tree } = this.#of(piece.first);
      yield* lock(cpu, guard, rule.take);
      if (this.#apply(cpu, tree, piece, rule, { spare, taken })) any = true;
      yield* unlock(cpu, guard, 'tree.sweep.unlock');
      for (const node of spare) this.#nodes.give(cpu, node);
    }
    return any;
  }

  /** The rule as it is made by whoever kills: what is killed in these pages is the caller's. */
  empty(cpu: Context, killed: Taken): Act {
    return cpu.call(this.#empty(cpu, killed));
  }

  *#empty(cpu: Context, killed: Taken): Routine<void> {
    const next = (word: number): number => (stateOf(word) === SlotState.killed ? 0 : word);
    const take = 'l1.invalidate.emptied';
    yield* this.sweep(cpu, killed, { next, look: take, take }, []);
  }

  *wordOf(cpu: Context, l2gfn: number): Routine<number> {
    return wordIn(cpu, this.#of(l2gfn).tree, l2gfn);
  }

  get slabs(): Book['slabs'] {
    return [{ slab: this.#nodes, bytes: RbNode.bytes }];
  }

  bytes(peek: (at: number) => number): number {
    return this.#nodes.bytesInUse(peek) + this.#shards.length * ShardWords.bytes;
  }

  get #mostNew(): number {
    return this.#joining === 'run' ? MOST_NEW : 0;
  }

  #of(l2gfn: number): Shard {
    return this.#shards[shardOf(l2gfn, this.#shards.length)]!;
  }

  /** Under the lock; whether any page of the range has a word. */
  #apply(
    cpu: Context,
    tree: RbTree,
    range: PageRange,
    rule: Rule,
    { spare, taken }: { readonly spare: number[]; readonly taken: Taken[] },
  ): boolean {
    let any = false;
    let node = firstIn(cpu, tree, range);
    while (node !== 0 && cpu.read(node + at.first) < range.end) {
      any = true;
      const inside = overlap(cpu, node, range);
      const seen =
        cpu.read(node + at.word) + (inside.first - cpu.read(node + at.first)) * SLOT_STEP;
      const next = rule.next(seen);
      let following = tree.next(cpu, node);
      if (next !== seen) {
        taken.push({ ...inside, slot: 0 });
        const cut = this.#cut(cpu, tree, node, inside, spare);
        if (next === 0) this.#drop(cpu, tree, cut, spare);
        else {
          cpu.write(cut + at.word, next);
          const joined = this.#joining === 'run' ? this.#join(cpu, tree, cut, spare) : cut;
          following = tree.next(cpu, joined);
        }
      }
      node = following;
    }
    return any;
  }

  /** The part `inside` of a node as a node of its own. */
  #cut(cpu: Context, tree: RbTree, node: number, inside: PageRange, spare: number[]): number {
    let part = node;
    if (inside.first > cpu.read(node + at.first))
      part = split(cpu, tree, node, inside.first, spare);
    if (inside.end < cpu.read(part + at.end)) split(cpu, tree, part, inside.end, spare);
    return part;
  }

  /** Joins a valid node to its neighbours where the pages go on on both levels; what is left. */
  #join(cpu: Context, tree: RbTree, node: number, spare: number[]): number {
    if (stateOf(cpu.read(node + at.word)) !== SlotState.valid) return node;
    const first = cpu.read(node + at.first);
    const before = first === 0 ? 0 : tree.floor(cpu, first - 1);
    const left = goesOn(cpu, before, node) ? before : node;
    if (left !== node) this.#absorb(cpu, tree, left, node, spare);
    const after = tree.next(cpu, left);
    if (goesOn(cpu, left, after)) this.#absorb(cpu, tree, left, after, spare);
    return left;
  }

  #absorb(cpu: Context, tree: RbTree, left: number, right: number, spare: number[]): void {
    cpu.write(left + at.end, cpu.read(right + at.end));
    this.#drop(cpu, tree, right, spare);
  }

  /** Out of the tree; its words as free objects have them. */
  #drop(cpu: Context, tree: RbTree, node: number, spare: number[]): void {
    tree.erase(cpu, node);
    for (const offset of Object.values(at)) cpu.write(node + offset, 0);
    spare.push(node);
  }
}

function fill(cpu: Context, node: number, { first, end }: PageRange, word: number): void {
  cpu.write(node + at.first, first);
  cpu.write(node + at.end, end);
  cpu.write(node + at.word, word);
}

/** A new node for the pages of `node` from `page` on. */
function split(cpu: Context, tree: RbTree, node: number, page: number, spare: number[]): number {
  const made = spare.pop()!;
  const [first, end] = [cpu.read(node + at.first), cpu.read(node + at.end)];
  const word = cpu.read(node + at.word) + (page - first) * SLOT_STEP;
  cpu.write(node + at.end, page);
  fill(cpu, made, { first: page, end }, word);
  tree.insert(cpu, made);
  return made;
}

/** Whether the right node, if there is one, is the left one's continuation. */
function goesOn(cpu: Context, left: number, right: number): boolean {
  if (left === 0 || right === 0) return false;
  const [first, end] = [cpu.read(left + at.first), cpu.read(left + at.end)];
  if (end !== cpu.read(right + at.first)) return false;
  return cpu.read(left + at.word) + (end - first) * SLOT_STEP === cpu.read(right + at.word);
}

function firstIn(cpu: Context, tree: RbTree, { first }: PageRange): number {
  const node = tree.floor(cpu, first);
  if (node === 0) return tree.first(cpu);
  return cpu.read(node + at.end) > first ? node : tree.next(cpu, node);
}

function overlap(cpu: Context, node: number, range: PageRange): PageRange {
  const first = Math.max(range.first, cpu.read(node + at.first));
  return { first, end: Math.min(range.end, cpu.read(node + at.end)) };
}

function wordIn(cpu: Context, tree: RbTree, l2gfn: number): number {
  const node = tree.floor(cpu, l2gfn);
  if (node === 0 || cpu.read(node + at.end) <= l2gfn) return 0;
  return cpu.read(node + at.word) + (l2gfn - cpu.read(node + at.first)) * SLOT_STEP;
}
