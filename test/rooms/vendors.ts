/**
 * One source over two vendors' tables of 4 and 5 levels: what the tests of that are made of. The
 * hypercalls of a guest hypervisor, in their order, with what they returned; and a scheduler that
 * takes turns by a list instead of by time, so that machines of different prices take the same.
 */
import { assemble } from '../../src/design/assemble.ts';
import { parseDesign } from '../../src/design/index.ts';
import { DEFAULT_CONDITIONS } from '../../src/experiment/run.ts';
import type { Cpu } from '../../src/machine/cpu.ts';
import { ExitReason, SvmExit } from '../../src/machine/exit.ts';
import type { GuestContext } from '../../src/machine/guest.ts';
import type { Machine } from '../../src/machine/machine.ts';
import { findPreset } from '../../src/machine/preset/index.ts';
import { num } from '../../src/runtime/act.ts';
import { Outcome } from '../../src/runtime/processor.ts';
import { Event, type TraceSink } from '../../src/runtime/trace.ts';
import { runTimed } from '../../src/schedule/timed.ts';
import { parseWorkload, seatPrograms } from '../../src/workload/index.ts';

export interface Silicon {
  readonly machine: string;
  /** Of the second stage; a guest's own tables are what its kernel makes them. */
  readonly levels: '4' | '5';
  readonly guestLevels?: '4' | '5';
}

export const SILICON: readonly Silicon[] = ['intel-cascade-lake', 'amd-milan'].flatMap((machine) =>
  (['4', '5'] as const).map((levels) => ({ machine, levels })),
);

/** A hypercall: of which vCPU, what was asked, what it returned. */
export interface Call {
  readonly cpu: number;
  readonly operation: number;
  readonly args: readonly number[];
  result: number | undefined;
}

/** Hears of an exit of L1 by hypercall, and of L1's next entry: by then it has been answered. */
class CallLog implements TraceSink {
  readonly calls: Call[] = [];
  machine: Machine | undefined;
  readonly #open = new Map<number, Call>();

  event(kind: number, cpu: number, _cycle: number, reason: number, level: number): void {
    if (level !== 1 || (kind !== Event.exit && kind !== Event.entry)) return;
    const l1 = this.machine?.guests.find((guest) => guest.level === 1 && guest.homeCpu === cpu);
    if (l1 === undefined) return;
    if (kind === Event.entry) this.#answered(cpu, l1);
    else if (reason === ExitReason.vmcall || reason === SvmExit.vmmcall) this.#asked(cpu, l1);
  }

  #asked(cpu: number, l1: GuestContext): void {
    const { at, operand } = l1.top.act;
    const args = [...(operand as readonly number[])];
    const call: Call = { cpu, operation: at, args, result: undefined };
    this.calls.push(call);
    this.#open.set(cpu, call);
  }

  #answered(cpu: number, l1: GuestContext): void {
    const call = this.#open.get(cpu);
    if (call === undefined) return;
    call.result = num(l1.top.word);
    this.#open.delete(cpu);
  }
}

/** Calls of `design` on `workload`, in time, or with turns from `turns` (numbers of CPUs). */
export function callsOf(
  design: string,
  workload: string,
  { machine: preset, levels, guestLevels = '4' }: Silicon,
  vcpus: number,
  turns?: readonly number[],
): readonly Call[] {
  const log = new CallLog();
  const work = parseWorkload(workload);
  const plan = work.workload.plan(work.settings, vcpus, new Map());
  const { machine, environments } = assemble(parseDesign(design), {
    preset: findPreset(preset),
    cpus: vcpus,
    trace: log,
    softwareScale: 1,
    demand: { vcpus, pagesPerVcpu: plan.pagesPerVcpu, stride: plan.stride, hostThreads: 0 },
    conditions: { ...DEFAULT_CONDITIONS, levels, guestLevels },
  });
  log.machine = machine;
  seatPrograms(environments, plan, () => 0);
  const stuck = turns === undefined ? runTimed(machine).stuck : byTurns(machine, log, turns);
  if (stuck.length > 0) throw new Error(`stuck: ${stuck.join(', ')}`);
  return log.calls;
}

/**
 * A turn goes on until its vCPU has made one more hypercall, waits, or has ended; then comes the
 * next of the list, again from its beginning when it is over. Interrupts are taken at once.
 */
function byTurns(machine: Machine, log: CallLog, turns: readonly number[]): readonly string[] {
  machine.onWake(() => undefined); // whoever waits is asked again at its turn
  let idle = 0;
  for (let i = 0; idle < 2 * turns.length; i++) {
    const cpu = machine.cpus[turns[i % turns.length]!]!;
    idle = takeTurn(machine, cpu, log) ? 0 : idle + 1;
  }
  return machine.cpus.flatMap(({ current }) => (current === undefined ? [] : [current.name]));
}

/** Whether anything happened. */
function takeTurn(machine: Machine, cpu: Cpu, log: CallLog): boolean {
  const before = log.calls.length;
  let steps = 0;
  while (log.calls.length === before) {
    if (cpu.inFlight.length > 0) {
      cpu.now = Math.max(cpu.now, cpu.interruptAt);
      machine.interrupt(cpu);
      steps++;
    }
    const { current } = cpu;
    if (current === undefined) return steps > 0;
    if (current.top.state === 'offered') {
      if (machine.perform(cpu) === Outcome.blocked) return steps > 0;
      steps++;
    } else {
      current.advance();
      if (current.finished) machine.finished(cpu, current);
    }
  }
  return true;
}
