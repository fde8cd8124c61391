/**
 * S2, S4 and S5 where a guest's own long-mode tables are shadowed. An entry of a page in step has
 * no more rights than the guest's entry and what its page inherited, and lies in the frame that
 * backs the guest's page. A link leads to the shadow page of the table that the guest names, in the
 * role that the rights on the way call for. Who could write to a table in step would be seen.
 */
import { type ShadowMmu, UPPER } from '../../hypervisor/mmu/shadow/mmu.ts';
import {
  ACCESS_EXECUTE,
  ACCESS_USER,
  ACCESS_WRITE,
  Role,
} from '../../hypervisor/mmu/shadow/page.ts';
import type { Entry } from '../../machine/format/format.ts';
import { FRAME_BYTES } from '../../machine/memory.ts';
import {
  mustTrap,
  type Shadow,
  type ShadowEntry,
  shadowEntries,
  shadowPages,
} from './shadow-pages.ts';
import { guestView, hex, type View } from './view.ts';

/** A shadow of a guest that has so many frames, tables among them. */
export interface Mirror {
  readonly mmu: ShadowMmu;
  readonly guestPages: number;
}

export function mirrorsGuest(view: View, { mmu, guestPages }: Mirror): string[] {
  const guest = guestView(view, (gfn) => mmu.backing.peekFrame(view, gfn));
  const pages = shadowPages(view, mmu, guestPages);
  const byHeader = new Map(pages.map((page) => [page.header, page]));
  const wrong: string[] = [];
  for (const page of pages) {
    if (page.isUnsync) continue; // what the guest had said; S3 says that a sync will find it
    for (const found of shadowEntries(view, mmu, page)) {
      const at = page.gfn * FRAME_BYTES + found.index * 8;
      const said = mmu.format.decode(guest.word(at), page.level);
      const fault =
        found.entry.kind === 'leaf'
          ? leafFault(view, mmu, found, said)
          : linkFault(found, said, byHeader.get(found.target));
      if (fault === undefined) continue;
      wrong.push(`entry ${found.index} of guest table ${hex(page.gfn)}: ${fault}`);
    }
  }
  return wrong;
}

function leafFault(
  view: View,
  mmu: ShadowMmu,
  { of, entry, target }: ShadowEntry,
  said: Entry,
): string | undefined {
  if (said.kind !== 'leaf') return `the shadow maps ${hex(entry.pfn)}, the guest's is ${said.kind}`;
  if (target !== said.pfn) return `noted for guest page ${hex(target)}, not ${hex(said.pfn)}`;
  const frame = mmu.backing.has(said.pfn) ? mmu.backing.peekFrame(view, said.pfn) : -1;
  if (entry.pfn !== frame) return `the shadow maps ${hex(entry.pfn)}, not ${hex(frame)}`;
  const clean = said.dirty ? 0 : ACCESS_WRITE;
  const excess = accessOf(entry) & ~(accessOf(said) & Role.access(of.role) & ~clean);
  return excess === 0 ? undefined : `it allows ${excess} more than the guest's tables (ACC_ bits)`;
}

function linkFault(
  { of, entry, target }: ShadowEntry,
  said: Entry,
  child: Shadow | undefined,
): string | undefined {
  if (child === undefined) return `linked to SP ${hex(target)}, which does not exist`;
  const names = said.kind === 'table' ? said.pfn : -1;
  if (child.gfn !== names) return `linked to table ${hex(child.gfn)}, the guest says ${hex(names)}`;
  if (child.table !== entry.pfn)
    return `points to frame ${hex(entry.pfn)}, not ${hex(child.table)}`;
  if (child.level !== of.level - 1) return `linked to level ${child.level}`;
  const inherited = accessOf(said) & Role.access(of.role);
  const role = Role.access(child.role);
  return role === inherited ? undefined : `linked to a page of access ${role}, not ${inherited}`;
}

function accessOf({ write, user, execute }: Entry): number {
  return (write ? ACCESS_WRITE : 0) | (user ? ACCESS_USER : 0) | (execute ? ACCESS_EXECUTE : 0);
}

/** Tables are counted; one of an upper level is never out of step; one in step is not writable. */
export function tracksGuest(view: View, { mmu, guestPages }: Mirror): string[] {
  const wrong: string[] = [];
  const pages = shadowPages(view, mmu, guestPages);
  const expected = new Map<number, number>();
  for (const { gfn, level, isUnsync, isGhost } of pages) {
    if (isGhost) continue;
    expected.set(gfn, (expected.get(gfn) ?? 0) + (level > 0 ? UPPER : 1));
    if (isUnsync && level > 0) wrong.push(`table ${hex(gfn)} of level ${level} is out of step`);
  }
  for (let gfn = 0; gfn < guestPages; gfn++) {
    const count = mmu.peekTracked(view, gfn);
    const due = expected.get(gfn) ?? 0;
    if (count !== due) wrong.push(`guest page ${hex(gfn)}: tracked ${count} times, not ${due}`);
  }
  for (const page of pages) {
    for (const { entry, target } of shadowEntries(view, mmu, page)) {
      if (entry.kind !== 'leaf' || !(entry.write || entry.mmuWritable)) continue;
      if (!mustTrap(view, mmu, target)) continue;
      wrong.push(`guest page ${hex(target)} is a table in step, and can be written to`);
    }
  }
  return wrong;
}
