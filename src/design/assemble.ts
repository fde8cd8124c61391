/**
 * A design on a machine of its own, as an exam gets it: the machine is an engine for a scheduler
 * and its final words can be visited, the system has its vCPUs ready for programs.
 */
import { badInput } from '../base/bad-input.ts';
import { roleText } from '../hypervisor/mmu/shadow/page.ts';
import { Cost } from '../machine/cost.ts';
import { EXIT_NAMES } from '../machine/exit.ts';
import { Ledger } from '../machine/ledger.ts';
import { Machine } from '../machine/machine.ts';
import { FRAME_BYTES, type Memory } from '../machine/memory.ts';
import type { Preset } from '../machine/preset/price.ts';
import type { TraceSink } from '../runtime/trace.ts';
import { LOCK_CLASSES } from '../sync/lock-class.ts';
import type { Choice } from './index.ts';
import type { Conditions, Demand, System } from './system.ts';

export interface Site {
  readonly preset: Preset;
  readonly cpus: number;
  readonly trace: TraceSink;
  /** Who listens to tracepoints besides. */
  readonly tracepoints?: TraceSink | undefined;
  /** Factor on the price of all software work. */
  readonly softwareScale: number;
  readonly demand: Demand;
  readonly conditions: Conditions;
  /** To be told what the clocks are made of; it wants the trace as well. */
  readonly ledger?: Ledger;
}

/** What the numbers in trace events mean. */
export const traceNames = { exits: EXIT_NAMES, locks: LOCK_CLASSES, role: roleText } as const;

/** One CPU for each vCPU and for each thread of the host beside them. */
export function cpusFor(demand: Demand): number {
  return demand.vcpus + demand.hostThreads;
}

export function assemble(choice: Choice, site: Site): System {
  refuseForeign(choice, site.preset);
  const machine = new Machine({
    preset: site.preset,
    cpus: site.cpus,
    trace: site.trace,
    tracepoints: site.tracepoints,
    softwareScale: site.softwareScale,
    levels: {
      second: Number(site.conditions.levels ?? 4),
      first: Number(site.conditions.guestLevels ?? 4),
    },
    ...(site.ledger === undefined ? {} : { ledger: site.ledger }),
  });
  return choice.design.build(machine, site.demand, choice.axes, site.conditions);
}

/** A ledger for a machine of this kind. */
export function openLedger(preset: Preset, cpus: number, softwareScale: number): Ledger {
  return new Ledger(new Cost(preset, softwareScale), cpus);
}

/** An axis of the other vendor's processors means nothing here. */
function refuseForeign({ design, axes }: Choice, { id, vendor }: Preset): void {
  for (const [name, axis] of Object.entries(design.axes)) {
    const isForeign = axis.vendor !== undefined && axis.vendor !== vendor;
    if (!isForeign || axes[name] === axis.default) continue;
    badInput(`design ${design.id}: axis ${name} is for machines of ${axis.vendor}, not ${id}`);
  }
}

/** Shows every frame that was ever written, in ascending order, its number first. */
export function visitMemory(memory: Memory, visit: (words: Int32Array) => void): void {
  const number = new Int32Array(2);
  for (const pfn of memory.frames()) {
    number[0] = pfn | 0;
    number[1] = Math.floor(pfn / 2 ** 32);
    visit(number);
    const first = memory.indexOf(pfn * FRAME_BYTES);
    visit(memory.words.subarray(first, first + FRAME_BYTES / 4));
  }
}
