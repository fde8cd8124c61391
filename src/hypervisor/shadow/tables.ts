/**
 * A guest's own long-mode tables as the shadow MMU sees them. Links allow everything: what upper
 * entries of the guest allow is in the role of an SP, and a leaf allows no more than both.
 *
 * Source: arch/x86/kvm/mmu/mmu.c, kvm_mmu_child_role; spte.c, make_spte (facts).
 */
import type { Entry } from '../../machine/format/format.ts';
import { ALL_RIGHTS, type WalkedFormat } from '../../machine/format/judge.ts';
import { FRAME_BYTES } from '../../machine/memory.ts';
import { type Routine, won } from '../../runtime/act.ts';
import type { Context } from '../../runtime/context.ts';
import type { AnonymousBacking } from '../backing/anonymous.ts';
import { flushRemote } from '../flush/request-kick.ts';
import type { EntryOf, ShadowMmu } from '../mmu/shadow/mmu.ts';
import { ACCESS_ALL, ACCESS_EXECUTE, ACCESS_USER, ACCESS_WRITE, Role } from '../mmu/shadow/page.ts';
import type { GuestTables } from '../mmu/shadow/tables.ts';
import type { Vm } from '../vcpu.ts';
import { accessOf } from './guest-walk.ts';

export function longModeTables(
  vm: Vm,
  mmu: ShadowMmu,
  backing: AnonymousBacking,
  mode: number,
): GuestTables {
  const { format } = mmu;
  return {
    links: 'followed',
    roleBelow: (parent, { entry, level }) => {
      const access = (parent === 0 ? ACCESS_ALL : Role.access(parent)) & entryAccess(format, entry);
      return Role.of(mode, level - 1, 'mirror', access);
    },
    link: (table) => format.table(table),
    *entryNow(cpu: Context, gfn: number, index: number, level: number): Routine<Entry | undefined> {
      const frame = yield* backing.resident(cpu, gfn);
      if (frame < 0) return undefined;
      const at = frame * FRAME_BYTES + index * 8;
      return format.decode(yield cpu.load(at, 'shadow.sync.guest'), level);
    },
    access(role, guest): number {
      const verdict = format.judge.judge(guest.lo, guest.hi, 0);
      if (verdict < 0 || !guest.accessed || !backing.has(guest.pfn)) return 0;
      const clean = guest.dirty ? 0 : ACCESS_WRITE;
      const given = entryAccess(format, guest) & Role.access(role) & ~clean;
      return given | (given === 0 ? PRESENT_ONLY : 0);
    },
    leaf: (_guest, pfn, access, isWritable) => leafOf(format, pfn, access, isWritable),
    protect: (cpu, gfns) => protectPages(cpu, mmu, gfns),
    flush: (cpu) => flushRemote(cpu, vm),
  };
}

/** Neither written, executed nor used by a program, and present all the same: supervisor reads. */
const PRESENT_ONLY = 8;

function entryAccess(format: WalkedFormat, entry: Entry): number {
  const level = entry.kind === 'leaf' ? 0 : 1;
  const verdict = format.judge.judge(entry.lo, entry.hi, level);
  return verdict < 0 ? 0 : accessOf(verdict & ALL_RIGHTS);
}

/** A leaf with rights in the order of KVM's masks. */
export function leafOf(
  format: WalkedFormat,
  pfn: number,
  access: number,
  isWritable: boolean,
): Entry {
  return format.leaf({
    pfn,
    level: 0,
    rights: {
      read: true,
      write: isWritable,
      execute: (access & ACCESS_EXECUTE) !== 0,
      user: (access & ACCESS_USER) !== 0,
    },
    accessed: true,
    dirty: isWritable,
    hostWritable: true,
    mmuWritable: isWritable,
  });
}

/** Takes the right to write from every leaf that maps one of the guest's pages. */
export function* protectPages(
  cpu: Context,
  mmu: ShadowMmu,
  gfns: readonly number[],
): Routine<boolean> {
  let changed = false;
  cpu.attempt('shadow.protect');
  for (const gfn of gfns) {
    for (const leaf of mmu.reverseOf(cpu, gfn)) {
      if (yield* protectLeaf(cpu, mmu, leaf)) changed = true;
    }
  }
  cpu.conclude('shadow.protect', changed ? 1 : 0);
  return changed;
}

function* protectLeaf(cpu: Context, mmu: ShadowMmu, of: EntryOf): Routine<boolean> {
  const { format } = mmu;
  const at = mmu.entry(cpu, of);
  for (;;) {
    const seen = format.decode(yield cpu.load(at, 'shadow.protect.look'), 0);
    if (seen.kind !== 'leaf' || !(seen.write || seen.mmuWritable)) return false;
    const readOnly = format.leaf({
      pfn: seen.pfn,
      level: 0,
      rights: { read: true, write: false, execute: seen.execute, user: seen.user },
      accessed: seen.accessed,
      dirty: seen.dirty,
      hostWritable: seen.hostWritable,
      mmuWritable: false,
    });
    // Hardware may set A or D at any time: compare-and-swap, and look again if it did.
    if (won(yield cpu.casWord(at, seen, readOnly, 'shadow.protect.clear-write'))) return seen.write;
  }
}
