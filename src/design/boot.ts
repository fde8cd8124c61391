/** Code of a system that runs to its end before anybody else runs: what boot would have done. */
import { defect } from '../base/assert.ts';
import type { Machine } from '../machine/machine.ts';
import type { Routine } from '../runtime/act.ts';
import type { Context } from '../runtime/context.ts';

/** Runs `body` on CPU 0 alone; whoever is placed there meanwhile waits. */
export function runAtBoot(machine: Machine, body: (me: Context) => Routine<void>): void {
  const cpu = machine.cpus[0] ?? defect('runAtBoot', 'the machine has no CPU');
  const { host, current } = cpu;
  cpu.host = undefined;
  cpu.current = undefined;
  const context = machine.hostThread(0, 'boot', body);
  for (;;) {
    context.advance();
    if (context.finished) break;
    machine.perform(cpu);
  }
  cpu.host = host;
  cpu.current = current;
}
