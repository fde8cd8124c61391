/**
 * Exits of L2 that L0 answers by itself, as L1's policy says: CPUID, shadowed and emulated MSRs,
 * HLT. Interrupts that L0 gives L2 on L1's behalf are words of the L2 vCPU: whoever posts one
 * writes it, then looks where the vCPU runs, then asks that CPU for a look (the handshake of
 * `hypervisor/interrupt`: request, then mode; mode, then request).
 *
 * Leaves out: what of a deadline is left when L2 moves to another vCPU of L1.
 */
import {
  MSR_EOI,
  MSR_ICR,
  MSR_TSC_DEADLINE,
  MsrClass,
  SHADOW_MSRS,
} from '../../abi/kpop-policy.ts';
import {
  armTimer,
  Instruction,
  sendIpi,
  VECTOR_KICK,
  VECTOR_TIMER,
} from '../../machine/instruction.ts';
import { Unit } from '../../machine/preset/price.ts';
import { vectorBit, vectorsOf } from '../../machine/virtual-apic.ts';
import { type Act, num, type Routine } from '../../runtime/act.ts';
import type { Context } from '../../runtime/context.ts';
import { atomic, atomicLine, layout, plain } from '../../runtime/layout.ts';
import { retire } from '../emulate.ts';
import { type ExitHandler, isInGuest, REQUEST_EVENT, type Vcpu } from '../vcpu.ts';
import { classIn, cpuidIn, haltsInL0, type Policy } from './policy.ts';

/** Of an L2 vCPU whose interrupts L0 delivers. */
export const L2Words = layout('kpop.l2', {
  /** Vectors that were posted for it. */
  vectors: atomicLine,
  /** vCPU of L1 in whose RUN it is, plus 1; 0 = in none. */
  runner: atomic,
  /** Whether it is in HLT; used by whoever has claimed it. */
  halted: plain,
});

/** What L0 needs of the L2 vCPU that it answers for. */
export interface Answered {
  readonly index: number;
  /** Host-physical address of the state page. */
  readonly state: number;
  /** Place of `L2Words`. */
  readonly words: number;
}

/** What L0 needs of the VM: its table, its L2 vCPUs, and whose a CPU's timer is. */
export interface Answering {
  readonly policy: Policy;
  sibling(index: number): Answered | undefined;
  /** L0's vCPU threads, by number. */
  readonly runners: readonly Vcpu[];
  /** Word per vCPU of L1: the L2 vCPU whose deadline its CPU's timer is, plus 1. */
  armed(v: Vcpu): number;
}

export interface Answers {
  readonly cpuid: ExitHandler;
  readonly msr: ExitHandler;
  readonly halt: ExitHandler;
}

/** Handlers of one L2 vCPU that answer what the policy has, and leave the rest to `toL1`. */
export function answersOf(vm: Answering, own: Answered, toL1: ExitHandler): Answers {
  const { policy } = vm;
  return {
    *cpuid(cpu, v): Routine<void> {
      const table = yield* policy.look(cpu);
      const leaf = v.active.guest.top.act.at;
      const eax = table < 0 ? undefined : cpuidIn(cpu, table, leaf, own.index);
      if (eax === undefined) return yield* toL1(cpu, v);
      yield* retire(cpu, v, eax);
    },
    *msr(cpu, v): Routine<void> {
      const table = yield* policy.look(cpu);
      const { kind, row } =
        table < 0 ? { kind: MsrClass.exit, row: -1 } : classIn(cpu, table, numberOf(v));
      if (kind === MsrClass.emulate) return yield* emulate(cpu, v, vm, own);
      if (kind === MsrClass.shadow) return yield* shadow(cpu, v, own.state, row);
      yield* toL1(cpu, v);
    },
    *halt(cpu, v): Routine<void> {
      const table = yield* policy.look(cpu);
      if (table < 0 || !haltsInL0(cpu, table)) return yield* toL1(cpu, v);
      yield* retire(cpu, v, 0);
      if (v.active.guest.apic.deliverable !== 0) return;
      cpu.write(own.words + L2Words.at.halted, 1); // the next entry waits
    },
  };
}

/** The register that an instruction of the guest is about. */
function numberOf(v: Vcpu): number {
  const { op, at } = v.active.guest.top.act;
  switch (op) {
    case Instruction.sendIpi:
      return MSR_ICR;
    case Instruction.armTimer:
      return MSR_TSC_DEADLINE;
    case Instruction.endInterrupt:
      return MSR_EOI;
    default:
      return at;
  }
}

