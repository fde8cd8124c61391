/** Code of a system that runs to its end before anybody else runs: what boot would have done. */
import { defect } from '../base/assert.ts';
import type { Cpu } from '../machine/cpu.ts';
import type { Machine } from '../machine/machine.ts';
import type { Routine } from '../runtime/act.ts';
import type { Context } from '../runtime/context.ts';

/** Runs `body` on one CPU alone, with the guests that it enters; who is placed there waits. */
export function runAtBoot(machine: Machine, body: (me: Context) => Routine<void>, id = 0): void {
  const cpu = machine.cpus[id] ?? defect('runAtBoot', `the machine has no CPU ${id}`);
  const { host, current } = cpu;
  cpu.host = undefined;
  cpu.current = undefined;
  const context = machine.hostThread(id, 'boot', body);
  for (;;) {
    const running = currentOf(cpu, context);
    if (running.top.state !== 'offered') running.advance();
    if (context.finished) break;
    if (running.top.state === 'offered') machine.perform(cpu);
  }
  cpu.host = host;
  cpu.current = current;
}

/** Whose code runs on the CPU: the thread's, or that of a guest which it has entered. */
function currentOf(cpu: Cpu, thread: Context): Context {
  return cpu.current ?? thread;
}
