/**
 * One run: a design on a machine of its own, a workload on its vCPUs, simulated in time from boot
 * to the end, as the document "kpop.run/1". The same task gives the same document, digest included.
 */
import { defect } from '../base/assert.ts';
import { badInput } from '../base/bad-input.ts';
import { Random } from '../base/random.ts';
import { assemble, cpusFor, openLedger, traceNames, visitMemory } from '../design/assemble.ts';
import type { Choice } from '../design/index.ts';
import type { Conditions, Demand, System } from '../design/system.ts';
import { PRICES, type Preset } from '../machine/preset/price.ts';
import { Counters } from '../measure/counters.ts';
import { Digest } from '../measure/digest.ts';
import type { Run } from '../measure/result.ts';
import type { Charges } from '../measure/sensitivity.ts';
import type { Routine } from '../runtime/act.ts';
import type { Context } from '../runtime/context.ts';
import { fanOut, type TraceSink } from '../runtime/trace.ts';
import { runTimed } from '../schedule/timed.ts';
import { hostPart, logPart, seatPrograms, turnsPart, type Work } from '../workload/index.ts';
import type { Plan, Recordings, Turns } from '../workload/workload.ts';

/** Raised whenever a change of the model moves results. */
export const MODEL_VERSION = 4;

export const MOST_CPUS = 512;
/** Instructions, at most, by which vCPUs are put out of step: about one fault's worth of time. */
const SKEW_INSTRUCTIONS = 4096;

/** Of a memory slot that comes and goes: 256 MiB. */
const SPARE_SLOT_PAGES = 1 << 16;

const LOCKS_NOT_MODELLED = [
  'page allocator: zone lock and memory cgroup charge behind the per-CPU lists',
  'mmap_lock and page-table locks of the VMM’s address space, and of the guest’s processes',
];

export const DEFAULT_CONDITIONS: Conditions = {
  l1: 'warm',
  apicv: 'on',
  eoi: 'pv',
  pages: '4k',
};

export interface Task {
  readonly choice: Choice;
  readonly work: Work;
  readonly recordings: Recordings;
  readonly vcpus: number;
  /** Physical CPUs; by default one for each vCPU and each thread of the host beside them. */
  readonly cpus?: number;
  readonly preset: Preset;
  readonly seed: number;
  readonly conditions: Conditions;
  /** Factor on the price of all software work: 1 for a result, 0 and 2 for its sensitivity. */
  readonly softwareScale: number;
  /** What it serves: a ratio or an interval needs no digest. By default by `softwareScale`. */
  readonly purpose?: 'result' | 'figure';
}

/** What the workload needs; refuses what no machine can be built for, in one sentence. */
export function planOf(task: Task): Plan {
  const { choice, work, vcpus, cpus, recordings, conditions } = task;
  if (!Number.isInteger(vcpus) || vcpus < 1)
    badInput(`a guest needs at least 1 vCPU, not ${vcpus}`);
  const most = `more than the ${MOST_CPUS} CPUs that a machine may have`;
  if (vcpus > MOST_CPUS) badInput(`${vcpus} vCPUs are ${most}`);
  checkPages(choice, conditions);
  const plan = work.workload.plan(work.settings, vcpus, recordings);
  if (plan.interrupts?.waits === true && tickHz(task, plan) === 0) {
    badInput(`workload ${work.workload.id} counts ticks: tick=none leaves it none`);
  }
  if (plan.logged !== undefined && choice.design.logs !== true) {
    badInput(`workload ${work.workload.id}: ${choice.design.id} does not log guest memory`);
  }
  checkTurns(task, plan);
  const needed = cpusFor(demandOf(task, plan));
  if (needed > MOST_CPUS) badInput(`${vcpus} vCPUs and a CPU for a thread of the host are ${most}`);
  if (cpus !== undefined && cpus > MOST_CPUS) badInput(`${cpus} CPUs are ${most}`);
  if (cpus !== undefined && cpus < needed) {
    badInput(
      `${cpus} CPUs are too few: a thread does not leave its CPU in this version of kpop, so ` +
        `${work.workload.id} with ${vcpus} vCPUs needs ${needed}`,
    );
  }
  return plan;
}

