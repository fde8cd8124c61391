/** When table pages of a KPOP address space that were removed may be given back. */
import type { Space } from '../hypervisor/mmu/kpop/space.ts';
import { discardTable } from '../hypervisor/mmu/kpop/walk.ts';
import type { Vm } from '../hypervisor/vcpu.ts';
import { Rcu } from '../sync/rcu.ts';

/**
 * RCU for the table pages of a KPOP address space: readers are the threads of `vm`'s vCPUs, and
 * whoever says so with a section.
 */
export function attachGrace(space: Space, vm: Vm): void {
  const { arena, cpus } = space.platform;
  const sections = Array.from({ length: cpus }, (_, seat) => {
    return { mode: space.cpu(seat).section, seat };
  });
  const readers = [...vm.vcpus, ...sections];
  const base = arena.take(Rcu.bytes(cpus, readers.length));
  space.rcu = new Rcu(base, readers, (cpu, header) => discardTable(cpu, space, header));
  const { windows } = space;
  if (windows === undefined) return;
  const other = arena.take(Rcu.bytes(cpus, readers.length));
  windows.rcu = new Rcu(other, readers, (cpu, array) => windows.discard(cpu, array));
}
