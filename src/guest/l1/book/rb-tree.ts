/**
 * A red-black tree of nodes in simulated memory, ordered by `first`; no two nodes have the same.
 * Who calls holds the tree's lock: every word is plain, and nothing here is an act.
 *
 * Source: the algorithm of any textbook; shape and use as lib/rbtree.c of Linux (facts). An empty
 * child or parent is address 0, so removal carries the parent of what may be empty.
 */
import { Unit } from '../../../machine/preset/price.ts';
import type { Context } from '../../../runtime/context.ts';
import { layout, plain, plainLine } from '../../../runtime/layout.ts';

export const RbNode = layout('l1.rb-node', {
  left: plainLine,
  right: plain,
  parent: plain,
  red: plain,
  /** Pages `first` .. `end - 1`. */
  first: plain,
  end: plain,
  /** What the book says of the first of them. */
  word: plain,
});

const { at } = RbNode;
type Side = typeof at.left | typeof at.right;

function other(side: Side): Side {
  return side === at.left ? at.right : at.left;
}

export class RbTree {
  readonly #root: number; // address of the word that names the root

  constructor(root: number) {
    this.#root = root;
  }

  /** The node with the largest `first` that is not above `key`; 0 if there is none. */
  floor(cpu: Context, key: number): number {
    let found = 0;
    for (let node = cpu.read(this.#root); node !== 0; ) {
      cpu.spend(Unit.levelWalked, 1);
      const first = cpu.read(node + at.first);
      if (first === key) return node;
      if (first < key) found = node;
      node = cpu.read(node + (first < key ? at.right : at.left));
    }
    return found;
  }

  /** The next node in order; 0 after the last. */
  next(cpu: Context, node: number): number {
    let down = cpu.read(node + at.right);
    if (down !== 0) {
      for (let left = cpu.read(down + at.left); left !== 0; left = cpu.read(down + at.left)) {
        down = left;
      }
      return down;
    }
    let child = node;
    let parent = cpu.read(node + at.parent);
    while (parent !== 0 && cpu.read(parent + at.right) === child) {
      child = parent;
      parent = cpu.read(parent + at.parent);
    }
    return parent;
  }

  /** The first node of all; 0 if there is none. */
  first(cpu: Context): number {
    let found = 0;
    for (let node = cpu.read(this.#root); node !== 0; node = cpu.read(node + at.left)) {
      found = node;
    }
    return found;
  }

  /** Adds a node whose `first` is set. */
  insert(cpu: Context, node: number): void {
    const key = cpu.read(node + at.first);
    let parent = 0;
    let side: Side = at.left;
    for (let down = cpu.read(this.#root); down !== 0; down = cpu.read(down + side)) {
      cpu.spend(Unit.levelWalked, 1);
      parent = down;
      side = key < cpu.read(down + at.first) ? at.left : at.right;
    }
    cpu.write(node + at.left, 0);
    cpu.write(node + at.right, 0);
    cpu.write(node + at.parent, parent);
    cpu.write(node + at.red, 1);
    cpu.write(parent === 0 ? this.#root : parent + side, node);
    this.#balanceInsertion(cpu, node);
  }

  #balanceInsertion(cpu: Context, added: number): void {
    let node = added;
    for (;;) {
      const parent = cpu.read(node + at.parent);
      if (parent === 0 || cpu.read(parent + at.red) === 0) break;
      const above = cpu.read(parent + at.parent); // there is one: the root is black
      const side: Side = cpu.read(above + at.left) === parent ? at.left : at.right;
      const uncle = cpu.read(above + other(side));
      if (uncle !== 0 && cpu.read(uncle + at.red) === 1) {
        cpu.write(parent + at.red, 0);
        cpu.write(uncle + at.red, 0);
        cpu.write(above + at.red, 1);
        node = above;
        continue;
      }
      let top = parent;
      if (cpu.read(parent + other(side)) === node) {
        this.#rotate(cpu, parent, side);
        top = node;
      }
      cpu.write(top + at.red, 0);
      cpu.write(above + at.red, 1);
      this.#rotate(cpu, above, other(side));
      break;
    }
    cpu.write(cpu.read(this.#root) + at.red, 0);
  }

  /** Takes a node out; its words are left as they are. */
  erase(cpu: Context, node: number): void {
    const left = cpu.read(node + at.left);
    const right = cpu.read(node + at.right);
    let isRed = cpu.read(node + at.red);
    let child: number;
    let parent: number;
    if (left === 0 || right === 0) {
      child = left === 0 ? right : left;
      parent = cpu.read(node + at.parent);
      this.#replace(cpu, node, child);
    } else {
      const heir = this.next(cpu, node); // has no left child
      isRed = cpu.read(heir + at.red);
      child = cpu.read(heir + at.right);
      parent = cpu.read(heir + at.parent);
      if (parent === node) parent = heir;
      else {
        this.#replace(cpu, heir, child);
        cpu.write(heir + at.right, right);
        cpu.write(right + at.parent, heir);
      }
      this.#replace(cpu, node, heir);
      cpu.write(heir + at.left, left);
      cpu.write(left + at.parent, heir);
      cpu.write(heir + at.red, cpu.read(node + at.red));
    }
    if (isRed === 0) this.#balanceRemoval(cpu, child, parent);
  }

  /** `lacking`, or what is empty below `above`, has one black node too few on its way. */
  #balanceRemoval(cpu: Context, lacking: number, above: number): void {
    let node = lacking;
    let parent = above;
    while (parent !== 0 && (node === 0 || cpu.read(node + at.red) === 0)) {
      const side: Side = cpu.read(parent + at.left) === node ? at.left : at.right;
      let sibling = cpu.read(parent + other(side));
      if (cpu.read(sibling + at.red) === 1) {
        cpu.write(sibling + at.red, 0);
        cpu.write(parent + at.red, 1);
        this.#rotate(cpu, parent, side);
        sibling = cpu.read(parent + other(side));
      }
      const near = cpu.read(sibling + side);
      const far = cpu.read(sibling + other(side));
      if (!this.#isRed(cpu, near) && !this.#isRed(cpu, far)) {
        cpu.write(sibling + at.red, 1);
        node = parent;
        parent = cpu.read(node + at.parent);
        continue;
      }
      if (!this.#isRed(cpu, far)) {
        cpu.write(near + at.red, 0);
        cpu.write(sibling + at.red, 1);
        this.#rotate(cpu, sibling, other(side));
        sibling = near;
      }
      cpu.write(sibling + at.red, cpu.read(parent + at.red));
      cpu.write(parent + at.red, 0);
      cpu.write(cpu.read(sibling + other(side)) + at.red, 0);
      this.#rotate(cpu, parent, side);
      node = cpu.read(this.#root);
      break;
    }
    if (node !== 0) cpu.write(node + at.red, 0);
  }

  #isRed(cpu: Context, node: number): boolean {
    return node !== 0 && cpu.read(node + at.red) === 1;
  }

  /** Puts `heir`, or nothing, where `node` is. */
  #replace(cpu: Context, node: number, heir: number): void {
    const parent = cpu.read(node + at.parent);
    if (parent === 0) cpu.write(this.#root, heir);
    else {
      const side = cpu.read(parent + at.left) === node ? at.left : at.right;
      cpu.write(parent + side, heir);
    }
    if (heir !== 0) cpu.write(heir + at.parent, parent);
  }

  /** The child on the other side comes up, the node goes down to `side`. */
  #rotate(cpu: Context, node: number, side: Side): void {
    const up = cpu.read(node + other(side));
    const inner = cpu.read(up + side);
    this.#replace(cpu, node, up);
    cpu.write(node + other(side), inner);
    if (inner !== 0) cpu.write(inner + at.parent, node);
    cpu.write(up + side, node);
    cpu.write(node + at.parent, up);
  }
}