/** Refuses what happens to a guest's memory under designs that do not do it. */
function checkTurns({ work, choice: { design } }: Task, { devices, turns }: Plan): void {
  const where = `workload ${work.workload.id}: ${design.id}`;
  if (devices !== undefined && design.changesSlots !== true) {
    badInput(`${where} has no devices, and memory slots that never change`);
  }
  const needsWorker = turns?.does === 'recover-huge' && turns.rounds > 0;
  if (needsWorker && design.recoversHuge !== true) {
    badInput(`${where} has no worker that makes pages huge again; turns=0 needs none`);
  }
}

function checkPages({ design }: Choice, { pages = '4k' }: Conditions): void {
  const able = design.pages ?? ['4k'];
  if (able.includes(pages)) return;
  badInput(
    `condition pages: ${design.id} maps host pages of ${able.join(' or ')} in this version of ` +
      `kpop, not of ${pages}`,
  );
}

/** `also`: who else is told of every event, and of tracepoints. */
export function runOne(task: Task, also?: TraceSink, plan?: Plan): Run {
  return simulate(task, undefined, also, plan);
}

export interface Attributed {
  readonly run: Run;
  readonly charges: Charges;
}

/** The same run, and what its time is made of. */
export function attributeOne(task: Task): Attributed {
  const { preset, softwareScale } = task;
  const cpus = task.cpus ?? cpusFor(demandOf(task, planOf(task)));
  const ledger = openLedger(preset, cpus, softwareScale);
  const run = simulate(task, ledger);
  const { path, all, unattributed } = ledger.result();
  const byName = (counts: Float64Array): Record<string, number> =>
    Object.fromEntries(PRICES.map((name, i) => [name, counts[i]!]));
  return { run, charges: { path: byName(path), all: byName(all), unattributed } };
}

function simulate(
  task: Task,
  ledger: ReturnType<typeof openLedger> | undefined,
  also?: TraceSink,
  plan = planOf(task),
): Run {
  const demand = demandOf(task, plan);
  const cpus = task.cpus ?? cpusFor(demand);
  const counters = new Counters({
    cpus,
    participants: task.vcpus,
    exitNames: traceNames.exits,
    lockNames: traceNames.locks,
  });
  const { preset, softwareScale, conditions } = task;
  // The other prices of software work serve a ratio only: nobody asks what exactly happened.
  const purpose = task.purpose ?? (softwareScale === 1 ? 'result' : 'figure');
  const digest = purpose === 'result' ? new Digest() : undefined;
  const listeners = [counters, digest, ledger, also].filter((each) => each !== undefined);
  const trace = listeners.length === 1 ? counters : fanOut(listeners);
  const site = { preset, cpus, trace, tracepoints: also, softwareScale, demand, conditions };
  const system = assemble(task.choice, ledger === undefined ? site : { ...site, ledger });
  seat(task, plan, system);
  const { stuck } = runTimed(system.machine);
  if (!counters.complete) {
    const who = stuck.length === 0 ? 'nobody waits' : `${stuck.join(', ')} wait for ever`;
    defect('runOne', `${task.choice.name} on ${task.work.settings.name} came to no end: ${who}`);
  }
  if (digest !== undefined) {
    visitMemory(system.machine.memory, (words) => digest.absorb(words));
  }
  const measured = counters.result();
  const seconds = measured.cycles / preset.hertz;
  return {
    schema: 'kpop.run/1',
    design: task.choice.name,
    title: task.choice.design.title,
    workload: task.work.settings.name,
    machine: preset.id,
    vcpus: task.vcpus,
    cpus,
    seed: task.seed,
    modelVersion: MODEL_VERSION,
    conditions: conditionsOf(task, plan),
    ...measured,
    seconds,
    operationsPerSecond: seconds === 0 ? 0 : measured.operations / seconds,
    memory: system.memory(),
    digest: digest?.hex() ?? '',
    limits: [
      ...task.choice.design.leavesOut,
      ...task.work.workload.leavesOut,
      `machine: ${preset.leavesOut}`,
      ...deeperThan(preset, conditions),
    ],
    assumes: assumptionsOf(task),
    locksNotModelled: LOCKS_NOT_MODELLED,
  };
}

/** A machine that is given deeper tables than it has. */
function deeperThan(preset: Preset, { levels, guestLevels }: Conditions): string[] {
  const asked = Math.max(Number(levels ?? 4), Number(guestLevels ?? 4));
  if (asked <= preset.levels) return [];
  const has = `${preset.id} has tables of ${preset.levels} levels`;
  return [`machine: ${has}; this one would be a later part with the same prices`];
}

