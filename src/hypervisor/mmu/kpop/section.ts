/**
 * A thread that is no vCPU's, while it looks at table pages: their frames stay until it is past
 * them. Threads of vCPUs need none of this outside guest mode (sync/rcu.ts).
 */
import type { Routine } from '../../../runtime/act.ts';
import type { Context } from '../../../runtime/context.ts';
import type { Space } from './space.ts';

export function* beginSection(cpu: Context, space: Space): Routine<void> {
  yield cpu.add(space.cpu(cpu.cpu).section, 1, 'kpop.section.begin'); // even: inside
}

export function* endSection(cpu: Context, space: Space): Routine<void> {
  yield cpu.add(space.cpu(cpu.cpu).section, 1, 'kpop.section.end');
}
