/**
 * The run loop: enter, look at the exit, handle, again. It is the same for the host and for a guest
 * hypervisor, whose own entries and flushes become exits; and the same over VMX and SVM.
 *
 * Source of the entry order: arch/x86/kvm/x86.c, vcpu_enter_guest (facts only).
 */
import { defect } from '../base/assert.ts';
import { EXIT_NAMES } from '../machine/exit.ts';
import { Unit } from '../machine/preset/price.ts';
import { type Act, num, type Routine } from '../runtime/act.ts';
import type { Context } from '../runtime/context.ts';
import { acceptVectors } from './interrupt.ts';
import {
  type ExitHandler,
  REQUEST_DEAD,
  REQUEST_EVENT,
  REQUEST_FLUSH,
  REQUEST_LOGGING,
  REQUEST_ROOT,
  type Vcpu,
} from './vcpu.ts';

/** Body of a vCPU thread; `boot` runs before the first entry. */
export function* vcpuThread(cpu: Context, v: Vcpu, boot: Routine<void>): Routine<void> {
  yield* boot;
  const { virt } = v;
  while (!v.active.guest.finished) {
    if (!(yield* prepareEntry(cpu, v))) continue;
    yield virt.enter(cpu, v);
    if (v.logs && v.vm.logging!.leave !== undefined) yield* v.vm.logging!.leave(cpu, v);
    if (v.active.afterExit !== undefined) yield v.active.afterExit(cpu);
    yield leaveGuestMode(cpu, v);
    cpu.masked = false; // what arrived meanwhile is delivered from here on
    cpu.spend(Unit.exitDispatch, 1);
    if (v.logs) yield* v.vm.logging!.drain(cpu, v);
    const reason = num(yield virt.reason(cpu, v.active.block, 'run.reason'));
    yield virt.delivering(cpu, v.active.block, 'run.idt-vectoring');
    yield cpu.call(handlerOf(v, reason)(cpu, v));
  }
  yield cpu.addWord(v.mode, 0, 1, 'run.ended'); // nobody waits for a thread that is no more
}

/** Mode, barrier, requests: false if something came up, and nothing was entered. */
function* prepareEntry(cpu: Context, v: Vcpu): Routine<boolean> {
  if (num(yield cpu.load(v.requests, 'run.requests')) !== 0) yield* serviceRequests(cpu, v);
  if (v.active.guest.finished) return false;
  if (v.active.prepare !== undefined) yield* v.active.prepare(cpu, v);
  cpu.masked = true;
  if (v.active.beforeEntry !== undefined && (yield* v.active.beforeEntry(cpu, v))) {
    cpu.masked = false;
    return false;
  }
  if (v.loaded !== v.active.block) {
    yield v.virt.load(cpu, v.active.block, 'run.load-vmcs');
    v.loaded = v.active.block;
  }
  yield cpu.add(v.mode, 1, 'run.in-guest'); // locked: a full barrier before the look at requests
  if (num(yield cpu.load(v.requests, 'run.recheck')) === 0) return true;
  if (v.active.afterExit !== undefined) yield v.active.afterExit(cpu);
  yield leaveGuestMode(cpu, v);
  cpu.masked = false;
  return false;
}

function leaveGuestMode(cpu: Context, v: Vcpu): Act {
  return cpu.add(v.mode, 1, 'run.outside');
}

function* serviceRequests(cpu: Context, v: Vcpu): Routine<void> {
  const requests = num(yield cpu.exchange(v.requests, 0, 'run.take-requests'));
  if ((requests & REQUEST_FLUSH) !== 0) yield v.virt.flushAll(cpu, v, 'run.flush');
  if ((requests & REQUEST_EVENT) !== 0) yield* acceptVectors(cpu, v);
  if ((requests & REQUEST_LOGGING) !== 0) yield* v.vm.logging!.update(cpu, v);
  if ((requests & REQUEST_ROOT) !== 0) yield* v.vm.roots!.refresh(cpu, v);
  if ((requests & REQUEST_DEAD) === 0) return;
  v.active.guest.kill();
  v.own.guest.kill();
}

function handlerOf(v: Vcpu, reason: number): ExitHandler {
  const handler = v.active.exits.get(reason);
  if (handler !== undefined) return handler;
  const name = EXIT_NAMES[reason] ?? reason;
  return defect('run loop', `${v.active.guest.name}: no handler for ${name}`);
}