function* shadow(cpu: Context, v: Vcpu, state: number, row: number): Routine<void> {
  const { op, operand } = v.active.guest.top.act;
  const at = state + SHADOW_MSRS + row * 8;
  cpu.spend(Unit.fieldCopied, 1);
  if (op === Instruction.wrmsr) cpu.write(at, operand as number);
  yield* retire(cpu, v, cpu.read(at));
}

function* emulate(cpu: Context, v: Vcpu, vm: Answering, own: Answered): Routine<void> {
  const { guest } = v.active;
  const { op, at, lo } = guest.top.act;
  if (op === Instruction.endInterrupt) guest.apic.end();
  else if (op === Instruction.armTimer) {
    cpu.write(vm.armed(v), own.index + 1);
    yield armTimer(cpu, at, 'policy.timer');
  } else {
    const target = vm.sibling(at);
    if (target === own) guest.apic.accept(lo);
    else if (target !== undefined) yield* postToL2(cpu, vm, target, lo);
  }
  yield* retire(cpu, v, 0);
}

/** Posts a vector for an L2 vCPU; it takes it at its next entry, or as soon as it can. */
export function* postToL2(
  cpu: Context,
  { runners }: Answering,
  { words }: Answered,
  vector: number,
): Routine<void> {
  yield cpu.or(words + L2Words.at.vectors, vectorBit(vector), 'policy.post.vector');
  const runner = num(yield cpu.load(words + L2Words.at.runner, 'policy.post.runner'));
  if (runner === 0) return; // its next RUN looks
  const v = runners[runner - 1]!;
  yield cpu.or(v.requests, REQUEST_EVENT, 'policy.post.request'); // locked: a full barrier
  if (isInGuest(num(yield cpu.load(v.mode, 'policy.post.mode')))) {
    yield sendIpi(cpu, v.seat, VECTOR_KICK, 'policy.post.kick');
  }
}

/** The CPU's timer has expired: whose deadline was it? False if it is no L2 vCPU's. */
export function* expired(cpu: Context, vm: Answering, v: Vcpu): Routine<boolean> {
  const index = cpu.read(vm.armed(v)) - 1;
  const target = index < 0 ? undefined : vm.sibling(index);
  if (target === undefined) return false;
  yield* postToL2(cpu, vm, target, VECTOR_TIMER);
  return true;
}

/** RUN begins: from here on who posts finds the vCPU here. Before the first look at `vectors`. */
export function beginRun(cpu: Context, { words }: Answered, v: Vcpu): Act {
  return cpu.exchange(words + L2Words.at.runner, v.index + 1, 'policy.runs');
}

/** RUN ends: who posts leaves it to the next one. */
export function endRun(cpu: Context, { words }: Answered): Act {
  return cpu.store(words + L2Words.at.runner, 0, 'policy.left');
}

/**
 * Before an entry of L2, interrupts on: takes what was posted, and waits while L2 is in HLT. Ends
 * without an interrupt for L2 if L1 or the host has a request: the entry backs out, and comes back
 * here if L2 is to run again.
 */
export function* prepareAnswered(cpu: Context, v: Vcpu, { words }: Answered): Routine<void> {
  const vectors = words + L2Words.at.vectors;
  const halted = words + L2Words.at.halted;
  const { apic } = v.active.guest;
  yield* takePosted(cpu, v, vectors);
  if (cpu.read(halted) === 0) return;
  if (apic.deliverable === 0) {
    const isOver = (): boolean =>
      cpu.peek(vectors) !== 0 || cpu.peek(v.requests) !== 0 || cpu.peek(v.outstanding) !== 0;
    yield cpu.wait([vectors, v.requests, v.outstanding], isOver, 'policy.halt');
    yield* takePosted(cpu, v, vectors);
  }
  if (apic.deliverable !== 0) cpu.write(halted, 0);
}

function* takePosted(cpu: Context, v: Vcpu, vectors: number): Routine<void> {
  if (num(yield cpu.load(vectors, 'policy.posted')) === 0) return;
  for (const vector of vectorsOf(yield cpu.exchange(vectors, 0, 'policy.take'))) {
    v.active.guest.apic.accept(vector);
  }
}
