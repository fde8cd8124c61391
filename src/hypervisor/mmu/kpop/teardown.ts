/**
 * The end of a VM's address space: calls that begin from now on are refused, its vCPUs end, calls
 * that began before are waited for, and then everything is unmapped. Nothing is left to flush by
 * then, but the labels are finished all the same: the host's invalidations may be waiting for them.
 *
 * Source: primer/x86.md 6.5, teardown (proposal). Leaves out: that it can be interrupted and
 * continued.
 */
import { type Act, type Routine, won } from '../../../runtime/act.ts';
import type { Context } from '../../../runtime/context.ts';
import { stopVcpus } from '../../flush/stop.ts';
import type { Vm } from '../../vcpu.ts';
import type { Space } from './space.ts';
import { finishUnmap, kpopUnmap } from './unmap.ts';

/** Not 0: a call must be refused because the address space is going. */
export function loadDying(cpu: Context, space: Space): Act {
  return cpu.load(space.dying, 'kpop.call.dying');
}

/**
 * `vm`: who runs in the address space; `pages`: how large it is. False if another thread does it,
 * or has done it. The caller must be no vCPU's thread.
 */
export function* kpopTeardown(cpu: Context, space: Space, vm: Vm, pages: number): Routine<boolean> {
  if (!won(yield cpu.cas(space.dying, 0, 1, 'kpop.teardown.begin'))) return false;
  yield* stopVcpus(cpu, vm);
  yield* space.grace.synchronize(cpu);
  yield* finishUnmap(cpu, space, yield* kpopUnmap(cpu, space, [{ first: 0, end: pages }], 0));
  return true;
}
