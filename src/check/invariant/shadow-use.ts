/**
 * S6 and S5 where a guest's own tables are shadowed: a CPU in guest mode can use no more than the
 * guest's tables say, or have said since the guest's last flush on that CPU, composed with the
 * frames that back its pages now; and it cannot write to a table that is in step.
 */
import { RIGHT_USER, RIGHT_WRITE } from '../../machine/format/judge.ts';
import type { FramePool } from '../promise.ts';
import {
  type Broken,
  entriesOf,
  freeTable,
  type Usable,
  type Use,
  usableFor,
} from './guest-use.ts';
import type { Mirror } from './shadow-mirror.ts';
import { mustTrap, shadowPages } from './shadow-pages.ts';
import { hex, type View } from './view.ts';

export interface ShadowParts extends Mirror {
  readonly pool: FramePool;
  readonly linearPages: number;
  /** The promised space of a root of the guest's, by its guest frame. */
  spaceOf(root: number): number;
}

export function shadowMisuse(view: View, parts: ShadowParts, use: Use): Broken | undefined {
  const { hardware, space } = use;
  const { mmu, guestPages, pool } = parts;
  const free = (frame: number): boolean => pool.covers(frame) && pool.isFree(view, frame);
  for (const { kind, frame } of entriesOf(use)) {
    if (kind === 'table' && free(frame)) return freeTable(frame);
  }
  if (free(space)) return freeTable(space);
  const root = shadowPages(view, mmu, guestPages).find(({ table }) => table === space);
  if (root === undefined)
    return ['shadow.freed', `walks frame ${hex(space)}, the shadow of nothing`];
  for (let page = 0; page < parts.linearPages; page++) {
    for (const table of hardware.walk(space, page).tables) {
      if (table !== undefined && free(table)) return freeTable(table);
    }
    for (const usable of usableFor(hardware, use.cached, space, page)) {
      const wrong = misuseOf(view, parts, use, root.gfn, page, usable);
      if (wrong !== undefined) return wrong;
    }
  }
  return undefined;
}

function misuseOf(
  view: View,
  parts: ShadowParts,
  use: Use,
  root: number,
  page: number,
  { frame, rights }: Usable,
): Broken | undefined {
  const { backing } = parts.mmu;
  const said = usableFor(use.hardware, use.cached, parts.spaceOf(root), page);
  const matching = said.filter(
    (one) => backing.has(one.frame) && backing.peekFrame(view, one.frame) === frame,
  );
  const what = `may use page ${hex(page)} in frame ${hex(frame)}`;
  if (!matching.some((one) => (rights & ~one.rights & ~RIGHT_USER) === 0)) {
    return ['shadow.promised', `${what}; ${whatIsSaid(said, matching)}`];
  }
  if ((rights & RIGHT_WRITE) === 0 || use.locked) return undefined;
  const table = matching.find((one) => mustTrap(view, parts.mmu, one.frame));
  if (table === undefined) return undefined;
  return ['shadow.tracked', `may write to guest page ${hex(table.frame)}, a table in step`];
}

function whatIsSaid(said: readonly Usable[], matching: readonly Usable[]): string {
  if (matching.length > 0) return 'the guest has not given these rights since its last flush';
  const pages = said.map((one) => hex(one.frame)).join(' or ');
  return `since its last flush the guest has mapped ${pages === '' ? 'nothing' : pages}`;
}
