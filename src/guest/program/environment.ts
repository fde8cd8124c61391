/**
 * What a program of the exam gets: its vCPU, its kernel, and the bells by which all vCPUs line up
 * before and after the measured part. Events `begin` and `end` open and close the count of each
 * CPU; nobody does measured work before all have begun, and nobody leaves before all have ended.
 */

import { OwnerCall } from '../../abi/owner.ts';
import type { GuestContext } from '../../machine/guest.ts';
import { bell, ring, vmcall, work } from '../../machine/instruction.ts';
import type { Routine } from '../../runtime/act.ts';
import type { Context } from '../../runtime/context.ts';
import { Event } from '../../runtime/trace.ts';
import type { KernelServices } from '../common/process.ts';

const BOOTED = bell(0);
const READY = bell(1);
const BEGUN = bell(2);
const ENDED = bell(3);
const HOST_DONE = bell(4);
/** Bells from here on are a program's own. */
export const OWN_BELL = 8;

export interface Environment {
  readonly cpu: GuestContext;
  readonly kernel: KernelServices;
  readonly index: number;
  readonly vcpus: number;
  /** 1 if a host thread takes part: it acts when all vCPUs are ready, and then lets them begin. */
  readonly hostThreads: number;
  /** First guest-physical page of devices; of a guest without any, 0. */
  readonly device: number;
}

/** What the vCPU does before the exam, and what is measured. */
export interface Program {
  setUp(env: Environment): Routine<void>;
  run(env: Environment): Routine<void>;
}

/**
 * Body of a guest vCPU. `skew`: instructions that it runs at the beginning of the measured part, so
 * that vCPUs with the same work do not march in step.
 */
export function* guestBody(env: Environment, program: Program, skew = 0): Routine<void> {
  const { cpu, vcpus } = env;
  if (env.index === 0) {
    yield* env.kernel.boot(cpu);
    yield ring(cpu, BOOTED);
  }
  yield* awaitBell(cpu, BOOTED, 1);
  yield* program.setUp(env);
  yield ring(cpu, READY);
  yield* awaitBell(cpu, READY, vcpus);
  yield* awaitBell(cpu, HOST_DONE, env.hostThreads);
  yield* env.kernel.interrupts.startTick(cpu);
  cpu.note(Event.begin, 0, 0);
  yield ring(cpu, BEGUN);
  yield* awaitBell(cpu, BEGUN, vcpus);
  if (skew > 0) yield work(cpu, skew, 'exam.skew');
  yield cpu.call(program.run(env));
  cpu.note(Event.end, 0, 0);
  yield ring(cpu, ENDED);
  yield* awaitBell(cpu, ENDED, vcpus);
  yield* env.kernel.interrupts.stopTick(cpu);
  yield vmcall(cpu, OwnerCall.done, [], 'exam.done');
}

/** Body of a host thread that acts between set-up and the measured part, and perhaps during it. */
export function* hostBody(
  cpu: Context,
  vcpus: number,
  act: (cpu: Context) => Routine<void>,
  during?: (cpu: Context) => Routine<void>,
): Routine<void> {
  yield* awaitBell(cpu, READY, vcpus);
  yield* act(cpu);
  yield ring(cpu, HOST_DONE);
  if (during !== undefined) yield* during(cpu);
}

export function* awaitBell(cpu: Context, at: number, count: number): Routine<void> {
  if (count > 0) yield cpu.wait([at], () => cpu.peek(at) >= count, 'exam.wait');
}
