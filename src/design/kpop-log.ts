/**
 * How a log of what L2 writes is put together: L0's log and its notice, and the thread of L1's user
 * space that reads it, on a vCPU of L1 that runs no L2.
 */
import { OwnerCall } from '../abi/owner.ts';
import { defect } from '../base/assert.ts';
import { KpopLog } from '../guest/l1/kpop-log.ts';
import { kpopPml } from '../hypervisor/kpop/pml.ts';
import type { PageRange } from '../hypervisor/mmu/common.ts';
import type { NoticedBy, WriteLogOptions } from '../hypervisor/mmu/kpop/write-log.ts';
import { vmcall } from '../machine/instruction.ts';
import type { Routine } from '../runtime/act.ts';
import type { Context } from '../runtime/context.ts';
import type { KpopStack } from './kpop-parts.ts';
import type { Axes, Demand, DirtyLog } from './system.ts';

/** How an axis says that writes are noticed; hardware that lists no pages has D all the same. */
export function logOptions(
  { logs = false }: Demand,
  axes: Axes,
  canList: boolean,
  sizes: Omit<WriteLogOptions, 'by'>,
): WriteLogOptions | undefined {
  const asked = axes['log'] as NoticedBy | undefined;
  const by = asked === undefined || (asked === 'pml' && !canList) ? 'dirty' : asked;
  return logs ? { by, ...sizes } : undefined;
}

/** CPUs list pages of L2, if that is how writes are noticed; its vCPUs exist. */
export function listWrites({ l1, vm }: KpopStack): void {
  const { log, platform } = vm.space;
  if (log?.by !== 'pml') return;
  const blocks = vm.vcpus.map(({ running }) => running.block);
  l1.vm.logging = kpopPml(platform, log, blocks);
  for (const v of l1.vm.vcpus) v.logs = true;
}

/** L1's log of L2, and where the thread of its user space runs; `undefined` where nobody logs. */
export function l1LogOf(
  { l1, vm }: KpopStack,
  memory: readonly PageRange[],
  vcpus: number,
): DirtyLog | undefined {
  if (vm.space.log === undefined) return undefined;
  const log = new KpopLog(l1.platform, memory);
  return {
    start: (cpu) => log.start(cpu),
    harvest: (cpu) => log.harvest(cpu),
    stop: (cpu) => log.stop(cpu),
    seat(body: (me: Context) => Routine<void>): void {
      const me = l1.contexts[vcpus] ?? defect('l1LogOf', 'L1 has no vCPU left');
      me.push(
        (function* userSpace(): Routine<void> {
          yield* body(me);
          yield vmcall(me, OwnerCall.done, [], 'l1.done');
        })(),
      );
    },
  };
}
