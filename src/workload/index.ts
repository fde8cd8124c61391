/** The workloads, the text by which one is chosen, and how its programs get onto their vCPUs. */
import { badInput } from '../base/bad-input.ts';
import { suggestion } from '../base/nearest.ts';
import { awaitBell, type Environment, guestBody, hostBody } from '../guest/program/environment.ts';
import { answer, PASSED } from '../guest/program/turns.ts';
import type { Routine } from '../runtime/act.ts';
import type { Context } from '../runtime/context.ts';
import { cpuid, munmap, refault, touch, unmap } from './basic.ts';
import { dirtyLog } from './dirty-log.ts';
import { bootLike, ipi, msr, tick } from './interrupts.ts';
import { churn, exec, fork, remap, syscall } from './processes.ts';
import { programs, trace } from './recorded.ts';
import { shadowGuestWorkload } from './shadow-guest.ts';
import { reclaim, touchShared } from './sharing.ts';
import { execute, hotplug, mmio } from './slots.ts';
import { type Logged, type Plan, readSettings, type Settings, type Workload } from './workload.ts';

export const workloads: readonly Workload[] = [
  touch,
  refault,
  unmap,
  dirtyLog,
  cpuid,
  munmap,
  touchShared,
  reclaim,
  churn,
  remap,
  fork,
  exec,
  syscall,
  ipi,
  tick,
  msr,
  bootLike,
  mmio,
  hotplug,
  execute,
  trace,
  programs,
  shadowGuestWorkload,
];

/** A workload with its parameters. */
export interface Work {
  readonly workload: Workload;
  readonly settings: Settings;
}

/** Reads `id`, `id:parameter=value,parameter=value` or `trace:<file>,parameter=value`. */
export function parseWorkload(text: string): Work {
  const colon = text.indexOf(':');
  const id = colon < 0 ? text : text.slice(0, colon);
  const ids = workloads.map((each) => each.id);
  const workload =
    workloads.find((each) => each.id === id) ??
    badInput(`unknown workload ${id === '' ? '(none given)' : id}${suggestion(id, ids)}`);
  const settings = readSettings(workload, text, colon < 0 ? undefined : text.slice(colon + 1));
  return { workload, settings };
}

/** Gives every vCPU its program; `skew`: instructions that each runs before its first act. */
export function seatPrograms(
  environments: readonly Environment[],
  plan: Plan,
  skew: (vcpu: number) => number,
): void {
  for (const env of environments) {
    env.cpu.push(guestBody(env, plan.program, skew(env.index)));
  }
}

/** What the host offers to whoever wants to know what is written to. */
interface Log {
  start(cpu: Context): Routine<void>;
  harvest(cpu: Context): Routine<number>;
  stop(cpu: Context): Routine<void>;
}

/** Body of the thread of the host that logs guest memory. */
export function logPart(
  cpu: Context,
  vcpus: number,
  { rounds, bell }: Logged,
  log: Log,
): Routine<void> {
  return hostBody(cpu, vcpus, log.start, function* harvest(me): Routine<void> {
    for (let round = 1; round <= rounds; round++) {
      yield* awaitBell(me, bell, round * vcpus);
      yield* log.harvest(me);
    }
    yield* awaitBell(me, bell, (rounds + 1) * vcpus);
    yield* log.stop(me);
  });
}

/** Body of the thread of the host that takes turns with the vCPUs. */
export function turnsPart(
  cpu: Context,
  vcpus: number,
  rounds: number,
  turn: (cpu: Context) => Routine<void>,
): Routine<void> {
  return hostBody(cpu, vcpus, noPreparation, function* takeTurns(me): Routine<void> {
    for (let round = 1; round <= rounds; round++) {
      yield* awaitBell(me, PASSED, round * vcpus);
      yield* turn(me);
      yield answer(me);
    }
  });
}

function* noPreparation(): Routine<void> {
  // what is measured begins with the first pass
}

/** Body of the thread of the host that takes part, if the plan has one. */
export function hostPart(
  cpu: Context,
  vcpus: number,
  act: (cpu: Context) => Routine<void>,
): Routine<void> {
  return hostBody(cpu, vcpus, act);
}
