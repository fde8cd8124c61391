/**
 * The tables of a guest hypervisor as the shadow MMU sees them: EPT12 in L1's memory. Rights of
 * links are the guest's own, and hardware joins them on the way down, so an SP has its level for a
 * role.
 */
import type { Entry } from '../../machine/format/format.ts';
import { FRAME_BYTES } from '../../machine/memory.ts';
import type { Routine } from '../../runtime/act.ts';
import type { Context } from '../../runtime/context.ts';
import { flushRemote } from '../flush/request-kick.ts';
import type { ShadowMmu } from '../mmu/shadow/mmu.ts';
import { ACCESS_EXECUTE, ACCESS_USER, ACCESS_WRITE } from '../mmu/shadow/page.ts';
import type { GuestTables } from '../mmu/shadow/tables.ts';
import type { TdpMmu } from '../mmu/tdp/mmu.ts';
import { protectTables } from './protect.ts';

export function ept12Tables(tdp: TdpMmu, shadow: ShadowMmu): GuestTables {
  const { format } = shadow;
  return {
    links: shadow.header === 'full' ? 'followed' : 'looked up',
    roleBelow: (_parent, step) => step.level - 1,
    link: (table, guest) => format.table(table, guest),
    *entryNow(cpu: Context, gfn: number, index: number, level: number): Routine<Entry | undefined> {
      const frame = yield* tdp.backing.resident(cpu, gfn);
      if (frame < 0) return undefined;
      const at = frame * FRAME_BYTES + index * 8;
      return format.decode(yield cpu.load(at, 'nested.sync.entry'), level);
    },
    access(_role, guest): number {
      if (guest.kind !== 'leaf' || !guest.accessed) return 0;
      return (
        (guest.read ? ACCESS_USER : 0) | // KVM's mask for what EPT calls readable
        (guest.write && guest.dirty ? ACCESS_WRITE : 0) |
        (guest.execute ? ACCESS_EXECUTE : 0)
      );
    },
    leaf(guest, pfn, _access, isWritable): Entry {
      return format.leaf({
        pfn,
        level: 0,
        rights: { read: guest.read, write: isWritable, execute: guest.execute, user: true },
        accessed: true,
        dirty: isWritable,
        hostWritable: true,
        mmuWritable: isWritable,
      });
    },
    protect: (cpu, gfns) => protectTables(cpu, tdp, gfns),
    flush: (cpu) => flushRemote(cpu, tdp.vm),
  };
}