function demandOf(task: Task, plan: Plan): Demand {
  const { pagesPerVcpu, stride, spaces, withdrawn, logged, turns, devices } = plan;
  const { vcpus } = task;
  const logs = logged !== undefined;
  const hostThreads = withdrawn === undefined && turns === undefined && !logs ? 0 : 1;
  const interrupts = interruptsOf(task, plan);
  const slots = devices === undefined ? undefined : { devices, spare: SPARE_SLOT_PAGES };
  const demand = { vcpus, pagesPerVcpu, stride, hostThreads, spaces, interrupts, logs, slots };
  return plan.image === undefined ? demand : { ...demand, image: plan.image };
}

/** Ticks per second: what the conditions say, else the workload. */
function tickHz({ conditions: { tick } }: Task, plan: Plan): number {
  if (tick === undefined) return plan.interrupts?.tickHz ?? 0;
  return tick === 'none' ? 0 : Number(tick.replace('hz', ''));
}

/** Undefined if the guest's kernel takes shootdowns only, and nobody asks how they end. */
function interruptsOf(task: Task, plan: Plan): Demand['interrupts'] {
  const hz = tickHz(task, plan);
  const signalsEnd = task.conditions.eoi === 'apic';
  if (hz === 0 && !signalsEnd && plan.interrupts === undefined) return undefined;
  return { tickCycles: hz === 0 ? 0 : Math.round(task.preset.hertz / hz), signalsEnd };
}

function tickName(task: Task, plan: Plan): string {
  const hz = tickHz(task, plan);
  return hz === 0 ? 'none' : `${hz}hz`;
}

function seat(task: Task, plan: Plan, system: System): void {
  const { vcpus, seed } = task;
  const skew = (vcpu: number): number => new Random(seed, vcpu).below(SKEW_INSTRUCTIONS);
  seatPrograms(system.environments, plan, skew);
  const { withdrawn, logged, turns } = plan;
  const { log } = system;
  if (turns !== undefined) {
    system.machine.hostThread(vcpus, 'host', (me) =>
      turnsPart(me, vcpus, turns.rounds, turnOf(system, turns)),
    );
  }
  if (logged !== undefined && log !== undefined) {
    const body = (me: Context): Routine<void> => logPart(me, vcpus, logged, log);
    if (log.seat === undefined) system.machine.hostThread(vcpus, 'host', body);
    else log.seat(body);
  }
  if (withdrawn === undefined) return;
  system.machine.hostThread(vcpus, 'host', (me) =>
    hostPart(me, vcpus, (cpu) => system.hostInvalidate(cpu, withdrawn)),
  );
}

function turnOf(system: System, turns: Turns): (cpu: Context) => Routine<void> {
  return function* turn(cpu): Routine<void> {
    if (turns.does === 'recover-huge') {
      yield* system.recoverHuge!(cpu, turns.ratio);
      return;
    }
    yield* system.slots!.add(cpu);
    yield* system.slots!.delete(cpu);
  };
}

/** The counting conditions of DESIGN.md section 5, as they held. */
function conditionsOf(task: Task, plan: Plan): Run['conditions'] {
  return {
    pages: task.conditions.pages ?? '4k',
    l1: task.conditions.l1,
    'fault-around': 1,
    tick: tickName(task, plan),
    apicv: task.conditions.apicv,
    eoi: task.conditions.eoi ?? 'pv',
    upper: plan.stride === 1 ? 'present' : 'absent',
    levels: task.conditions.levels ?? '4',
    'guest-levels': task.conditions.guestLevels ?? '4',
  };
}

function assumptionsOf({ choice, work }: Task): readonly string[] {
  const axes = Object.entries(choice.axes).map(([name, value]) => `${name}=${value}`);
  const parameters = work.settings.all();
  const { workload } = work;
  return [
    `design ${choice.design.id}: ${axes.length === 0 ? 'no axes' : axes.join(', ')}`,
    `workload ${workload.id}: ${parameters === '' ? 'no parameters' : parameters}; ` +
      `an operation is ${workload.operation}`,
    `it stands for ${workload.standsFor}`,
    ...workload.assumes,
    `each vCPU begins up to ${SKEW_INSTRUCTIONS} instructions late, drawn from the seed`,
  ];
}
